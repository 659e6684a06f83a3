//! What a model does: where a text surprises it, what it writes at which temperature, and whether it is as often right
//! as it is sure.

use std::collections::BTreeSet;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, ExecutionError};
use kiln_convergence::Band;
use kiln_data::shards::PreparedData;
use kiln_inference::{Request, SamplerConfig, generate, score};
use kiln_kernels::Draws;
use kiln_models::{DocumentStarts, LanguageModel};

use crate::config::{BehaviourConfig, Study};
use crate::error::StudyError;
use crate::statistics::Share;
use crate::studies::Progress;
use crate::trained::Training;
use crate::windows::{draw, tokens};

/// Tokens of the text whose surprisal is drawn.
const SHOWN: usize = 240;
/// Tokens that repeat or don't.
const PHRASE: usize = 4;
/// Windows that calibration is measured on.
const WINDOWS: usize = 64;
const AT_ONCE: usize = 16;

/// A model.
#[derive(Debug, Clone)]
pub struct BehaviourFindings {
    /// Its name.
    pub name: String,
    /// The text of each token, and its -ln p, nats; nothing for a first token.
    pub surprisal: Vec<(String, Option<f64>)>,
    /// What was written at each temperature.
    pub written: Vec<Written>,
    /// Predictions by how sure they are.
    pub reliability: Vec<Bin>,
    /// The mean of how far a bin's share of right predictions is from its confidence, weighted by predictions.
    pub calibration_error: f64,
}

/// Texts of one temperature.
#[derive(Debug, Clone)]
pub struct Written {
    /// The temperature.
    pub temperature: f64,
    /// The share of different ones among all sequences of four tokens.
    pub diversity: Band,
    /// The loss of the text to the model that wrote it, at temperature 1, nats per token.
    pub self_loss: Band,
    /// How the first one begins.
    pub beginning: String,
}

/// Predictions whose likeliest token has a probability in a range.
#[derive(Debug, Clone, Copy)]
pub struct Bin {
    /// The mean probability of the likeliest token.
    pub confidence: f64,
    /// How often it was the right one. The interval takes predictions for independent of one another.
    pub right: Share,
}

/// The share of different ones among all sequences of `length` tokens.
pub fn diversity(ids: &[u32], length: usize) -> f64 {
    let all = ids.windows(length);
    let count = all.len();
    let different: BTreeSet<&[u32]> = all.collect();
    different.len() as f64 / count.max(1) as f64
}

/// The bins that are not empty, of pairs of a confidence and whether it was right, and the calibration error (Guo et
/// al. 2017, <https://arxiv.org/abs/1706.04599>).
pub fn reliability(predictions: &[(f64, bool)], bins: usize) -> (Vec<Bin>, f64) {
    let place = |confidence: f64| ((confidence * bins as f64) as usize).min(bins - 1);
    let mut found = Vec::new();
    let mut error = 0.0;
    for bin in 0..bins {
        let inside: Vec<&(f64, bool)> =
            predictions.iter().filter(|(confidence, _)| place(*confidence) == bin).collect();
        if inside.is_empty() {
            continue;
        }
        let confidence = inside.iter().map(|(confidence, _)| confidence).sum::<f64>() / inside.len() as f64;
        let right = Share::new(inside.iter().filter(|(_, right)| *right).count(), inside.len());
        error += (right.share() - confidence).abs() * inside.len() as f64 / predictions.len() as f64;
        found.push(Bin { confidence, right });
    }
    (found, error)
}

/// How sure each prediction in windows is, and whether it is right.
fn predictions(model: &LanguageModel, windows: &[Vec<u32>]) -> Result<Vec<(f64, bool)>, ExecutionError> {
    let mut found = Vec::new();
    for part in windows.chunks(AT_ONCE) {
        let length = part.first().map_or(0, |window| window.len() - 1);
        let read = tokens(part, 0..length, &model.device());
        let (features, _) = model.features(read, None, &DocumentStarts::default(), &mut Draws::none());
        let [rows, steps, width] = features.dims();
        let probabilities = log_softmax(model.logits_of(features.reshape([rows * steps, width])), 1);
        let numbers: Vec<f64> = probabilities.try_into_data()?.iter::<f64>().collect();
        let targets = part.iter().flat_map(|window| &window[1..]);
        for (row, target) in numbers.chunks(model.vocabulary_size()).zip(targets) {
            let best = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            found.push((best.exp().min(1.0), row[*target as usize] >= best));
        }
    }
    Ok(found)
}

