//! Where the heads of a transformer look.

use burn::tensor::{Device, ExecutionError, Int, Tensor};
use kiln_data::batches::mix;
use kiln_data::shards::PreparedData;
use kiln_models::{LanguageModel, Tokenizer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::{AttentionConfig, Study};
use crate::error::StudyError;
use crate::studies::Progress;
use crate::trained::Training;
use crate::windows::{draw, tokens};

/// Windows that are read at once.
const AT_ONCE: usize = 8;

/// Weights of a head: what each query gives to each key, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Tokens, T.
    pub tokens: usize,
    /// `[T, T]`; each row gives 1 in all.
    pub weights: Vec<f64>,
}

/// What a head does, the means over windows and queries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadScores {
    /// How far back it looks, tokens.
    pub distance: f64,
    /// How spread what it looks at is, nats; exp of it is as many tokens seen alike.
    pub entropy: f64,
    /// The weight of the token before.
    pub previous: f64,
    /// On random tokens that come twice in the same order, the weight of the one after the earlier copy (Olsson et al.
    /// 2022, <https://arxiv.org/abs/2209.11895>).
    pub induction: f64,
}

/// A model's attention on a text.
#[derive(Debug, Clone)]
pub struct AttentionMaps {
    /// The text of each token.
    pub tokens: Vec<String>,
    /// By layer and head, the lowest first.
    pub maps: Vec<Vec<Map>>,
    /// How much of each token reaches each one through all layers.
    pub rollout: Map,
}

/// What all heads do.
#[derive(Debug, Clone, PartialEq)]
pub struct AllScores {
    /// By layer and head.
    pub heads: Vec<Vec<HeadScores>>,
    /// What a head would score that gives every token that it sees the same.
    pub even: HeadScores,
}

/// The attention of a model.
#[derive(Debug, Clone)]
pub struct AttentionFindings {
    /// The model.
    pub name: String,
    /// Maps of a text.
    pub maps: AttentionMaps,
    /// What its heads do.
    pub scores: AllScores,
}

impl Map {
    /// What query `query` gives to key `key`.
    pub fn at(&self, query: usize, key: usize) -> f64 {
        self.weights[query * self.tokens + key]
    }

    fn mean(&self, of: impl Fn(usize, usize) -> f64, queries: std::ops::Range<usize>) -> f64 {
        let count = queries.len() as f64;
        queries.map(|query| (0..=query).map(|key| of(query, key)).sum::<f64>()).sum::<f64>() / count
    }

    /// How far back, but for the first token, which has no choice.
    pub fn distance(&self) -> f64 {
        self.mean(|query, key| self.at(query, key) * (query - key) as f64, 1..self.tokens)
    }

    /// The entropy, likewise.
    pub fn entropy(&self) -> f64 {
        let of = |weight: f64| if weight > 0.0 { -weight * weight.ln() } else { 0.0 };
        self.mean(|query, key| of(self.at(query, key)), 1..self.tokens)
    }

    /// The weight of the token before.
    pub fn previous(&self) -> f64 {
        self.mean(|query, key| if key + 1 == query { self.at(query, key) } else { 0.0 }, 1..self.tokens)
    }

    /// In a text that is `period` tokens twice: the weight of the token after the earlier copy of the query.
    pub fn induction(&self, period: usize) -> f64 {
        self.mean(|query, key| if key + period == query + 1 { self.at(query, key) } else { 0.0 }, period..self.tokens)
    }

    /// Every token that is seen has the same weight.
    pub fn even(tokens: usize) -> Self {
        let weight = |place: usize| {
            let (query, key) = (place / tokens, place % tokens);
            if key <= query { 1.0 / (query + 1) as f64 } else { 0.0 }
        };
        Self { tokens, weights: (0..tokens * tokens).map(weight).collect() }
    }
}

