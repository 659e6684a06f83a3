//! Texts that hold to a grammar: which tokens may come next.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use kiln_models::Tokenizer;
use llguidance::api::{StopReason, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{ParserFactory, TokenParser, panic_utils};

use crate::sampler::EXCLUDED;

/// What a text must be, from its first written token to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grammar {
    /// JSON that holds to a schema, given as JSON itself.
    JsonSchema(String),
    /// A text that an expression matches as a whole, in the syntax of the crate `regex` without anchors and looks
    /// around.
    Regex(String),
    /// A context-free grammar in Lark's syntax, as
    /// [`llguidance` reads it](https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md).
    Lark(String),
}

/// Why a grammar cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// The grammar makes no sense, or is too large.
    #[error("the {kind} cannot be used: {message}")]
    Invalid {
        /// What it is.
        kind: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// Nothing that the grammar allows can be spelled with the vocabulary.
    #[error(
        "the {kind} allows no text here that the model's vocabulary can spell: {}",
        if *.written == 0 { "not even a first token".to_owned() } else { format!("no token after the first {written}") }
    )]
    DeadEnd {
        /// What the grammar is.
        kind: &'static str,
        /// Tokens that were written before.
        written: usize,
    },
}

impl Grammar {
    fn kind(&self) -> &'static str {
        match self {
            Self::JsonSchema(_) => "JSON schema",
            Self::Regex(_) => "regular expression",
            Self::Lark(_) => "grammar",
        }
    }

    fn parsed(&self) -> Result<TopLevelGrammar, String> {
        match self {
            Self::JsonSchema(schema) => {
                let schema = serde_json::from_str(schema).map_err(|error| format!("it is no JSON: {error}"))?;
                Ok(TopLevelGrammar::from_json_schema(schema))
            }
            Self::Regex(expression) => Ok(TopLevelGrammar::from_regex(expression)),
            Self::Lark(grammar) => Ok(TopLevelGrammar::from_lark(grammar.clone())),
        }
    }
}

/// A grammar on its way through a text.
pub(crate) struct Follower {
    kind: &'static str,
    parser: TokenParser,
    /// The number that stands for the end of a text. It is no token of the model's, which may have no end token, or
    /// several.
    end: usize,
    written: usize,
    next: Next,
}

/// What may come next.
enum Next {
    /// The tokens that are set, and the end.
    Tokens(SimpleVob),
    /// Nothing: the text is whole.
    Nothing,
    /// Nothing, and the text isn't whole.
    Stuck(GrammarError),
}

impl Follower {
    /// At the beginning of a text of the first `vocabulary` tokens.
    pub(crate) fn new(grammar: &Grammar, tokenizer: &Tokenizer, vocabulary: usize) -> Result<Self, GrammarError> {
        let kind = grammar.kind();
        let invalid = |message: String| GrammarError::Invalid { kind, message };
        let parsed = grammar.parsed().map_err(invalid)?;
        let words: Vec<Vec<u8>> = tokenizer.bytes_of_tokens().into_iter().take(vocabulary).collect();
        let end = words.len();
        let parser = guarded(|| {
            let mut factory = ParserFactory::new_simple(&environment(words))?;
            factory.quiet();
            factory.limits_mut().verbose_errors = false;
            let mut parser = factory.create_parser(parsed)?;
            parser.start_without_prompt();
            Ok(parser)
        });
        let mut new = Self { kind, parser: parser.map_err(invalid)?, end, written: 0, next: Next::Nothing };
        new.next = new.find_next();
        match new.next {
            Next::Stuck(error) => Err(error),
            _ => Ok(new),
        }
    }

    /// The logits with those excluded that may not come next; `end_tokens` may where the text may end.
    pub(crate) fn allowed(&self, logits: &[f32], end_tokens: &[u32]) -> Result<Vec<f32>, GrammarError> {
        let mask = match &self.next {
            Next::Tokens(mask) => mask,
            Next::Nothing => return Err(self.dead_end()),
            Next::Stuck(error) => return Err(error.clone()),
        };
        let may_end = mask.get(self.end);
        let may_come = |token: usize| {
            if end_tokens.contains(&(token as u32)) { may_end } else { token < self.end && mask.get(token) }
        };
        let allow = |(token, &logit): (usize, &f32)| if may_come(token) { logit } else { EXCLUDED };
        Ok(logits.iter().enumerate().map(allow).collect())
    }

    /// A token that may come has come.
    pub(crate) fn follow(&mut self, token: u32) {
        self.written += 1;
        let consumed = guarded(|| {
            self.parser.consume_token(token)?;
            self.parser.check_stop()
        });
        self.next = match consumed {
            Ok(true) => Next::Nothing,
            Ok(false) => self.find_next(),
            Err(message) => Next::Stuck(GrammarError::Invalid { kind: self.kind, message }),
        };
    }

    /// Whether nothing more can come.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }

    fn find_next(&mut self) -> Next {
        match guarded(|| self.parser.compute_mask()) {
            Ok(mask) if mask.iter().any(|token| (token as usize) < self.end) => Next::Tokens(mask),
            Ok(_) => Next::Nothing,
            Err(_) if self.parser.stop_reason() == StopReason::NoExtensionBias => Next::Stuck(self.dead_end()),
            Err(message) => Next::Stuck(GrammarError::Invalid { kind: self.kind, message }),
        }
    }

    fn dead_end(&self) -> GrammarError {
        GrammarError::DeadEnd { kind: self.kind, written: self.written }
    }
}

/// What the crate does, its panics made errors of one line: behind it stand traces.
fn guarded<T>(work: impl FnOnce() -> anyhow::Result<T>) -> Result<T, String> {
    panic_utils::catch_unwind(AssertUnwindSafe(work))
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

fn environment(mut words: Vec<Vec<u8>>) -> TokEnv {
    let end = words.len() as u32;
    words.push([&[TokTrie::SPECIAL_TOKEN_MARKER], &b"<end>"[..]].concat());
    let info = TokRxInfo::new(words.len() as u32, end);
    Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)))
}
