//! What a run will need, computed without a device: parameters, memory, arithmetic, disk, traffic.

#[cfg(test)]
mod tests;
mod traffic;

use kiln_parameters::{PartCount, Role, catalogue};
use serde::Serialize;

pub use traffic::least_bytes_per_update;

use crate::config::Config;
use crate::parts::{Parts, blank};

/// Weights, gradients and states are 32-bit floats.
const BYTES_PER_NUMBER: u64 = 4;

/// The program without a model, measured.
const PROGRAM: u64 = 55 << 20;

/// What a run needs. Parameters, arithmetic and the sums of bytes are exact; only the activations are an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Trainable numbers by part.
    pub parts: Vec<PartCount>,
    /// Trainable numbers.
    pub parameters: u64,
    /// Bytes of memory.
    pub memory: MemoryEstimate,
    /// Floating-point operations for one trained token, forward and backward.
    pub training_flops_per_token: u64,
    /// Tokens of one update.
    pub tokens_per_step: u64,
    /// Tokens of the whole run, counted as often as they are read.
    pub tokens: u64,
    /// Floating-point operations of the whole run.
    pub training_flops: f64,
    /// Bytes of one checkpoint.
    pub checkpoint_bytes: u64,
    /// Bytes of all checkpoints that are kept at the same time: the newest, the best, and the one being written.
    pub disk_bytes: u64,
}

/// Bytes of device memory that training holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// The weights.
    pub weights: u64,
    /// One gradient for each weight that is trained; twice that while batches are accumulated.
    pub gradients: u64,
    /// The optimizer's state.
    pub optimizer: u64,
    /// The average of the weights, if one is configured.
    pub average: u64,
    /// What the forward pass keeps for the backward pass, with what that needs for a moment: an estimate.
    pub activations: u64,
    /// The program with its text, and what the optimizer's step takes for a moment and an allocator doesn't give back:
    /// an estimate.
    pub overhead: u64,
    /// What the activations would be with `run.recompute`, where that is not set and the model can do it. It is in no
    /// sum.
    pub activations_recomputed: Option<u64>,
}

