//! Sources to targets: with the likeliest token each time, by a search, or drawn; and how near a target comes.

mod bleu;
mod chrf;
mod greedy;
mod search;
#[cfg(test)]
mod tests;

use burn::tensor::{Int, Tensor, TensorData};
use kiln_models::{LanguageModel, State};

use crate::generate::Beams;
use crate::sampler::{InvalidSampler, SampleError, SamplerConfig};

pub use bleu::corpus_bleu;
pub use chrf::corpus_chrf;

/// How targets are written.
#[derive(Debug, Clone, PartialEq)]
pub enum Writing {
    /// The likeliest token each time.
    Greedy,
    /// The targets with the highest scores, found by a search: as many as asked for, the best first.
    Beams {
        /// How it goes.
        beams: Beams,
        /// How many are given, at most as many as there are beams.
        best: usize,
    },
    /// Drawn; source n of a call draws with the seed plus n.
    Drawn(SamplerConfig),
}

/// A target.
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// Its tokens, without the end.
    pub tokens: Vec<u32>,
    /// ln of its probability, the end with it; of a search divided by its length to the power of the penalty.
    pub score: f64,
    /// Whether the end token was written, and not the last token that there was room for.
    pub is_whole: bool,
}

/// Why nothing can be translated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranslationError {
    /// The model writes one text.
    #[error("the model has no encoder that reads a source")]
    NoEncoder,
    /// A source is longer than the model reads.
    #[error("source {number} has {tokens} tokens with its end, and the model reads at most {context}")]
    TooLong {
        /// Which, counted from 1.
        number: usize,
        /// Its tokens.
        tokens: usize,
        /// The most that the model reads.
        context: usize,
    },
    /// Beams that make no sense.
    #[error("a search needs one beam at least and a finite penalty, not {count} and {length_penalty}")]
    Beams {
        /// How many.
        count: usize,
        /// The penalty.
        length_penalty: f64,
    },
    /// Settings of the sampler that make no sense.
    #[error(transparent)]
    Sampler(#[from] InvalidSampler),
    /// No token can be chosen.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}

/// A model that translates, with the token that begins and ends texts.
#[derive(Clone, Copy)]
pub struct Translator<'a> {
    model: &'a LanguageModel,
    end: u32,
    context: usize,
    /// Tokens that may be written; a table may have rows beyond them.
    vocabulary: usize,
}

impl<'a> Translator<'a> {
    /// With the first `vocabulary` tokens.
    ///
    /// # Errors
    /// [`TranslationError::NoEncoder`].
    pub fn new(model: &'a LanguageModel, vocabulary: usize, end: u32) -> Result<Self, TranslationError> {
        match (model, model.longest_window()) {
            (LanguageModel::EncoderDecoder(_), Some(context)) => {
                Ok(Self { model, end, context, vocabulary: vocabulary.min(model.vocabulary_size()) })
            }
            _ => Err(TranslationError::NoEncoder),
        }
    }

    /// The translations of sources, which have no end token yet, each by itself and all at the same time: one of each,
    /// or as many as a search was asked for. A target ends at `longest` tokens, or where the model can write no more.
    ///
    /// # Errors
    /// See [`TranslationError`].
    pub fn translate(
        &self,
        sources: &[Vec<u32>],
        longest: usize,
        writing: &Writing,
    ) -> Result<Vec<Vec<Translation>>, TranslationError> {
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let longest = longest.min(self.context);
        match writing {
            Writing::Beams { beams, best } => search::translate(self, sources, longest, *beams, *best),
            Writing::Greedy => greedy::translate(self, sources, longest, &mut greedy::Likeliest),
            Writing::Drawn(config) => {
                greedy::translate(self, sources, longest, &mut greedy::Drawn::new(config, sources.len())?)
            }
        }
    }

    /// The state before the first tokens of the targets: each source is read once.
    fn read(&self, sources: &[Vec<u32>]) -> Result<State, TranslationError> {
        let lengths: Vec<usize> = sources.iter().map(|source| source.len() + 1).collect();
        if let Some(row) = lengths.iter().position(|length| *length > self.context) {
            let (number, tokens, context) = (row + 1, lengths[row], self.context);
            return Err(TranslationError::TooLong { number, tokens, context });
        }
        let columns = lengths.iter().copied().max().unwrap_or(1);
        let row = |source: &Vec<u32>| {
            let mut row: Vec<i32> = source.iter().chain([&self.end]).map(|token| *token as i32).collect();
            row.resize(columns, 0);
            row
        };
        let tokens = TensorData::new(sources.iter().flat_map(row).collect(), [sources.len(), columns]);
        let tokens = Tensor::<2, Int>::from_data(tokens, &self.model.device());
        self.model.encode(tokens, &lengths).ok_or(TranslationError::NoEncoder)
    }

    /// The logits after one more token in each row, those of tokens that may be written.
    fn step(&self, tokens: &[u32], state: State) -> Result<(Vec<Vec<f32>>, State), TranslationError> {
        let tokens: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        let rows = tokens.len();
        let tokens = Tensor::<1, Int>::from_data(TensorData::new(tokens, [rows]), &self.model.device());
        let (logits, state) = self.model.step(tokens, state);
        let failed = |error: String| TranslationError::Device(error);
        let data = logits.try_into_data().map_err(|error| failed(error.to_string()))?;
        let numbers = data.try_into_vec_as::<f32>().map_err(|error| failed(error.to_string()))?;
        let rows = numbers.chunks(self.model.vocabulary_size()).map(|row| row[..self.vocabulary].to_vec());
        Ok((rows.collect(), state))
    }
}

/// ln of the probabilities of all tokens.
fn log_probabilities(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    let log_sum = f64::from(largest) + sum.ln();
    logits.iter().map(|logit| f64::from(*logit) - log_sum).collect()
}
