//! One text being written: what happens to it between two readings of the model.

use std::borrow::Cow;

use kiln_models::{StreamDecoder, Tokenizer};

use super::guesses::Guess;
use super::lookup::lookup;
use super::request::{Finish, GenerateError, Piece, Request};
use super::stop::StopFinder;
use crate::grammar::Follower;
use crate::sampler::{History, Sampler};

/// A text that is being written.
pub(super) struct Row {
    sampler: Sampler,
    end_tokens: Vec<u32>,
    /// Tokens that may be written. A model may have rows for more than its tokenizer has, to fill a tile of its
    /// hardware.
    vocabulary: usize,
    decoder: Option<StreamDecoder>,
    /// Whether the prompt ends in a space of which its tokens know nothing: the next word brings its own.
    ends_in_lost_space: bool,
    stop: StopFinder,
    /// Tokens that the model has not read yet: the prompt, then always one.
    unread: Vec<u32>,
    /// Everything that the model reads: what stands before the prompt, the prompt, and what was written.
    text: Vec<u32>,
    history: History,
    grammar: Option<Follower>,
    left: usize,
    speculate: usize,
    finish: Option<Finish>,
}

impl Row {
    /// The text of `request` after `prompt`, for a model that knows `vocabulary` tokens.
    pub(super) fn new(
        tokenizer: &Tokenizer,
        vocabulary: usize,
        prompt: &[u32],
        request: &Request,
    ) -> Result<Self, GenerateError> {
        let sampler = Sampler::new(request.sampler.clone())?;
        if request.stop.iter().any(String::is_empty) {
            return Err(GenerateError::EmptyStop);
        }
        let mut unread = [&request.start, prompt].concat();
        if unread.is_empty() {
            unread = first_tokens(tokenizer);
        }
        if let Some(&token) = unread.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(GenerateError::UnknownToken { token, vocabulary });
        }
        let written = vocabulary.min(tokenizer.vocabulary_size());
        let grammar = request.grammar.as_ref().map(|grammar| Follower::new(grammar, tokenizer, written)).transpose()?;
        Ok(Self {
            sampler,
            end_tokens: request.end.iter().copied().chain(tokenizer.end_token()).collect(),
            vocabulary: written,
            // A text that begins a document stands behind nothing.
            decoder: Some(tokenizer.decoder_after(prompt)),
            ends_in_lost_space: request.prompt.ends_with(char::is_whitespace)
                && !tokenizer.decode(prompt).ends_with(char::is_whitespace),
            stop: StopFinder::new(request.stop.clone()),
            text: unread.clone(),
            unread,
            history: History::new(prompt),
            grammar,
            left: request.max_tokens,
            speculate: request.speculate,
            finish: (request.max_tokens == 0).then_some(Finish::Length),
        })
    }

    /// Makes the end token a token like any other.
    pub(super) fn write_past_end_token(&mut self) {
        self.end_tokens.clear();
    }

    /// Why it ended; nothing before that, and nothing after an error.
    pub(super) fn finish(&self) -> Option<Finish> {
        self.finish
    }

    pub(super) fn is_over(&self) -> bool {
        self.finish.is_some() || self.left == 0
    }

    /// What the model has to read before the next token can be chosen.
    pub(super) fn unread(&self) -> &[u32] {
        &self.unread
    }

    /// The logits of the tokens that may be written.
    pub(super) fn allowed<'a>(&self, logits: &'a [f32]) -> &'a [f32] {
        logits.get(..self.vocabulary).unwrap_or(logits)
    }

    /// The tokens that end the text.
    pub(super) fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// Tokens that may be written.
    pub(super) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Everything that the model has read or is about to read.
    pub(super) fn text(&self) -> &[u32] {
        &self.text
    }

    /// What penalties take notice of.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// How many tokens may be guessed after the one that is unread, where the model can read `room` of them; none
    /// before the prompt is read.
    pub(super) fn guesses(&self, room: usize) -> usize {
        // The last token to be written needs no logits after it.
        let count = self.speculate.min(room).min(self.left.saturating_sub(1));
        if self.unread.len() > 1 { 0 } else { count }
    }

    /// Up to `count` tokens that followed what stands at the end of the text before.
    pub(super) fn look_up(&self, count: usize) -> Vec<Guess> {
        lookup(self.history.tokens(), count).iter().map(|&token| Guess::looked_up(token)).collect()
    }

    /// A token drawn from the logits of another model after `history`.
    pub(super) fn propose(&mut self, logits: &[f32], history: &History) -> Result<Guess, GenerateError> {
        let allowed = logits.get(..self.vocabulary).unwrap_or(logits);
        Ok(self.sampler.propose(allowed, history).map(Guess::drawn)?)
    }

    /// Ends the text with an error.
    pub(super) fn fail(&mut self) {
        self.left = 0;
    }

    /// Chooses the next token from the logits after what was unread, and after a `guess` by what is known of it.
    pub(super) fn write(&mut self, logits: &[f32], guess: Option<&Guess>) -> Result<Piece, GenerateError> {
        let token = self.choose(logits, guess).inspect_err(|_| self.fail())?;
        Ok(self.put(token))
    }

    fn choose(&mut self, logits: &[f32], guess: Option<&Guess>) -> Result<u32, GenerateError> {
        let mut allowed = Cow::Borrowed(logits.get(..self.vocabulary).unwrap_or(logits));
        if let Some(grammar) = &self.grammar {
            allowed = Cow::Owned(grammar.allowed(&allowed, &self.end_tokens)?);
        }
        let token = match guess.and_then(Guess::proposal) {
            Some(proposal) => self.sampler.judge(&allowed, &self.history, proposal)?,
            None => self.sampler.sample(&allowed, &self.history)?,
        };
        if let Some(grammar) = self.grammar.as_mut().filter(|_| !self.end_tokens.contains(&token)) {
            grammar.follow(token);
        }
        Ok(token)
    }

    /// Takes a token for the next one.
    pub(super) fn put(&mut self, token: u32) -> Piece {
        self.left -= 1;
        self.unread = vec![token];
        self.text.push(token);
        self.history.write(token);
        let text = self.text_of(token);
        Piece { token, text: self.behind_the_prompt(text) }
    }

    /// The text without the space that the prompt has already.
    fn behind_the_prompt(&mut self, text: String) -> String {
        if text.is_empty() || !std::mem::take(&mut self.ends_in_lost_space) {
            return text;
        }
        text.strip_prefix(' ').map(str::to_owned).unwrap_or(text)
    }

    /// The text that `token` makes certain, and the end of it all if this is the last.
    fn text_of(&mut self, token: u32) -> String {
        if self.end_tokens.contains(&token) {
            self.finish = Some(Finish::EndToken);
            return self.rest(String::new());
        }
        let decoded = self.decoder.as_mut().and_then(|decoder| decoder.push(token)).unwrap_or_default();
        let (text, stopped) = self.stop.push(&decoded);
        if stopped {
            self.finish = Some(Finish::StopText);
            return text;
        }
        if self.grammar.as_ref().is_some_and(Follower::is_over) {
            self.finish = Some(Finish::Grammar);
            return self.rest(text);
        }
        if self.left == 0 {
            self.finish = Some(Finish::Length);
            return self.rest(text);
        }
        text
    }

    /// `text` and everything that was held back behind it, up to a stop text that only the end completes.
    fn rest(&mut self, text: String) -> String {
        let unfinished = self.decoder.take().map(StreamDecoder::finish).unwrap_or_default();
        let (certain, stopped) = self.stop.push(&unfinished);
        if stopped {
            self.finish = Some(Finish::StopText);
            return text + &certain;
        }
        text + &certain + &self.stop.finish()
    }
}

/// What a document begins after.
pub(crate) fn first_tokens(tokenizer: &Tokenizer) -> Vec<u32> {
    if let Some(end) = tokenizer.end_token() {
        return vec![end];
    }
    let line_break = tokenizer.encode("\n").unwrap_or_default();
    if line_break.is_empty() { vec![0] } else { line_break }
}