impl MemoryEstimate {
    /// All together.
    pub fn total(&self) -> u64 {
        let parts = [self.weights, self.gradients, self.optimizer, self.average, self.activations, self.overhead];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

impl Estimate {
    /// What a run of `config` with a vocabulary of `vocabulary` tokens needs.
    pub fn new(config: &Config, vocabulary: usize) -> Self {
        let run = &config.run;
        let mut parts = config.model.parameters(vocabulary, run.context);
        parts.extend(adapters(config, vocabulary));
        let parameters = parts.iter().map(|part| part.count).sum::<u64>();
        let weights = parameters.saturating_mul(BYTES_PER_NUMBER);
        let trained = trained(config, vocabulary, &parts);
        let optimizer = config.optimizer.state_bytes(&trained, run.optimizer_state);
        let gradients = trained.iter().map(|part| part.count).sum::<u64>().saturating_mul(BYTES_PER_NUMBER);
        let memory = MemoryEstimate {
            weights,
            gradients: gradients.saturating_mul(if run.accumulate > 1 { 2 } else { 1 }),
            optimizer,
            average: if config.averaging.is_some() { weights } else { 0 },
            activations: activations(config, vocabulary, &trained, run.recompute),
            overhead: gradients.saturating_add(PROGRAM),
            activations_recomputed: (!run.recompute
                && !config.model.carries_state_between_windows()
                && !config.model.reads_pairs())
            .then(|| activations(config, vocabulary, &trained, true)),
        };
        let training_flops_per_token = config.model.flops_per_token(vocabulary, run.context).training;
        let tokens_per_step = run.tokens_per_step();
        let tokens = tokens_per_step.saturating_mul(run.steps);
        // The saved model has averaged weights then, and the weights that training continues from lie beside it.
        let averages = config.averaging.is_some() || config.optimizer.rule().has_evaluation_weights();
        // Of a run with adapters the rest is in the file of its base.
        let saved = if config.adapter.is_some() { gradients } else { weights };
        let saved_weights = saved.saturating_mul(if averages { 2 } else { 1 });
        let checkpoint_bytes = saved_weights.saturating_add(optimizer);
        let written = (run.steps / run.checkpoint_every.max(1)).saturating_add(1);
        let kept = (run.keep as u64).saturating_add(2).min(written);
        Self {
            parts,
            parameters,
            memory,
            training_flops_per_token,
            tokens_per_step,
            tokens,
            #[expect(clippy::cast_precision_loss, reason = "a figure for people; it may exceed 64 bits")]
            training_flops: training_flops_per_token as f64 * tokens as f64,
            checkpoint_bytes,
            disk_bytes: checkpoint_bytes.saturating_mul(kept),
        }
    }
}

/// What adapters add; those that don't fit the model are refused before anything is trained.
fn adapters(config: &Config, vocabulary: usize) -> Option<PartCount> {
    config.adapter.as_ref()?;
    let parameters = catalogue(&blank(config, vocabulary).ok()?);
    let adapters = parameters.iter().filter(|parameter| parameter.role == Role::Adapter);
    let count = adapters.map(|parameter| parameter.elements() as u64).sum();
    Some(PartCount::new("adapters", &[(Role::Adapter, count)]))
}

/// The parts that are trained: frozen ones have neither gradients nor a state.
fn trained(config: &Config, vocabulary: usize, parts: &[PartCount]) -> Vec<PartCount> {
    if config.train_only.is_none() && config.adapter.is_none() {
        return parts.to_vec();
    }
    let Ok(blank) = blank(config, vocabulary) else { return parts.to_vec() };
    let parameters = catalogue(&blank);
    // Patterns that fit nothing are refused before anything is trained.
    let chosen = Parts::new(config, &parameters).unwrap_or_default();
    let trained = parameters.iter().filter(|parameter| chosen.trains(&parameter.path));
    trained
        .map(|parameter| PartCount::new(&*parameter.path, &[(parameter.role, parameter.elements() as u64)]))
        .collect()
}

/// Bytes that the forward and backward pass of one batch hold at their fullest.
///
/// That is what the layers leave for the backward pass, and for a moment either the logits and their gradients or what
/// the backward pass of a layer needs. With `run.recompute` layers leave their inputs, and one of them more. What has
/// to be kept is read off the equations; what is needed for a moment was measured, on CPUs, with Kiln's own kernels
/// (`docs/performance-log.md`, 2026-11-28).
fn activations(config: &Config, vocabulary: usize, trained: &[PartCount], recompute: bool) -> u64 {
    let run = &config.run;
    let tokens = (run.batch as u64).saturating_mul(run.context as u64);
    let costs = config.model.training_costs(run.batch, run.context);
    let all = config.model.layers().max(1) as u64;
    // Below the lowest layer that is trained nothing is kept.
    let layers = all - lowest_layer(trained).min(all - 1);
    let a_layer = costs.held_per_token / all;
    let (kept, passing) = match recompute {
        true => (costs.between_per_token.saturating_mul(all + 1), costs.passing_per_token.saturating_add(a_layer)),
        false => (a_layer.saturating_mul(layers), costs.passing_per_token),
    };
    let logits = (vocabulary as u64).saturating_mul(3);
    tokens.saturating_mul(kept.saturating_add(passing.max(logits))).saturating_mul(BYTES_PER_NUMBER)
}

/// The number of the lowest layer with a parameter that is trained, 0 if a table is.
fn lowest_layer(trained: &[PartCount]) -> u64 {
    let layer = |part: &PartCount| {
        let name = part.name.strip_prefix("blocks.").or_else(|| part.name.strip_prefix("layers."));
        match name {
            Some(name) => name.split('.').next()?.parse().ok().or(Some(0)),
            None if part.name.contains("embedding") || part.name == "adapters" => Some(0),
            None => None,
        }
    };
    trained.iter().filter_map(layer).min().unwrap_or(u64::MAX)
}
