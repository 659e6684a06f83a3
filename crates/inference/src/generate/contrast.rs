//! The difference between a model and a weaker one.

use kiln_models::LanguageModel;

use super::reader::{ModelReader, Reader};
use super::request::GenerateError;
use crate::sampler::EXCLUDED;

/// How a strong model is set against a weak one: what only the strong one finds likely gains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contrast {
    /// Tokens less likely than this share of the likeliest, to the strong model, are not written. Above 0, at most 1.
    pub alpha: f32,
    /// Without it the score of a token is ln p(strong) - ln p(weak) (Li et al. 2023,
    /// <https://arxiv.org/abs/2210.15097>); with it (1 + beta) times the logit of the strong one minus beta times that
    /// of the weak one (O'Brien and Lewis 2023, <https://arxiv.org/abs/2309.09117>). Finite, 0 or more.
    pub beta: Option<f32>,
}

impl Default for Contrast {
    fn default() -> Self {
        Self { alpha: 0.1, beta: None }
    }
}

impl Contrast {
    /// What makes no sense of the numbers.
    pub fn violation(self) -> Option<String> {
        if !(self.alpha > 0.0 && self.alpha <= 1.0) {
            return Some(format!("alpha must be greater than 0 and at most 1, is {}", self.alpha));
        }
        let beta = self.beta.filter(|beta| !(beta.is_finite() && *beta >= 0.0))?;
        Some(format!("beta must be a finite number of 0 or more, is {beta}"))
    }

    /// The scores that take the place of the logits.
    fn scores(self, strong: &[f32], weak: &[f32]) -> Vec<f32> {
        let highest = highest(strong);
        let floor = highest + f64::from(self.alpha).ln();
        let (own, other) = match self.beta {
            Some(beta) => (1.0 + f64::from(beta), f64::from(beta)),
            None => (1.0, 1.0),
        };
        let shift = if self.beta.is_none() { log_sum(weak) - log_sum(strong) } else { 0.0 };
        let score = |(&strong, &weak): (&f32, &f32)| {
            let (strong, weak) = (f64::from(strong), f64::from(weak));
            // What is not a number stays one, for the sampler to complain of.
            if strong < floor { EXCLUDED } else { (own * strong - other * weak + shift) as f32 }
        };
        strong.iter().zip(weak).map(score).collect()
    }
}

fn highest(logits: &[f32]) -> f64 {
    f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

/// ln of the sum of the exponentials.
fn log_sum(logits: &[f32]) -> f64 {
    let highest = highest(logits);
    highest + logits.iter().map(|&logit| (f64::from(logit) - highest).exp()).sum::<f64>().ln()
}

/// Two models that read the same texts.
pub(super) struct ContrastReader<'a> {
    strong: ModelReader<'a>,
    weak: ModelReader<'a>,
    contrast: Contrast,
    vocabulary: usize,
}

impl<'a> ContrastReader<'a> {
    /// Of models that both know the first `vocabulary` tokens.
    pub(super) fn new(
        strong: &'a LanguageModel,
        weak: &'a LanguageModel,
        contrast: Contrast,
        vocabulary: usize,
    ) -> Result<Self, GenerateError> {
        if let Some(violation) = contrast.violation() {
            return Err(GenerateError::Contrast(violation));
        }
        let known = weak.vocabulary_size();
        if known < vocabulary {
            return Err(GenerateError::SecondModel { known, needed: vocabulary });
        }
        Ok(Self { strong: ModelReader::new(strong), weak: ModelReader::new(weak), contrast, vocabulary })
    }

    fn scores(&self, strong: Vec<Vec<f32>>, weak: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let known = |logits: &Vec<f32>| logits.len().min(self.vocabulary);
        let scores = |(strong, weak): (&Vec<f32>, &Vec<f32>)| {
            self.contrast.scores(&strong[..known(strong)], &weak[..known(weak)])
        };
        strong.iter().zip(&weak).map(scores).collect()
    }
}

impl Reader for ContrastReader<'_> {
    fn vocabulary_size(&self) -> usize {
        self.vocabulary
    }

    fn read(&mut self, tokens: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        let (strong, weak) = (self.strong.read(tokens)?, self.weak.read(tokens)?);
        Ok(self.scores(strong, weak))
    }

    fn room(&self) -> usize {
        self.strong.room().min(self.weak.room())
    }

    fn read_each(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>, String> {
        let (strong, weak) = (self.strong.read_each(tokens)?, self.weak.read_each(tokens)?);
        Ok(self.scores(strong, weak))
    }

    fn forget(&mut self, count: usize) {
        self.strong.forget(count);
        self.weak.forget(count);
    }

    fn keep(&mut self, rows: &[usize]) {
        self.strong.keep(rows);
        self.weak.keep(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::Contrast;
    use crate::sampler::{History, Sampler, SamplerConfig};

    /// Logits with an offset each, which a distribution does not see.
    fn logits(probabilities: [f64; 5], offset: f64) -> Vec<f32> {
        probabilities.iter().map(|probability| (probability.ln() + offset) as f32).collect()
    }

    #[test]
    fn what_is_left_is_the_quotient_of_the_probabilities() {
        let strong = logits([0.5, 0.3, 0.15, 0.04, 0.01], 3.0);
        let weak = logits([0.7, 0.1, 0.1, 0.09, 0.01], -2.0);
        let sampler = SamplerConfig { temperature: 1.0, ..SamplerConfig::default() };
        let found = |contrast: Contrast| {
            let sampler = Sampler::new(sampler.clone()).unwrap();
            let candidates = sampler.distribution(&contrast.scores(&strong, &weak), &History::default()).unwrap();
            candidates.iter().map(|candidate| candidate.probability).collect::<Vec<f64>>()
        };
        let close = |found: Vec<f64>, expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
            }
        };
        // 5/7, 3 and 3/2 of their sum 73/14; the others are below a tenth of 0.5.
        close(found(Contrast::default()), &[10.0 / 73.0, 42.0 / 73.0, 21.0 / 73.0]);
        // Squared by the square: 0.25 / 0.7, 0.09 / 0.1, 0.0225 / 0.1.
        let (a, b, c) = (0.25 / 0.7, 0.9, 0.225);
        let total = a + b + c;
        close(found(Contrast { beta: Some(1.0), ..Contrast::default() }), &[a / total, b / total, c / total]);
        close(found(Contrast { alpha: 1.0, beta: None }), &[1.0]);
        let scores = Contrast::default().scores(&strong, &weak);
        assert!((f64::from(scores[1]) - 3.0_f64.ln()).abs() < 1e-6, "{}", scores[1]);
    }

    #[test]
    fn numbers_that_make_no_sense_are_named() {
        for (alpha, beta, word) in [(0.0, None, "alpha"), (f32::NAN, None, "alpha"), (0.1, Some(-1.0), "beta")] {
            assert!(Contrast { alpha, beta }.violation().unwrap().starts_with(word));
        }
        assert_eq!(Contrast { alpha: 1.0, beta: Some(0.0) }.violation(), None);
    }
}
