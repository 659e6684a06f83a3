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
pub(crate) use filters::EXCLUDED;
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

/// A token that one model drew, for another to judge.
pub(crate) struct Proposal {
    pub(crate) token: u32,
    /// What it was drawn from, in the order of the tokens' numbers.
    candidates: Vec<Candidate>,
}

impl Proposal {
    fn probability_of(&self, token: u32) -> f64 {
        let place = self.candidates.binary_search_by_key(&token, |candidate| candidate.token);
        place.map_or(0.0, |place| self.candidates[place].probability)
    }
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
    /// Of what is drawn for another sampler to judge.
    proposals: ChaCha12Rng,
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
        let mut proposals = ChaCha12Rng::from_seed(key);
        proposals.set_stream(2);
        let bound = config.mirostat.map_or(0.0, |mirostat| 2.0 * f64::from(mirostat.surprise));
        Ok(Self { config, random: ChaCha12Rng::from_seed(key), chances, proposals, bound, candidates: Vec::new() })
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

    /// A token drawn from the logits of another model, for [`Sampler::judge`].
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub(crate) fn propose(&mut self, logits: &[f32], history: &History) -> Result<Proposal, SampleError> {
        let candidates = self.distribution(logits, history)?;
        let mut left = uniform(&mut self.proposals);
        let drawn = candidates.iter().find(|candidate| {
            left -= candidate.probability;
            left < 0.0
        });
        let drawn = drawn.or_else(|| candidates.iter().rev().find(|candidate| candidate.probability > 0.0));
        Ok(Proposal { token: drawn.ok_or(SampleError::Empty)?.token, candidates })
    }

    /// The next token: the one that was proposed, or another, so that together they have the distribution of
    /// [`Sampler::sample`] (Leviathan et al. 2023, <https://arxiv.org/abs/2211.17192>, algorithm 1). With probability p
    /// here and q there it is taken by the chance p / q, else one is drawn from what p has above q.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub(crate) fn judge(&mut self, logits: &[f32], history: &History, proposal: &Proposal) -> Result<u32, SampleError> {
        let mut candidates = std::mem::take(&mut self.candidates);
        let chosen = self.weigh(logits, history, &mut candidates);
        let token =
            chosen.map(
                |likeliest| {
                    if self.is_greedy() { likeliest } else { self.draw_after(proposal, &candidates, likeliest) }
                },
            );
        self.candidates = candidates;
        token
    }

    /// One of the candidates by their weights, given one that was proposed.
    fn draw_after(&mut self, proposal: &Proposal, candidates: &[Weighted], likeliest: u32) -> u32 {
        let total = total(candidates);
        self.chances.next_u64();
        let chance = uniform(&mut self.random);
        let own = candidates.binary_search_by_key(&proposal.token, |candidate| candidate.token);
        let own = own.map_or(0.0, |place| candidates[place].weight / total);
        let taken = (own / proposal.probability_of(proposal.token)).min(1.0);
        let token = if chance < taken {
            proposal.token
        } else {
            // What is left of the chance is uniform, too: a token takes one random number, however it is chosen.
            let chance = (chance - taken) / (1.0 - taken);
            let above = |candidate: &Weighted| candidate.weight / total - proposal.probability_of(candidate.token);
            let rest =
                candidates.iter().map(|candidate| (candidate.token, above(candidate))).filter(|rest| rest.1 > 0.0);
            let rest: Vec<(u32, f64)> = rest.collect();
            let mut left = chance * rest.iter().map(|(_, above)| above).sum::<f64>();
            let crossed = rest.iter().find(|(_, above)| {
                left -= above;
                left < 0.0
            });
            // Nothing is above where rounding alone tells the two apart.
            crossed.or(rest.last()).map_or(likeliest, |(token, _)| *token)
        };
        self.learn(token, candidates, total);
        token
    }

    /// Mirostat's bound after a token.
    fn learn(&mut self, token: u32, candidates: &[Weighted], total: f64) {
        let Some(mirostat) = self.config.mirostat else { return };
        if let Ok(place) = candidates.binary_search_by_key(&token, |candidate| candidate.token) {
            let error = -(candidates[place].weight / total).log2() - f64::from(mirostat.surprise);
            self.bound -= f64::from(mirostat.rate) * error;
        }
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
        let token = drawn.map_or(likeliest, |candidate| candidate.token);
        self.learn(token, candidates, total);
        token
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
