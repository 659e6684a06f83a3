//! What is asked for, and what comes of it.

use kiln_models::TokenizerError;

use crate::grammar::{Grammar, GrammarError};
use crate::sampler::{InvalidSampler, SampleError, SamplerConfig};

/// What to write. The text is a function of this and the model alone: the same request gives the same text.
///
/// ```
/// use kiln_inference::{Request, SamplerConfig};
///
/// let sampler = SamplerConfig { temperature: 0.7, seed: 3, ..SamplerConfig::default() };
/// let request = Request { stop: vec!["\n\n".into()], sampler, ..Request::new("Once upon a time", 100) };
/// assert_eq!(request.max_tokens, 100);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The text to continue. An empty one starts a document: after the end token if the tokenizer has one, else after a
    /// line break if it can spell one, else after token 0.
    pub prompt: String,
    /// Tokens that stand before the prompt, such as the one that begins every text of a published model. They have no
    /// text, and an empty prompt starts a document behind them.
    pub start: Vec<u32>,
    /// Tokens that end the text, beside the end token of the tokenizer.
    pub end: Vec<u32>,
    /// The most tokens to write, not counting the prompt.
    pub max_tokens: usize,
    /// Texts that end the writing; they are not part of what is written. None may be empty.
    pub stop: Vec<String>,
    /// How tokens are chosen.
    pub sampler: SamplerConfig,
    /// What the text must be. The end token may come where the grammar lets the text end, and where it lets nothing
    /// follow the text ends by itself.
    pub grammar: Option<Grammar>,
    /// How many tokens to guess at most from what follows an earlier copy of the text's end, and to read with the next
    /// one at once. Each is chosen as usual, so the text is the same but for last bits of sums; one that was guessed
    /// wrong was read in vain. Only where a single text is written, by a transformer. 0, the default, guesses none.
    /// With a [`Draft`](crate::Draft) it is what that guesses.
    pub speculate: usize,
}

impl Request {
    /// At most `max_tokens` tokens after `prompt`, chosen as [`SamplerConfig`] does by default, without stop texts.
    pub fn new(prompt: &str, max_tokens: usize) -> Self {
        Self {
            prompt: prompt.to_owned(),
            start: Vec::new(),
            end: Vec::new(),
            max_tokens,
            stop: Vec::new(),
            sampler: SamplerConfig::default(),
            grammar: None,
            speculate: 0,
        }
    }
}

/// One token and the text that it completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The token. The last one may be the end token, which has no text of its own.
    pub token: u32,
    /// The text that is certain now. Often empty: a character may take several tokens, and what may become a stop text
    /// is held back.
    pub text: String,
}

/// Why writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model wrote the end token.
    EndToken,
    /// A stop text came.
    StopText,
    /// The grammar lets nothing follow.
    Grammar,
    /// As many tokens as were asked for.
    Length,
}

/// Why writing cannot begin or continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The settings of the sampler make no sense.
    #[error(transparent)]
    Sampler(#[from] InvalidSampler),
    /// A stop text is empty, which every text contains.
    #[error("a stop text must not be empty")]
    EmptyStop,
    /// A beam search without beams, or with a penalty that is none.
    #[error("a beam search needs at least 1 beam and a finite length penalty, not {count} and {length_penalty}")]
    Beams {
        /// Beginnings to keep.
        count: usize,
        /// The penalty.
        length_penalty: f64,
    },
    /// The prompt cannot be spelled with the vocabulary.
    #[error("the prompt cannot be read: {0}")]
    Prompt(#[from] TokenizerError),
    /// The tokenizer knows tokens that the model does not.
    #[error(
        "the prompt holds token {token}, and the model knows {vocabulary} tokens: tokenizer and model do not belong \
         together"
    )]
    UnknownToken {
        /// The token.
        token: u32,
        /// Tokens that the model knows.
        vocabulary: usize,
    },
    /// The grammar makes no sense, or allows nothing.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// A beam search chooses among all tokens.
    #[error("a beam search does not follow a grammar")]
    GrammarOfBeams,
    /// A contrast whose numbers make no sense.
    #[error("contrast: {0}")]
    Contrast(String),
    /// A second model doesn't know all tokens that may be written.
    #[error(
        "the second model knows {known} tokens, and {needed} may be written: both must have been trained with the same \
         tokenizer"
    )]
    SecondModel {
        /// Tokens that it knows.
        known: usize,
        /// Tokens that may be written.
        needed: usize,
    },
    /// The logits of the model cannot be drawn from.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The device failed.
    #[error("the device failed while it computed the next token: {0}")]
    Device(String),
}
