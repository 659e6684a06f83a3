//! What a model has read, kept from one text to the next.

use kiln_models::LanguageModel;

use super::reader::{ModelReader, Reader};

/// The state of a model after the tokens that it has read. A text that begins with them is read from there on: in a
/// conversation, a turn costs what is new in it.
pub struct Memory<'a> {
    model: &'a LanguageModel,
    reader: ModelReader<'a>,
    read: Vec<u32>,
    /// How much of the latest text was read before.
    known: usize,
    begins: bool,
}

impl<'a> Memory<'a> {
    /// A model that has read nothing.
    pub fn new(model: &'a LanguageModel) -> Self {
        Self { model, reader: ModelReader::new(model), read: Vec::new(), known: 0, begins: true }
    }

    /// How many tokens of the latest text had been read before it.
    pub fn known_tokens(&self) -> usize {
        self.known
    }

    /// What is read next is a whole text.
    pub(super) fn begin(&mut self) {
        self.begins = true;
    }
}

impl Reader for &mut Memory<'_> {
    fn vocabulary_size(&self) -> usize {
        self.model.vocabulary_size()
    }

    fn read(&mut self, tokens: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        let [tokens] = tokens else { return Err("a memory is that of one text".to_owned()) };
        let mut unread = *tokens;
        if std::mem::take(&mut self.begins) {
            self.known = 0;
            match tokens.strip_prefix(&self.read[..]) {
                Some(rest) if !rest.is_empty() => {
                    self.known = self.read.len();
                    unread = rest;
                }
                _ => {
                    self.reader = ModelReader::new(self.model);
                    self.read.clear();
                }
            }
        }
        // After a failure nothing is known of the state.
        let read = std::mem::take(&mut self.read);
        let logits = self.reader.read(&[unread])?;
        self.read = [&read[..], unread].concat();
        Ok(logits)
    }

    fn room(&self) -> usize {
        if self.begins { 0 } else { self.reader.room() }
    }

    fn read_each(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>, String> {
        let read = std::mem::take(&mut self.read);
        let logits = self.reader.read_each(tokens)?;
        self.read = [&read[..], tokens].concat();
        Ok(logits)
    }

    fn forget(&mut self, count: usize) {
        self.reader.forget(count);
        self.read.truncate(self.read.len() - count);
    }

    fn keep(&mut self, _: &[usize]) {}
}
