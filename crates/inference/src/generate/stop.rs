//! Texts that end a generation.

/// Looks for stop texts in a stream, and holds back whatever might be the beginning of one: not a byte of a stop text
/// is ever given out.
#[derive(Debug)]
pub(super) struct StopFinder {
    stops: Vec<String>,
    held: String,
}

impl StopFinder {
    /// `stops` holds no empty text.
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self { stops, held: String::new() }
    }

    /// The text that is safe to give out after `text` came, and whether a stop text was found: it ends there then.
    pub(super) fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let first = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(start) = first {
            self.held.truncate(start);
            return (std::mem::take(&mut self.held), true);
        }
        let kept = self.stops.iter().map(|stop| self.begun(stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - kept);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What is held back, when nothing follows it.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The length in bytes of the longest end of the text with which `stop` begins.
    fn begun(&self, stop: &str) -> usize {
        let ends = stop.char_indices().skip(1).map(|(length, _)| length);
        ends.filter(|&length| self.held.ends_with(&stop[..length])).max().unwrap_or(0)
    }
}
