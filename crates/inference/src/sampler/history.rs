//! What a text holds so far.

use std::collections::BTreeMap;

/// The tokens of a text: its prompt, then those that were written after it.
#[derive(Debug, Clone, Default)]
pub struct History {
    tokens: Vec<u32>,
    /// Every token that occurred, with how often it was written.
    occurred: BTreeMap<u32, u32>,
}

impl History {
    /// A text of which nothing is written yet.
    pub fn new(prompt: &[u32]) -> Self {
        Self { tokens: prompt.to_vec(), occurred: prompt.iter().map(|&token| (token, 0)).collect() }
    }

    /// Adds a token that was written.
    pub fn write(&mut self, token: u32) {
        self.tokens.push(token);
        *self.occurred.entry(token).or_default() += 1;
    }

    /// The whole text.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Every different token of the text, and how often it was written after the prompt.
    pub(super) fn occurred(&self) -> impl Iterator<Item = (u32, u32)> {
        self.occurred.iter().map(|(&token, &count)| (token, count))
    }
}
