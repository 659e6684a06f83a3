//! Special tokens in a text, found before anything else is cut.

/// Tokens that are matched as they stand: leftmost first, and of those that start together the longest.
#[derive(Debug, Clone, Default)]
pub(super) struct SpecialTokens {
    tokens: Vec<(String, u32)>,
}

/// One special token in a text, by byte positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) id: u32,
}

impl SpecialTokens {
    /// Empty tokens match nowhere and are left out.
    pub(super) fn new(tokens: impl IntoIterator<Item = (String, u32)>) -> Self {
        Self { tokens: tokens.into_iter().filter(|(token, _)| !token.is_empty()).collect() }
    }

    /// All matches in `text`, in order, none overlapping another.
    pub(super) fn find_all<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Found> + 'a {
        let mut next: Vec<Option<usize>> = self.tokens.iter().map(|(token, _)| text.find(token.as_str())).collect();
        let mut position = 0;
        std::iter::from_fn(move || {
            for (start, (token, _)) in next.iter_mut().zip(&self.tokens) {
                if start.is_some_and(|start| start < position) {
                    *start = text[position..].find(token.as_str()).map(|offset| position + offset);
                }
            }
            let candidates = next.iter().zip(&self.tokens).filter_map(|(start, (token, id))| {
                start.map(|start| Found { start, end: start + token.len(), id: *id })
            });
            let first = candidates.min_by_key(|found| (found.start, usize::MAX - found.end))?;
            position = first.end;
            Some(first)
        })
    }

    /// Where in `text`, at `from` or later, a tail begins that more text could make a special token; else its length.
    pub(super) fn undecided(&self, text: &str, from: usize) -> usize {
        let longest = self.tokens.iter().map(|(token, _)| token.len()).max().unwrap_or(0);
        let earliest = text.len().saturating_sub(longest.saturating_sub(1)).max(from);
        let open = |start: &usize| {
            let tail = &text.as_bytes()[*start..];
            self.tokens.iter().any(|(token, _)| token.len() > tail.len() && token.as_bytes().starts_with(tail))
        };
        (earliest..text.len()).find(open).unwrap_or(text.len())
    }
}