/// The study of a file: the model of the first repeat; as many texts as there are repeats.
pub(crate) fn study(
    study: &Study,
    config: &BehaviourConfig,
    text: &PreparedData,
    device: &Device,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<BehaviourFindings>, StudyError> {
    let windows = draw(&text.validation, WINDOWS, study.run.context + 1, study.seed)?;
    let ids = match &config.text {
        Some(shown) => {
            text.tokenizer.encode(shown).map_err(|source| StudyError::Text { key: "study.behaviour.text", source })?
        }
        None => {
            let mut ids = vec![0; SHOWN.min(text.validation.len() as usize)];
            text.validation.read(0, &mut ids)?;
            ids
        }
    };
    let mut progress = Progress::new(study.models.len() * 2, progress);
    let mut findings = Vec::new();
    for model in &study.models {
        let training = Training::new(study, model, 0, study.run.steps, text, device)?;
        let trained = training.finished(&mut progress)?;
        let vocabulary = text.tokenizer.vocabulary_size();
        let scores = score(&trained, vocabulary, &ids, 0, 0)?;
        let surprisal = scores
            .iter()
            .map(|score| (text.tokenizer.decode(&[score.token]), score.log_probability.map(|nats| -nats)))
            .collect();
        let mut written = Vec::new();
        for (index, temperature) in config.temperatures.iter().enumerate() {
            written.push(write(study, config, &trained, text, *temperature)?);
            progress.within(index as f64 / config.temperatures.len() as f64)?;
        }
        let (reliability, calibration_error) = reliability(&predictions(&trained, &windows)?, config.bins);
        let name = model.name.clone();
        findings.push(BehaviourFindings { name, surprisal, written, reliability, calibration_error });
        progress.next()?;
    }
    Ok(findings)
}

fn write(
    study: &Study,
    config: &BehaviourConfig,
    model: &LanguageModel,
    text: &PreparedData,
    temperature: f64,
) -> Result<Written, StudyError> {
    let (mut different, mut losses, mut beginning) = (Vec::new(), Vec::new(), String::new());
    for repeat in 0..study.seeds {
        let sampler = SamplerConfig {
            temperature: temperature as f32,
            seed: study.seed + repeat as u64,
            ..SamplerConfig::default()
        };
        let request = Request { sampler, ..Request::new("", config.tokens) };
        let pieces: Result<Vec<_>, _> = generate(model, &text.tokenizer, &request)?.collect();
        let ids: Vec<u32> = pieces?.into_iter().map(|piece| piece.token).collect();
        if repeat == 0 {
            beginning = text.tokenizer.decode(&ids[..ids.len().min(120)]);
        }
        let scores = score(model, text.tokenizer.vocabulary_size(), &ids, 0, 0)?;
        let nats: Vec<f64> = scores.iter().filter_map(|score| score.log_probability).collect();
        losses.push(-nats.iter().sum::<f64>() / nats.len().max(1) as f64);
        different.push(diversity(&ids, PHRASE));
    }
    let (diversity, self_loss) = (Band::of_95(&different), Band::of_95(&losses));
    Ok(Written { temperature, diversity, self_loss, beginning })
}

#[cfg(test)]
mod tests {
    use kiln_models::{LstmConfig, ModelConfig};

    use super::*;

    #[test]
    fn diversity_counts_different_phrases() {
        // abab has the pairs ab, ba, ab.
        assert!((diversity(&[1, 2, 1, 2], 2) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(diversity(&[1, 1, 1, 1, 1], 4), 0.5);
        assert_eq!(diversity(&[1, 2, 3], 1), 1.0);
    }

    #[test]
    fn bins_hold_what_they_say() {
        let predictions = [(0.95, true), (0.85, false), (0.95, true), (0.1, false), (1.0, true)];
        let (bins, error) = reliability(&predictions, 2);
        assert_eq!(bins.len(), 2);
        assert_eq!((bins[0].right.count, bins[0].right.of, bins[1].right.count, bins[1].right.of), (0, 1, 3, 4));
        assert!((bins[1].confidence - 0.9375).abs() < 1e-12);
        // 1/5 of 0.1, and 4/5 of 0.9375 - 0.75.
        assert!((error - (0.1 / 5.0 + 0.8 * 0.1875)).abs() < 1e-12, "{error}");
    }

    #[test]
    fn a_fresh_model_is_unsure_and_right_by_chance() {
        let config = ModelConfig::Lstm(LstmConfig { layers: 1, hidden: 8, ..LstmConfig::default() });
        let model = config.init(7, 8, 1, &Device::flex());
        let windows: Vec<Vec<u32>> =
            (0..20).map(|first| (0..9).map(|place| (first * 5 + place * place) % 7).collect()).collect();
        let found = predictions(&model, &windows).expect("it computes");
        assert_eq!(found.len(), 160);
        assert!(found.iter().all(|(confidence, _)| (1.0 / 7.0..0.4).contains(confidence)));
    }
}
