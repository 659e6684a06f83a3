//! How far the predictions of one model are from those of another, token by token over a text.

use burn::tensor::{ExecutionError, Int, Tensor, TensorData};
use kiln_data::batches::{EvaluationBatch, EvaluationPlan};
use kiln_data::shards::TokenFile;
use kiln_models::{Draws, LanguageModel, State};
use serde::Serialize;

use crate::evaluation::{Evaluation, EvaluationError};

/// A mean over the tokens of a text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error, from how the means of the windows differ: neighbours in a window are not independent.
    /// Nothing where there is only one window.
    pub standard_error: Option<f64>,
}

/// Two models on one text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// The loss of the second model.
    pub evaluation: Evaluation,
    /// The same with its standard error.
    pub loss: Mean,
    /// Its loss less that of the first model, nats per token; the error is that of the difference, token by token.
    pub difference: Mean,
    /// Kullback-Leibler divergence of its distribution from that of the first model, nats per token.
    pub divergence: Mean,
    /// The share of tokens before which both hold the same token for the likeliest.
    pub agreement: Mean,
}

/// Compares `second` with `first` on the batches of `plan` for `file`; both are without autodiff and of one vocabulary.
///
/// `proceed` gets the number of batches done and may stop the comparison, which then gives `None`.
///
/// # Errors
/// See [`EvaluationError`].
pub fn compare(
    first: &LanguageModel,
    second: &LanguageModel,
    file: &TokenFile,
    plan: &EvaluationPlan,
    proceed: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Comparison>, EvaluationError> {
    let mut readers = [first, second].map(|model| Reader { model, state: None });
    let mut windows = Vec::new();
    for index in 0..plan.batches() {
        if !proceed(index) {
            return Ok(None);
        }
        let batch = plan.read(file, index)?;
        let [first, second] = &mut readers;
        let (first, second) = (first.read(&batch)?, second.read(&batch)?);
        let vocabulary = first.len() / batch.weights.len().max(1);
        let of_row = |row: usize| {
            let mut window = Window::default();
            for place in row * batch.columns..(row + 1) * batch.columns {
                let logits = place * vocabulary..(place + 1) * vocabulary;
                if batch.weights[place] > 0.0 {
                    window.add(&first[logits.clone()], &second[logits], batch.targets[place] as usize);
                }
            }
            window
        };
        windows.extend((0..batch.rows).map(of_row).filter(|window| window.tokens > 0));
    }
    let mean = |of: fn(&Window) -> f64| Mean::of(windows.iter().map(|window| (of(window), window.tokens)));
    let tokens = windows.iter().map(|window| window.tokens).sum();
    let loss = mean(|window| window.nats);
    Ok(Some(Comparison {
        evaluation: Evaluation::new(loss.mean, tokens, file),
        loss,
        difference: mean(|window| window.difference),
        divergence: mean(|window| window.divergence),
        agreement: mean(|window| window.agreed),
    }))
}

impl Mean {
    /// A share in per cent.
    #[must_use]
    pub fn percent(self) -> Self {
        Self { mean: 100.0 * self.mean, standard_error: self.standard_error.map(|error| 100.0 * error) }
    }

    /// The ratio of two sums over windows that are independent of each other, of values and of how many there are.
    fn of(windows: impl Iterator<Item = (f64, u64)> + Clone) -> Self {
        let (count, sum, tokens) = windows
            .clone()
            .fold((0_u64, 0.0, 0.0), |(count, sum, tokens), (value, of)| (count + 1, sum + value, tokens + of as f64));
        let mean = sum / tokens;
        let squares: f64 = windows.map(|(value, of)| (value - mean * of as f64).powi(2)).sum();
        let variance = squares * count as f64 / (count as f64 - 1.0) / (tokens * tokens);
        Self { mean, standard_error: (count > 1).then(|| variance.sqrt()) }
    }
}

/// Sums over the tokens of a window.
#[derive(Debug, Default, Clone, Copy)]
struct Window {
    tokens: u64,
    nats: f64,
    difference: f64,
    divergence: f64,
    agreed: f64,
}

impl Window {
    /// The logits of both models before a token.
    fn add(&mut self, first: &[f32], second: &[f32], target: usize) {
        let (of_first, of_second) = (Normalizer::of(first), Normalizer::of(second));
        let divergence = |(first, second): (&f32, &f32)| {
            let logarithm = of_first.logarithm(*first);
            logarithm.exp() * (logarithm - of_second.logarithm(*second))
        };
        let nats = -of_second.logarithm(second[target]);
        self.tokens += 1;
        self.nats += nats;
        self.difference += nats + of_first.logarithm(first[target]);
        self.divergence += first.iter().zip(second).map(divergence).sum::<f64>();
        self.agreed += f64::from(u8::from(of_first.likeliest == of_second.likeliest));
    }
}

/// What makes logits logarithms of probabilities.
struct Normalizer {
    likeliest: usize,
    logarithm: f64,
}

impl Normalizer {
    fn of(logits: &[f32]) -> Self {
        let larger = |best: usize, (index, logit): (usize, &f32)| if *logit > logits[best] { index } else { best };
        let likeliest = logits.iter().enumerate().fold(0, larger);
        let most = f64::from(logits[likeliest]);
        let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - most).exp()).sum();
        Self { likeliest, logarithm: most + sum.ln() }
    }

    fn logarithm(&self, logit: f32) -> f64 {
        f64::from(logit) - self.logarithm
    }
}

