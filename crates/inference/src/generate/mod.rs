//! From a prompt to text, piece by piece.

mod reader;
mod stop;
#[cfg(test)]
mod tests;

use kiln_models::{LanguageModel, StreamDecoder, Tokenizer, TokenizerError};

use crate::sampler::{InvalidSampler, SampleError, Sampler, SamplerConfig};
use reader::{ModelReader, Reader};
use stop::StopFinder;

/// What to write. The text is a function of this and the model alone: the same request gives the same text.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The text to continue. An empty one starts a document: after the end token where the tokenizer has one, else after a
    /// line break where it can spell one, else after token 0.
    pub prompt: String,
    /// Most tokens to write, not counting the prompt.
    pub max_tokens: usize,
    /// Texts that end the writing; they are not part of what is written. None may be empty.
    pub stop: Vec<String>,
    /// How tokens are chosen.
    pub sampler: SamplerConfig,
}

impl Request {
    /// At most `max_tokens` tokens after `prompt`, chosen as [`SamplerConfig`] does by default, without stop texts.
    pub fn new(prompt: &str, max_tokens: usize) -> Self {
        Self { prompt: prompt.to_owned(), max_tokens, stop: Vec::new(), sampler: SamplerConfig::default() }
    }
}

/// One token and the text that it completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The token. The last one may be the end token, which has no text of its own.
    pub token: u32,
    /// The text that is certain now. Often empty: a character may take several tokens, and what may become a stop text is
    /// held back.
    pub text: String,
}

/// Why writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model wrote the end token.
    EndToken,
    /// A stop text came.
    StopText,
    /// As many tokens as were asked for.
    Length,
}

/// Why writing cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The settings of the sampler make no sense.
    #[error(transparent)]
    Sampler(#[from] InvalidSampler),
    /// A stop text is empty, which every text contains.
    #[error("a stop text must not be empty")]
    EmptyStop,
    /// The prompt cannot be spelled with the vocabulary.
    #[error("the prompt cannot be read: {0}")]
    Prompt(#[from] TokenizerError),
    /// The tokenizer knows tokens that the model does not.
    #[error(
        "the prompt holds token {token}, and the model knows {vocabulary} tokens: tokenizer and model do not belong together"
    )]
    UnknownToken {
        /// The token.
        token: u32,
        /// Tokens that the model knows.
        vocabulary: usize,
    },
    /// The logits of the model cannot be drawn from.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The device failed.
    #[error("the device failed while it computed the next token: {0}")]
    Device(String),
}

/// Writes text with a model. The prompt is read when the first piece is asked for; each piece is one token.
///
/// A model that is being trained should be given as `model.valid()`, which keeps no graph of the tokens read.
///
/// # Errors
/// The request makes no sense, or its prompt cannot be spelled.
pub fn generate<'a>(
    model: &'a LanguageModel,
    tokenizer: &Tokenizer,
    request: &Request,
) -> Result<Generation<'a>, GenerateError> {
    Generation::new(Box::new(ModelReader::new(model)), tokenizer, request)
}

/// As [`generate`], after a prompt that is given as tokens; the one of the request is not looked at.
///
/// # Errors
/// The request makes no sense, or a token is none of the model's.
pub fn generate_after<'a>(
    model: &'a LanguageModel,
    tokenizer: &Tokenizer,
    prompt: &[u32],
    request: &Request,
) -> Result<Generation<'a>, GenerateError> {
    Generation::after(Box::new(ModelReader::new(model)), tokenizer, prompt, request)
}

/// Text being written: an iterator over its pieces. After an error, or its last piece, it gives nothing more.
pub struct Generation<'a> {
    reader: Box<dyn Reader + 'a>,
    sampler: Sampler,
    end_token: Option<u32>,
    decoder: Option<StreamDecoder>,
    stop: StopFinder,
    /// Tokens that the reader has not read yet: the prompt, then always one.
    unread: Vec<u32>,
    seen: SeenTokens,
    left: usize,
    finish: Option<Finish>,
}

impl<'a> Generation<'a> {
    fn new(reader: Box<dyn Reader + 'a>, tokenizer: &Tokenizer, request: &Request) -> Result<Self, GenerateError> {
        let prompt = tokenizer.encode(&request.prompt)?;
        Self::after(reader, tokenizer, &prompt, request)
    }

    fn after(
        reader: Box<dyn Reader + 'a>,
        tokenizer: &Tokenizer,
        prompt: &[u32],
        request: &Request,
    ) -> Result<Self, GenerateError> {
        let sampler = Sampler::new(request.sampler)?;
        if request.stop.iter().any(String::is_empty) {
            return Err(GenerateError::EmptyStop);
        }
        let unread = if prompt.is_empty() { first_tokens(tokenizer) } else { prompt.to_vec() };
        let vocabulary = reader.vocabulary_size();
        if let Some(&token) = unread.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(GenerateError::UnknownToken { token, vocabulary });
        }
        let mut seen = SeenTokens::new(vocabulary);
        prompt.iter().for_each(|&token| seen.add(token));
        Ok(Self {
            reader,
            sampler,
            end_token: tokenizer.end_token(),
            decoder: Some(tokenizer.decoder()),
            stop: StopFinder::new(request.stop.clone()),
            unread,
            seen,
            left: request.max_tokens,
            finish: (request.max_tokens == 0).then_some(Finish::Length),
        })
    }

    /// The same, but the end token is a token like any other, so that as many tokens come as were asked for.
    #[must_use]
    pub fn past_end_token(self) -> Self {
        Self { end_token: None, ..self }
    }

    /// Why it ended; nothing while it goes on, and nothing after an error.
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// Reads what is unread and chooses the next token.
    fn next_token(&mut self) -> Result<u32, GenerateError> {
        let logits = self.reader.read(&self.unread)?;
        let token = self.sampler.sample(&logits, &self.seen.tokens)?;
        self.unread = vec![token];
        self.seen.add(token);
        Ok(token)
    }

    /// The text that `token` makes certain, and the end of it all where this is the last.
    fn text_of(&mut self, token: u32) -> String {
        if Some(token) == self.end_token {
            self.finish = Some(Finish::EndToken);
            return self.rest(String::new());
        }
        let decoded = self.decoder.as_mut().and_then(|decoder| decoder.push(token)).unwrap_or_default();
        let (text, stopped) = self.stop.push(&decoded);
        if stopped {
            self.finish = Some(Finish::StopText);
            return text;
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

impl Iterator for Generation<'_> {
    type Item = Result<Piece, GenerateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finish.is_some() || self.left == 0 {
            return None;
        }
        self.left -= 1;
        match self.next_token() {
            Ok(token) => Some(Ok(Piece { token, text: self.text_of(token) })),
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}

impl std::iter::FusedIterator for Generation<'_> {}

/// What a document begins after.
fn first_tokens(tokenizer: &Tokenizer) -> Vec<u32> {
    if let Some(end) = tokenizer.end_token() {
        return vec![end];
    }
    let line_break = tokenizer.encode("\n").unwrap_or_default();
    if line_break.is_empty() { vec![0] } else { line_break }
}

/// The different tokens of a text: as many as the vocabulary at most, however long the text grows.
struct SeenTokens {
    tokens: Vec<u32>,
    known: Vec<bool>,
}

impl SeenTokens {
    fn new(vocabulary: usize) -> Self {
        Self { tokens: Vec::new(), known: vec![false; vocabulary] }
    }

    fn add(&mut self, token: u32) {
        if let Some(known) = self.known.get_mut(token as usize)
            && !std::mem::replace(known, true)
        {
            self.tokens.push(token);
        }
    }
}
