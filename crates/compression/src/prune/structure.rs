//! Layers, heads and neurons left out: what remains is a smaller model of the same kind.

use std::collections::BTreeSet;

use kiln_models::{GruConfig, LanguageModel, LstmConfig, ModelConfig, RnnConfig, Sums, TransformerConfig};

use super::config::{PruneConfig, Score};
use super::parameters::{Parameters, all_but_the_least};
use crate::calibration::{Calibration, Walk};
use crate::error::CompressionError;

/// A model with what describes it.
pub(super) struct Structure<'a> {
    pub(super) model: &'a mut LanguageModel,
    pub(super) config: &'a mut ModelConfig,
    pub(super) context: usize,
    pub(super) calibration: &'a Calibration,
}

impl Structure<'_> {
    fn transformer(&self, what: &'static str) -> Result<TransformerConfig, CompressionError> {
        match &*self.config {
            ModelConfig::Transformer(config) => Ok(config.clone()),
            _ => Err(CompressionError::NotOfThisFamily { what }),
        }
    }

    fn become_of(&mut self, parameters: Parameters, config: ModelConfig) -> Result<(), CompressionError> {
        *self.model = parameters.into_model(&config, self.model, self.context)?;
        *self.config = config;
        Ok(())
    }

    /// Leaves out the blocks between which the stream's direction changes least: those of the greatest mean cosine
    /// between what a block reads and what it makes (Men et al. 2024, <https://arxiv.org/abs/2403.03853>).
    pub(super) fn without_layers(&mut self, count: usize) -> Result<(), CompressionError> {
        let config = self.transformer("layers: of recurrent ones each reads what the one below makes")?;
        if count >= config.layers {
            return Err(CompressionError::TooMuch { what: "layers", asked: count, there: config.layers });
        }
        let mut influence = Vec::new();
        let mut walk = self.calibration.walk(self.model);
        for layer in 0..config.layers {
            let before = walk.clone();
            walk.go_on(self.model, layer);
            influence.push(1.0 - before.mean_cosine(&walk)?);
        }
        let kept = all_but_the_least(&influence, count);
        let mut parameters = Parameters::of(self.model)?;
        for layer in (0..config.layers).filter(|layer| !kept.contains(layer)) {
            parameters.remove(&format!("blocks.{layer}."));
        }
        for (place, layer) in kept.iter().enumerate() {
            parameters.rename(&format!("blocks.{layer}."), &format!("blocks.{place}."));
        }
        let pattern = config.layer_pattern.as_ref().map(|_| kept.iter().map(|layer| config.layer(*layer)).collect());
        let config = TransformerConfig { layers: kept.len(), layer_pattern: pattern, ..config };
        self.become_of(parameters, ModelConfig::Transformer(config))
    }

    /// Leaves out of each block the heads of keys and values whose queries' heads add least to the stream: the least
    /// sum of E\[x_i^2\] |W_i|^2 over the inputs of the last projection that come from them.
    pub(super) fn without_heads(&mut self, count: usize, score: Score) -> Result<(), CompressionError> {
        let config = self.transformer("heads")?;
        let (groups, width) = (config.key_value_heads(), config.head_width());
        let shared = config.heads / groups;
        if count >= groups {
            return Err(CompressionError::TooMuch { what: "heads of keys and values", asked: count, there: groups });
        }
        if config.has_norms_over_all_heads() {
            return Err(CompressionError::NotOfThisFamily { what: "heads: its norms run over all of them" });
        }
        let mut parameters = Parameters::of(self.model)?;
        let energies = self.energies(&parameters, "attention.output.weight", score)?;
        for (layer, energy) in energies.iter().enumerate() {
            let of_group: Vec<f64> = energy.chunks(shared * width).map(|part| part.iter().sum()).collect();
            let kept = all_but_the_least(&of_group, count);
            let columns = |first: usize, width: usize| {
                kept.iter()
                    .flat_map(move |group| first + group * width..first + (group + 1) * width)
                    .collect::<Vec<_>>()
            };
            let queries = columns(0, shared * width);
            let (keys, values) =
                (columns(config.heads * width, width), columns((config.heads + groups) * width, width));
            let name = |part: &str| format!("blocks.{layer}.attention.{part}");
            let all = [queries.clone(), keys, values].concat();
            parameters.keep(&name("query_key_value.weight"), 1, &all);
            parameters.keep(&name("query_key_value.bias"), 0, &all);
            parameters.keep(&name("output.weight"), 0, &queries);
        }
        let left = groups - count;
        let config = TransformerConfig {
            heads: left * shared,
            key_value_heads: (shared > 1).then_some(left),
            head_width: Some(width),
            ..config
        };
        self.become_of(parameters, ModelConfig::Transformer(config))
    }

    /// Leaves out a share of the neurons inside each feed-forward part, or of the units of each recurrent layer.
    pub(super) fn without_neurons(&mut self, share: f64, score: Score) -> Result<(), CompressionError> {
        match self.config.clone() {
            ModelConfig::Transformer(config) => self.without_inner(config, share, score),
            ModelConfig::Rnn(RnnConfig { hidden, tied, .. })
            | ModelConfig::Lstm(LstmConfig { hidden, tied, .. })
            | ModelConfig::Gru(GruConfig { hidden, tied, .. }) => {
                if tied {
                    let what = "units: its head is its table, which would lose columns";
                    return Err(CompressionError::NotOfThisFamily { what });
                }
                self.without_units(hidden, share, score)
            }
            ModelConfig::EncoderDecoder(_) | ModelConfig::RecurrentEncoderDecoder(_) => {
                Err(CompressionError::NotOfThisFamily { what: "neurons" })
            }
        }
    }

    fn without_inner(&mut self, config: TransformerConfig, share: f64, score: Score) -> Result<(), CompressionError> {
        let inner = config.feed_forward_width();
        let count = left_out(inner, share);
        let mut parameters = Parameters::of(self.model)?;
        let energies = self.energies(&parameters, "feed_forward.output.weight", score)?;
        for (layer, energy) in energies.iter().enumerate() {
            let kept = all_but_the_least(energy, count);
            let columns = match config.activation.has_gates() {
                true => kept.iter().copied().chain(kept.iter().map(|neuron| inner + neuron)).collect(),
                false => kept.clone(),
            };
            let name = |part: &str| format!("blocks.{layer}.feed_forward.{part}");
            parameters.keep(&name("input.weight"), 1, &columns);
            parameters.keep(&name("input.bias"), 0, &columns);
            parameters.keep(&name("output.weight"), 0, &kept);
        }
        let config = TransformerConfig { feed_forward: Some(inner - count), ..config };
        self.become_of(parameters, ModelConfig::Transformer(config))
    }

    /// E\[x_i^2\] |W_i|^2 for each input of a projection, in each block.
    fn energies(
        &mut self,
        parameters: &Parameters,
        part: &str,
        score: Score,
    ) -> Result<Vec<Vec<f64>>, CompressionError> {
        let mut walk = (score == Score::Wanda).then(|| self.calibration.walk(self.model));
        let mut energies = Vec::new();
        for layer in 0..self.model.layers() {
            let name = format!("blocks.{layer}.{part}");
            let mut energy = parameters.squares_of_rows(&name);
            if let Some(walk) = &mut walk {
                let seen = walk.observe(self.model, Some(layer), &BTreeSet::from([name.clone()]), Sums::Squares)?;
                if let Some(seen) = seen.get(&name) {
                    energy.iter_mut().zip(&seen.squares).for_each(|(energy, square)| *energy *= f64::from(*square));
                }
                walk.go_on(self.model, layer);
            }
            energies.push(energy);
        }
        Ok(energies)
    }

    /// Leaves out the units h_i of each recurrent layer that add least to what reads them, the layer itself and the one
    /// above: the least E\[h_i^2\] (|R_i|^2 + |W_i|^2).
    fn without_units(&mut self, hidden: usize, share: f64, score: Score) -> Result<(), CompressionError> {
        let count = left_out(hidden, share);
        let mut parameters = Parameters::of(self.model)?;
        let layers = self.model.layers();
        let mut walk: Option<Walk> = (score == Score::Wanda).then(|| self.calibration.walk(self.model));
        let mut all_kept = Vec::new();
        for layer in 0..layers {
            let above = if layer + 1 < layers {
                format!("layers.{}.input_weight", layer + 1)
            } else {
                "output.weight".to_owned()
            };
            let own = parameters.squares_of_rows(&format!("layers.{layer}.hidden_weight"));
            let above = parameters.squares_of_rows(&above);
            let mut energy: Vec<f64> = own.iter().zip(&above).map(|(own, above)| own + above).collect();
            if let Some(walk) = &mut walk {
                walk.go_on(self.model, layer);
                energy.iter_mut().zip(walk.squares()?).for_each(|(energy, square)| *energy *= square);
            }
            all_kept.push(all_but_the_least(&energy, count));
        }
        for (layer, kept) in all_kept.iter().enumerate() {
            let name = |part: &str| format!("layers.{layer}.{part}");
            let gates = self.config.recurrent_gates();
            let columns: Vec<usize> =
                (0..gates).flat_map(|gate| kept.iter().map(move |unit| gate * hidden + unit)).collect();
            parameters.keep(&name("input_weight"), 1, &columns);
            parameters.keep(&name("hidden_weight"), 1, &columns);
            parameters.keep(&name("hidden_weight"), 0, kept);
            parameters.keep(&name("bias"), 0, &columns);
            parameters.keep(&name("hidden_bias"), 0, kept);
            let above = format!("layers.{}.input_weight", layer + 1);
            parameters.keep(if layer + 1 < layers { &above } else { "output.weight" }, 0, kept);
        }
        let config = self.config.with_hidden(hidden - count);
        self.become_of(parameters, config)
    }
}

/// How many of `all` are left out for a share: one stays at least, and where whole blocks of 32 can stay, they do, so
/// that what is left can be packed.
fn left_out(all: usize, share: f64) -> usize {
    let kept = (all as f64 * (1.0 - share)).round().max(1.0) as usize;
    let in_blocks = kept.next_multiple_of(32);
    all - if all.is_multiple_of(32) && in_blocks < all { in_blocks } else { kept }
}

impl PruneConfig {
    /// Makes the model smaller by its structure.
    pub(super) fn restructure(&self, mut structure: Structure<'_>) -> Result<(), CompressionError> {
        if self.layers > 0 {
            structure.without_layers(self.layers)?;
        }
        if self.heads > 0 {
            structure.without_heads(self.heads, self.score)?;
        }
        if self.neurons > 0.0 {
            structure.without_neurons(self.neurons, self.score)?;
        }
        Ok(())
    }
}
