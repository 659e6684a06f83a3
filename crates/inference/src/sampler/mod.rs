//! From logits to the next token, on the host.

mod config;
mod filters;
mod history;
mod scores;
#[cfg(test)]
mod tests;

use kiln_settings::Violation;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub use config::{Dry, Mirostat, SamplerConfig, Xtc};
use filters::{Circumstances, Weighted, filter, total};
pub use history::History;
pub(crate) use scores::highest_logit;

/// Settings of a sampler that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|violation| format!("`{}` \
    {}", violation.key, violation.message)).collect::<Vec<_>>().join("; "))]
pub struct InvalidSampler(pub Vec<Violation>);

/// Why no token can be chosen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The model gave no logits.
    #[error("there are no logits to choose from")]
    Empty,
    /// A logit is infinite or not a number, so there is no distribution.
    #[error("the logit of token {token} is {value}: the weights of the model, or the device, are broken")]
    NotFinite {
        /// The first such token.
        token: usize,
        /// Its logit.
        value: f32,
    },
    /// A bias on a token that the logits do not know.
    #[error("there is a bias on token {token}, and there are only {vocabulary} logits")]
    UnknownBias {
        /// The token.
        token: u32,
        /// The number of logits.
        vocabulary: usize,
    },
    /// An earlier token that the logits do not know.
    #[error("token {token} came before, and there are only {vocabulary} logits")]
    UnknownToken {
        /// The token.
        token: u32,
        /// The number of logits.
        vocabulary: usize,
    },
}

/// A token that may come next, with its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The token.
    pub token: u32,
    /// Its probability among the candidates.
    pub probability: f64,
}

/// Chooses tokens for one request.
///
/// The order of the steps is bias, penalties, temperature, top-n-sigma, top-k, top-p, min-p, typical-p, XTC, draw. That
/// of Hugging Face's `generate` is bias, repetition penalty, temperature, top-k, top-p, min-p, typical-p, so settings
/// found elsewhere mean the same here; what it doesn't have stands where `llama.cpp` has it: frequency, presence and
/// DRY's penalty behind the repetition penalty, top-n-sigma before top-k, XTC last. Penalties are defined on the
/// model's own logits and come first. The temperature comes before the filters, because they are statements about the
/// probabilities that are drawn from. Top-k comes before top-p, which then shares out what is left; min-p compares with
/// the likeliest token, which no filter before it removes. Mirostat takes the place of all filters.
///
/// Draw number n of a request is a pure function of (seed, n): every token takes one 64-bit word of the ChaCha stream
/// whose key is the seed, also a token that the filters leave no choice about, and XTC decides whether it acts by word
/// n of a second stream with that key. Greedy choice takes none.
#[derive(Debug, Clone)]
pub struct Sampler {
    config: SamplerConfig,
    random: ChaCha12Rng,
    /// Of XTC.
    chances: ChaCha12Rng,
    /// Mirostat's bound on the surprise of a token, in bits.
    bound: f64,
    /// The room of the candidates, from one token to the next.
    candidates: Vec<Weighted>,
}

impl Sampler {
    /// A sampler at the beginning of its request.
    ///
    /// # Errors
    /// Every setting that makes no sense.
    pub fn new(config: SamplerConfig) -> Result<Self, InvalidSampler> {
        let violations = config.validate();
        if !violations.is_empty() {
            return Err(InvalidSampler(violations));
        }
        // The key is written out instead of derived by `seed_from_u64`, whose rule belongs to another crate.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&config.seed.to_le_bytes());
        let mut chances = ChaCha12Rng::from_seed(key);
        chances.set_stream(1);
        let bound = config.mirostat.map_or(0.0, |mirostat| 2.0 * f64::from(mirostat.surprise));
        Ok(Self { config, random: ChaCha12Rng::from_seed(key), chances, bound, candidates: Vec::new() })
    }

    /// The next token. `logits` has one number for each token of the vocabulary; `history` is the text so far, of which
    /// only penalties take notice.
    ///
    /// # Errors
    /// No logits, one that is not finite, or a token in `history` or with a bias that has none.
    pub fn sample(&mut self, logits: &[f32], history: &History) -> Result<u32, SampleError> {
        let mut candidates = std::mem::take(&mut self.candidates);
        let chosen = self.weigh(logits, history, &mut candidates);
        let token =
            chosen.map(|likeliest| if self.is_greedy() { likeliest } else { self.draw(&candidates, likeliest) });
        self.candidates = candidates;
        token
    }

    /// The tokens that [`Sampler::sample`] may give next, in the order of their numbers, with their probabilities.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub fn distribution(&self, logits: &[f32], history: &History) -> Result<Vec<Candidate>, SampleError> {
        let mut weighted = Vec::new();
        let likeliest = self.weigh(logits, history, &mut weighted)?;
        if self.is_greedy() {
            return Ok(vec![Candidate { token: likeliest, probability: 1.0 }]);
        }
        let total = total(&weighted);
        let candidate = |weighted: Weighted| Candidate { token: weighted.token, probability: weighted.weight / total };
        Ok(weighted.into_iter().map(candidate).collect())
    }

    fn is_greedy(&self) -> bool {
        self.config.temperature == 0.0
    }

    /// The likeliest token before any filter, and, unless the choice is greedy, what may be drawn.
    fn weigh(&self, logits: &[f32], history: &History, candidates: &mut Vec<Weighted>) -> Result<u32, SampleError> {
        let (likeliest, highest) = highest_logit(logits)?;
        let circumstances = Circumstances { excludes_top: self.excludes_top(), bound: self.bound };
        if !self.config.changes_logits() {
            if !self.is_greedy() {
                filter(&self.config, logits, f64::from(highest), circumstances, candidates);
            }
            return Ok(likeliest);
        }
        let scores = self.config.scores(logits, history)?;
        let likeliest =
            (1..scores.len()).fold(0, |best, token| if scores[token] > scores[best] { token } else { best });
        if !self.is_greedy() {
            filter(&self.config, &scores, scores[likeliest], circumstances, candidates);
        }
        Ok(likeliest as u32)
    }

    /// One of the candidates by their weights.
    fn draw(&mut self, candidates: &[Weighted], likeliest: u32) -> u32 {
        let total = total(candidates);
        self.chances.next_u64();
        let mut left = uniform(&mut self.random) * total;
        let crossed = candidates.iter().find(|candidate| {
            left -= candidate.weight;
            left < 0.0
        });
        // Rounding can leave a rest after the last candidate; one with weight 0 is never drawn.
        let drawn = crossed.or_else(|| candidates.iter().rev().find(|candidate| candidate.weight > 0.0));
        if let (Some(mirostat), Some(drawn)) = (self.config.mirostat, drawn) {
            let error = -(drawn.weight / total).log2() - f64::from(mirostat.surprise);
            self.bound -= f64::from(mirostat.rate) * error;
        }
        drawn.map_or(likeliest, |candidate| candidate.token)
    }

    /// Whether XTC acts on the next draw.
    fn excludes_top(&self) -> bool {
        self.config.xtc.is_some_and(|xtc| uniform(&mut self.chances.clone()) < f64::from(xtc.probability))
    }
}

/// A number in [0, 1) with 53 random bits.
fn uniform(random: &mut ChaCha12Rng) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    (random.next_u64() >> 11) as f64 * STEP
}
