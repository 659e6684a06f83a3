//! Guesses of what comes next, from a smaller model.

use kiln_models::LanguageModel;

use super::guesses::Guess;
use super::reader::{ModelReader, Reader};
use super::request::GenerateError;
use super::row::Row;

/// What guesses the next tokens of a text. A trait so that a batch need not know how long the model lives.
pub(super) trait Guesser {
    /// Number of logits.
    fn vocabulary_size(&self) -> usize;

    /// At most `count` tokens, at least 1, that may follow the text of the row.
    fn guess(&mut self, row: &mut Row, count: usize) -> Result<Vec<Guess>, GenerateError>;
}

/// A smaller model of the same tokenizer that guesses what a larger one will write. It may serve one text after
/// another: of a text that begins as the one before, it reads the rest.
pub struct Draft<'a> {
    model: &'a LanguageModel,
    reader: ModelReader<'a>,
    /// The tokens that the reader has read, those that it has forgotten since left out.
    read: Vec<u32>,
    /// What a recurrent model, which cannot go back, knew after some of them.
    earlier: Option<(usize, ModelReader<'a>)>,
}

impl<'a> Draft<'a> {
    /// A model that has read nothing.
    pub fn new(model: &'a LanguageModel) -> Self {
        Self { model, reader: ModelReader::new(model), read: Vec::new(), earlier: None }
    }

    /// The logits after `text`, of which only what is new is read.
    fn after(&mut self, text: &[u32]) -> Result<Vec<f32>, String> {
        let same = self.read.iter().zip(text).take_while(|(read, token)| read == token).count();
        // The logits after the last token come from reading it.
        self.go_back(same.min(text.len().saturating_sub(1)));
        let logits = self.read(&text[self.read.len()..])?;
        if self.model.longest_window().is_none() {
            self.earlier = Some((self.read.len(), self.reader.clone()));
        }
        Ok(logits)
    }

    /// Forgets what was read after the first `count` tokens, or everything.
    fn go_back(&mut self, count: usize) {
        let superfluous = self.read.len() - count;
        if superfluous == 0 {
            return;
        }
        if superfluous < self.reader.remembered() {
            self.reader.forget(superfluous);
            self.read.truncate(count);
            return;
        }
        match self.earlier.take() {
            Some((earlier, reader)) if earlier <= count => {
                self.reader = reader;
                self.read.truncate(earlier);
            }
            _ => {
                self.reader = ModelReader::new(self.model);
                self.read.clear();
            }
        }
    }

    fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, String> {
        // After a failure nothing is known of the state.
        let read = std::mem::take(&mut self.read);
        let logits = self.reader.read(&[tokens])?.pop().unwrap_or_default();
        self.read = read;
        self.read.extend(tokens);
        Ok(logits)
    }
}

impl Guesser for &mut Draft<'_> {
    fn vocabulary_size(&self) -> usize {
        self.model.vocabulary_size()
    }

    fn guess(&mut self, row: &mut Row, count: usize) -> Result<Vec<Guess>, GenerateError> {
        let mut history = row.history().clone();
        let mut logits = self.after(row.text()).map_err(GenerateError::Device)?;
        let mut guesses = Vec::new();
        loop {
            let guess = row.propose(&logits, &history)?;
            let token = guess.token();
            guesses.push(guess);
            // Nothing follows the end of a text.
            if guesses.len() == count || row.end_tokens().contains(&token) {
                return Ok(guesses);
            }
            history.write(token);
            logits = self.read(&[token]).map_err(GenerateError::Device)?;
        }
    }
}