/// Rollout (Abnar and Zuidema 2020, <https://arxiv.org/abs/2005.00928>): in each layer half of a token comes from
/// itself, past the attention, and half from the mean over the heads; the product over the layers is what reaches each
/// token from each.
pub fn rollout(layers: &[Vec<Map>]) -> Map {
    let tokens = layers.first().and_then(|heads| heads.first()).map_or(0, |map| map.tokens);
    let one = |place: usize| f64::from(u8::from(place / tokens == place % tokens));
    let mut flow: Vec<f64> = (0..tokens * tokens).map(one).collect();
    for heads in layers {
        let mixed: Vec<f64> = (0..tokens * tokens)
            .map(|place| {
                let mean = heads.iter().map(|map| map.weights[place]).sum::<f64>() / heads.len() as f64;
                0.5 * mean + 0.5 * one(place)
            })
            .collect();
        let product = |place: usize| {
            let (query, key) = (place / tokens, place % tokens);
            (0..tokens).map(|middle| mixed[query * tokens + middle] * flow[middle * tokens + key]).sum()
        };
        flow = (0..tokens * tokens).map(product).collect();
    }
    Map { tokens, weights: flow }
}

/// The maps of windows of one length, by window, layer and head; nothing for a model without attention.
fn maps(model: &LanguageModel, windows: Tensor<2, Int>) -> Result<Option<Vec<Vec<Vec<Map>>>>, ExecutionError> {
    let [rows, steps] = windows.dims();
    let Some(layers) = model.attention_weights(windows) else { return Ok(None) };
    let mut found = vec![Vec::with_capacity(layers.len()); rows];
    for layer in layers {
        let [_, heads, ..] = layer.dims();
        let numbers: Vec<f64> = layer.try_into_data()?.iter::<f64>().collect();
        let map = |weights: &[f64]| Map { tokens: steps, weights: weights.to_vec() };
        for (window, numbers) in found.iter_mut().zip(numbers.chunks(heads * steps * steps)) {
            window.push(numbers.chunks(steps * steps).map(map).collect());
        }
    }
    Ok(Some(found))
}

/// The attention of a model on the tokens of a text; nothing for a model without attention.
///
/// # Errors
/// The device fails.
pub fn maps_of_text(
    model: &LanguageModel,
    tokenizer: &Tokenizer,
    ids: &[u32],
) -> Result<Option<AttentionMaps>, ExecutionError> {
    let window = tokens(&[ids.to_vec()], 0..ids.len(), &model.device());
    let Some(mut found) = maps(model, window)? else { return Ok(None) };
    let maps = found.pop().unwrap_or_default();
    let tokens = ids.iter().map(|id| tokenizer.decode(&[*id])).collect();
    Ok(Some(AttentionMaps { tokens, rollout: rollout(&maps), maps }))
}

/// What each head does on windows of a text, by layer and head, and what an even one would; nothing for a model without
/// attention.
///
/// # Errors
/// The device fails.
pub fn scores(model: &LanguageModel, windows: &[Vec<u32>], seed: u64) -> Result<Option<AllScores>, ExecutionError> {
    let (length, device) = (windows.first().map_or(0, Vec::len), model.device());
    let period = (length / 2).max(1);
    let mut random = ChaCha8Rng::seed_from_u64(mix(seed, 17));
    let vocabulary = model.vocabulary_size() as u32;
    let twice = |_| {
        let once: Vec<u32> = (0..period).map(|_| random.random_range(0..vocabulary)).collect();
        [once.clone(), once].concat()
    };
    let repeated: Vec<Vec<u32>> = windows.iter().map(twice).collect();
    let mut sums: Vec<Vec<[f64; 4]>> = Vec::new();
    for (windows, repeated) in windows.chunks(AT_ONCE).zip(repeated.chunks(AT_ONCE)) {
        let of_text = maps(model, tokens(windows, 0..length, &device))?;
        let of_copies = maps(model, tokens(repeated, 0..2 * period, &device))?;
        let (Some(of_text), Some(of_copies)) = (of_text, of_copies) else { return Ok(None) };
        for (text, copies) in of_text.iter().zip(&of_copies) {
            sums.resize(text.len(), Vec::new());
            for (sums, (text, copies)) in sums.iter_mut().zip(text.iter().zip(copies)) {
                sums.resize(text.len(), [0.0; 4]);
                for (sums, (text, copies)) in sums.iter_mut().zip(text.iter().zip(copies)) {
                    let found = [text.distance(), text.entropy(), text.previous(), copies.induction(period)];
                    sums.iter_mut().zip(found).for_each(|(sum, score)| *sum += score);
                }
            }
        }
    }
    let count = windows.len() as f64;
    let mean = |[distance, entropy, previous, induction]: &[f64; 4]| HeadScores {
        distance: distance / count,
        entropy: entropy / count,
        previous: previous / count,
        induction: induction / count,
    };
    let even = Map::even(length);
    let even = HeadScores {
        distance: even.distance(),
        entropy: even.entropy(),
        previous: even.previous(),
        induction: Map::even(2 * period).induction(period),
    };
    Ok(Some(AllScores { heads: sums.iter().map(|layer| layer.iter().map(mean).collect()).collect(), even }))
}

