//! From logits to the next token, on the host.

mod config;
#[cfg(test)]
mod tests;

use kiln_settings::Violation;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub use config::SamplerConfig;

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
/// The order of the steps is penalty, temperature, top-k, top-p, min-p, draw: that of Hugging Face's `generate`, so
/// that settings found elsewhere mean the same here. The penalty is defined on the model's own logits and comes first.
/// The temperature comes before the filters, because top-p and min-p are statements about the probabilities that are
/// drawn from. Top-k comes before top-p, which then shares out what is left; min-p compares with the likeliest token,
/// which no filter removes, so its place among the filters changes nothing but its cost.
///
/// Draw number n of a request is a pure function of (seed, n): every token takes one 64-bit word of the ChaCha stream
/// whose key is the seed, also a token that the filters leave no choice about. Greedy choice takes none.
#[derive(Debug, Clone)]
pub struct Sampler {
    config: SamplerConfig,
    random: ChaCha12Rng,
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
        Ok(Self { config, random: ChaCha12Rng::from_seed(key) })
    }

    /// The next token. `logits` has one number for each token of the vocabulary; `history` holds the tokens so far, of
    /// which only the repetition penalty takes notice, and it does not matter how often each occurs.
    ///
    /// # Errors
    /// No logits, one that is not finite, or a token in `history` that has none.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32, SampleError> {
        let scores = self.scores(logits, history)?;
        if self.config.temperature == 0.0 {
            return Ok(likeliest(&scores));
        }
        let candidates = self.filter(&scores);
        let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
        let mut left = self.uniform() * total;
        for candidate in &candidates {
            left -= candidate.weight;
            if left < 0.0 {
                return Ok(candidate.token);
            }
        }
        // Rounding can leave a rest after the last candidate; one with weight 0 is never drawn.
        let drawable = candidates.iter().rev().find(|candidate| candidate.weight > 0.0);
        Ok(drawable.map_or_else(|| likeliest(&scores), |candidate| candidate.token))
    }

    /// The tokens that [`Sampler::sample`] may give, in the order of their numbers, with their probabilities.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub fn distribution(&self, logits: &[f32], history: &[u32]) -> Result<Vec<Candidate>, SampleError> {
        let scores = self.scores(logits, history)?;
        if self.config.temperature == 0.0 {
            return Ok(vec![Candidate { token: likeliest(&scores), probability: 1.0 }]);
        }
        let weighted = self.filter(&scores);
        let total: f64 = weighted.iter().map(|candidate| candidate.weight).sum();
        let candidate = |weighted: Weighted| Candidate { token: weighted.token, probability: weighted.weight / total };
        Ok(weighted.into_iter().map(candidate).collect())
    }

    /// The logits after the penalty, in double precision, where neither the penalty nor the temperature overflows.
    fn scores(&self, logits: &[f32], history: &[u32]) -> Result<Vec<f64>, SampleError> {
        if logits.is_empty() {
            return Err(SampleError::Empty);
        }
        if let Some(token) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(SampleError::NotFinite { token, value: logits[token] });
        }
        let mut scores: Vec<f64> = logits.iter().copied().map(f64::from).collect();
        let Some(penalty) = self.config.repetition_penalty.map(f64::from) else { return Ok(scores) };
        let mut done = vec![false; scores.len()];
        for &token in history {
            let place = token as usize;
            if place >= scores.len() {
                return Err(SampleError::UnknownToken { token, vocabulary: scores.len() });
            }
            if !std::mem::replace(&mut done[place], true) {
                scores[place] = if scores[place] < 0.0 { scores[place] * penalty } else { scores[place] / penalty };
            }
        }
        Ok(scores)
    }

    /// Temperature and filters; at least the likeliest token is left. In the order of the tokens' numbers.
    fn filter(&self, scores: &[f64]) -> Vec<Weighted> {
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let temperature = f64::from(self.config.temperature);
        let weigh = |(token, score): (usize, &f64)| {
            // At most 1, and exactly 1 for the likeliest: nothing overflows and the sum is never 0.
            Weighted { token: token as u32, weight: ((score - highest) / temperature).exp() }
        };
        let mut candidates: Vec<Weighted> = scores.iter().enumerate().map(weigh).collect();
        if let Some(count) = self.config.top_k {
            keep_likeliest(&mut candidates, count);
        }
        if let Some(share) = self.config.top_p.filter(|&share| share < 1.0) {
            keep_share(&mut candidates, share);
        }
        if let Some(share) = self.config.min_p {
            candidates.retain(|candidate| candidate.weight as f32 >= share);
        }
        // The filters leave some order of theirs; a draw must depend on the numbers alone.
        candidates.sort_unstable_by_key(|candidate| candidate.token);
        candidates
    }

    /// A number in [0, 1) with 53 random bits.
    fn uniform(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.random.next_u64() >> 11) as f64 * STEP
    }
}

/// A token with its probability relative to the likeliest token's.
#[derive(Debug, Clone, Copy)]
struct Weighted {
    token: u32,
    weight: f64,
}

impl Weighted {
    /// Likelier first, then by number: a total order, so that every choice among equals is settled.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        other.weight.total_cmp(&self.weight).then(self.token.cmp(&other.token))
    }
}

/// The token with the highest score, the lowest number among equals.
fn likeliest(scores: &[f64]) -> u32 {
    let mut best = 0;
    for (token, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = token;
        }
    }
    best as u32
}

/// Keeps the `count` likeliest candidates.
fn keep_likeliest(candidates: &mut Vec<Weighted>, count: usize) {
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count - 1, Weighted::order);
        candidates.truncate(count);
    }
}

/// Keeps the smallest set of likeliest candidates that together reach `share` of the whole. Compared in single
/// precision, as `share` was written: in double precision 0.5 + 0.3 would not reach the 0.8 of a configuration.
fn keep_share(candidates: &mut Vec<Weighted>, share: f32) {
    candidates.sort_unstable_by(Weighted::order);
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let mut reached = 0.0;
    let enough = candidates.iter().position(|candidate| {
        reached += candidate.weight;
        (reached / total) as f32 >= share
    });
    if let Some(last) = enough {
        candidates.truncate(last + 1);
    }
}