/// A model on its way through a text.
struct Reader<'a> {
    model: &'a LanguageModel,
    state: Option<State>,
}

impl Reader<'_> {
    /// The logits after every token of a batch, `[rows, columns, vocabulary]`.
    fn read(&mut self, batch: &EvaluationBatch) -> Result<Vec<f32>, ExecutionError> {
        let data = TensorData::new(batch.inputs.clone(), [batch.rows, batch.columns]);
        let tokens = Tensor::<2, Int>::from_data(data, &self.model.device());
        let before = self.state.take().filter(|_| batch.carries_state);
        let (features, after) = self.model.features(tokens, before, &batch.document_starts, &mut Draws::none());
        self.state = after;
        let [rows, columns, width] = features.dims();
        let logits = self.model.logits_of(features.reshape([rows * columns, width]));
        Ok(logits.try_into_data()?.iter::<f32>().collect())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use kiln_models::{GruConfig, ModelConfig, Tokenizer, TokenizerConfig, TransformerConfig};

    use super::*;
    use crate::evaluation::evaluate;

    #[test]
    fn a_window_is_summed_as_by_hand() {
        // p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2), target 2.
        let logarithms = |shares: [f32; 3]| shares.map(|share| share.ln() + 3.0);
        let mut window = Window::default();
        window.add(&logarithms([0.5, 0.25, 0.25]), &logarithms([0.25, 0.25, 0.5]), 2);
        let two = std::f64::consts::LN_2;
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
        close(window.nats, two);
        close(window.difference, -two);
        // 1/2 ln 2 + 1/4 ln 1/2.
        close(window.divergence, two / 4.0);
        assert_eq!((window.agreed, window.tokens), (0.0, 1));
    }

    #[test]
    fn the_error_of_a_mean_is_that_of_its_windows() {
        // Windows of one size with means 1 and 3: the mean is 2, and the error sqrt(2) / sqrt(2).
        let mean = Mean::of([(4.0, 4), (12.0, 4)].into_iter());
        assert_eq!((mean.mean, mean.standard_error), (2.0, Some(1.0)));
        assert_eq!(Mean::of([(4.0, 4)].into_iter()).standard_error, None);
    }

    #[test]
    fn every_family_is_itself_and_has_the_loss_of_its_evaluation() {
        let text = "so much depends upon a red wheel barrow glazed with rain water ".repeat(8);
        let tokenizer = Tokenizer::train(
            &TokenizerConfig::Character(kiln_models::CharacterTokenizerConfig::default()),
            &mut std::iter::once(Ok(text.clone())),
        )
        .unwrap();
        let file = TokenFile::in_memory(&text, &tokenizer).unwrap();
        let gru = ModelConfig::Gru(GruConfig { layers: 1, hidden: 8, ..GruConfig::default() });
        let transformer = TransformerConfig { layers: 1, heads: 2, width: 8, ..TransformerConfig::default() };
        for config in [gru, ModelConfig::Transformer(transformer)] {
            let model = |seed| config.init(tokenizer.vocabulary_size(), 16, seed, &Device::flex());
            let (first, second) = (model(1), model(2));
            let plan = EvaluationPlan::of_text(&file, 3, 16, first.carries_state_between_windows()).unwrap();
            let found = compare(&first, &second, &file, &plan, &mut |_| true).unwrap().unwrap();
            let expected = evaluate(&second, &file, &plan.clone().into(), &mut |_| true).unwrap().unwrap();
            assert!((found.evaluation.loss - expected.loss).abs() < 1e-6, "{}", config.name());
            assert_eq!(found.evaluation.tokens, expected.tokens);
            let of_first = evaluate(&first, &file, &plan.clone().into(), &mut |_| true).unwrap().unwrap();
            assert!((found.difference.mean - (expected.loss - of_first.loss)).abs() < 1e-6);
            assert!(found.divergence.mean > 0.0 && found.agreement.mean < 1.0);
            let same = compare(&first, &first, &file, &plan, &mut |_| true).unwrap().unwrap();
            assert_eq!((same.difference.mean, same.divergence.mean, same.agreement.mean), (0.0, 0.0, 1.0));
            assert!(compare(&first, &first, &file, &plan, &mut |_| false).unwrap().is_none());
        }
    }
}