/// The study of a file: the model of the first repeat.
pub(crate) fn study(
    study: &Study,
    config: &AttentionConfig,
    text: &PreparedData,
    device: &Device,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<AttentionFindings>, StudyError> {
    let windows = draw(&text.validation, config.windows, study.run.context, study.seed)?;
    let mut ids = match &config.text {
        Some(shown) => {
            text.tokenizer.encode(shown).map_err(|source| StudyError::Text { key: "study.attention.text", source })?
        }
        None => {
            let mut ids = vec![0; config.tokens.min(text.validation.len() as usize)];
            text.validation.read(0, &mut ids)?;
            ids
        }
    };
    ids.truncate(config.tokens.min(study.run.context));
    let mut progress = Progress::new(study.models.len(), progress);
    let mut findings = Vec::new();
    for model in &study.models {
        let training = Training::new(study, model, 0, study.run.steps, text, device)?;
        let trained = training.finished(&mut progress)?;
        let found = (maps_of_text(&trained, &text.tokenizer, &ids)?, scores(&trained, &windows, study.seed)?);
        if let (Some(maps), Some(scores)) = found {
            findings.push(AttentionFindings { name: model.name.clone(), maps, scores });
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use kiln_models::{ModelConfig, TransformerConfig};

    use super::*;

    fn map<const N: usize>(rows: [[f64; N]; N]) -> Map {
        Map { tokens: N, weights: rows.concat() }
    }

    #[test]
    fn the_scores_of_a_map_are_those_by_hand() {
        let found = map([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.75, 0.0]]);
        assert_eq!(found.distance(), (0.5 + 0.5 + 0.75) / 2.0);
        assert_eq!(found.previous(), (0.5 + 0.75) / 2.0);
        let two = std::f64::consts::LN_2;
        let second = -0.25 * 0.25_f64.ln() - 0.75 * 0.75_f64.ln();
        assert!((found.entropy() - (two + second) / 2.0).abs() < 1e-12);
        // a b a b: the second a looks at the b behind the first, the second b at the second a.
        let copies = map([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.2, 0.8, 0.0, 0.0], [0.0, 0.0, 0.6, 0.4]]);
        assert_eq!(copies.induction(2), (0.8 + 0.6) / 2.0);
        assert!((Map::even(3).distance() - (0.5 + 1.0) / 2.0).abs() < 1e-12);
        assert!((Map::even(4).induction(2) - (1.0 / 3.0 + 0.25) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn rollout_is_that_by_hand() {
        let first = vec![map([[1.0, 0.0], [1.0, 0.0]]), map([[1.0, 0.0], [0.0, 1.0]])];
        // Half of token 1 is itself and a quarter each comes through the heads: (1/4, 3/4).
        assert_eq!(rollout(std::slice::from_ref(&first)).weights, [1.0, 0.0, 0.25, 0.75]);
        // Then half of that, and half of token 0 by the second layer's head.
        let second = vec![map([[1.0, 0.0], [1.0, 0.0]])];
        assert_eq!(rollout(&[first, second]).weights, [1.0, 0.0, 0.625, 0.375]);
    }

    #[test]
    fn a_fresh_model_looks_about_evenly() {
        let config = TransformerConfig { layers: 2, heads: 2, width: 16, ..TransformerConfig::default() };
        let model = ModelConfig::Transformer(config).init(7, 12, 1, &Device::flex());
        let windows: Vec<Vec<u32>> =
            (0..10).map(|first| (0..12).map(|place| (first + place * 3) % 7).collect()).collect();
        let AllScores { heads: found, even } =
            scores(&model, &windows, 1).expect("it computes").expect("it has attention");
        assert_eq!((found.len(), found[0].len()), (2, 2));
        for head in found.iter().flatten() {
            assert!((head.distance / even.distance - 1.0).abs() < 0.05, "{head:?} {even:?}");
            assert!((head.entropy / even.entropy - 1.0).abs() < 0.05, "{head:?} {even:?}");
            assert!((head.induction / even.induction - 1.0).abs() < 0.1, "{head:?} {even:?}");
        }
    }
}
