//! Guesses of what comes next, from the text itself.

/// The longest end of the text that is looked for.
const LONGEST: usize = 4;

/// Up to `count` tokens that followed the latest earlier copy of the text's end, the longest end that has one: prompt
/// lookup (Saxena 2023, <https://github.com/apoorvumang/prompt-lookup-decoding>).
pub(super) fn lookup(text: &[u32], count: usize) -> &[u32] {
    for length in (1..=LONGEST.min(text.len().saturating_sub(1))).rev() {
        let end = &text[text.len() - length..];
        let mut copies = text[..text.len() - 1].windows(length);
        if let Some(place) = copies.rposition(|copy| copy == end) {
            let follows = &text[place + length..];
            return &follows[..follows.len().min(count)];
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::lookup;

    #[test]
    fn what_followed_the_longest_end_comes_again() {
        assert_eq!(lookup(&[1, 2, 3, 9, 2, 3, 8, 1, 2, 3], 2), [9, 2]);
        assert_eq!(lookup(&[7, 3, 9, 4, 3, 8, 5, 3], 9), [8, 5, 3]);
        assert_eq!(lookup(&[5, 5], 3), [5]);
        assert!(lookup(&[1, 2, 3], 3).is_empty());
        assert!(lookup(&[1], 3).is_empty());
        assert!(lookup(&[], 3).is_empty());
        assert!(lookup(&[1, 2, 1], 0).is_empty());
    }
}
