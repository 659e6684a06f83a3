//! Low-rank adapters: what is trained beside matrices that stay as they are.

mod config;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use kiln_kernels::{Draws, affine, dropout};
use kiln_parameters::fits;

pub use config::{AdapterConfig, LoraConfig};

use crate::LanguageModel;
use crate::initializer::Initializer;

/// s x A B, which is added to a product x W.
#[derive(Module, Debug)]
pub struct Adapter {
    /// A, `[in, r]`.
    pub down: Param<Tensor<2>>,
    /// B, `[r, out]`, which starts at 0, so that a fresh adapter changes nothing.
    pub up: Param<Tensor<2>>,
    scale: f64,
    dropout: f64,
}

/// Adapters that don't fit a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    /// A pattern that fits nothing is a mistake.
    #[error(
        "`adapter.lora.targets`: `{pattern}` fits no matrix that can have an adapter; those are {}",
        quoted(matrices)
    )]
    Target {
        /// The pattern.
        pattern: String,
        /// The paths of all matrices that can have one.
        matrices: Vec<String>,
    },
    /// With as many columns as the matrix has, an adapter could as well be the matrix.
    #[error("`adapter.lora.rank` is {rank}, but `{matrix}` has {inputs} inputs and {outputs} outputs: it can be at \
             most \
             {}", inputs.min(outputs))]
    Rank {
        /// The rank.
        rank: usize,
        /// The path of the matrix.
        matrix: String,
        /// Its inputs.
        inputs: usize,
        /// Its outputs.
        outputs: usize,
    },
}

/// How many matrices are named.
const SHOWN: usize = 12;

fn quoted(paths: &[String]) -> String {
    let more = (paths.len() > SHOWN).then(|| format!("and {} more", paths.len() - SHOWN));
    let words = paths.iter().take(SHOWN).map(|path| format!("`{path}`")).chain(more);
    words.collect::<Vec<_>>().join(", ")
}

/// The first stream of random numbers that adapters take; those before it are the model's own.
const FIRST_STREAM: u32 = 1 << 24;

impl Adapter {
    /// A is drawn from U(-1 / sqrt(in), 1 / sqrt(in)), as `peft` does.
    fn init(config: &LoraConfig, [inputs, outputs]: [usize; 2], initializer: &mut Initializer<'_>) -> Self {
        Self {
            down: initializer.uniform([inputs, config.rank], 1.0 / (inputs as f64).sqrt()),
            up: initializer.constant([config.rank, outputs], 0.0),
            scale: config.scale(),
            dropout: config.dropout,
        }
    }

    /// Whether anything is dropped while training.
    pub(crate) fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    /// s x A B + r, `[N, in]` to `[N, out]`.
    pub(crate) fn forward(&self, input: Tensor<2>, residual: Option<Tensor<2>>, draws: &mut Draws) -> Tensor<2> {
        let draw = if self.has_dropout() { draws.take() } else { None };
        let narrow = affine(dropout(input, self.dropout, draw), self.down.val(), None, None);
        affine(narrow * self.scale, self.up.val(), None, residual)
    }

    /// s A B, `[in, out]`.
    pub(crate) fn product(&self) -> Tensor<2> {
        self.down.val().matmul(self.up.val()) * self.scale
    }

    /// Bytes that its numbers take.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = |parameter: &Param<Tensor<2>>| parameter.lazy_shape().num_elements() * size_of::<f32>();
        bytes(&self.down) + bytes(&self.up)
    }
}

impl LanguageModel {
    /// The model with fresh adapters, a function of `seed`, the same on every device; they change nothing yet.
    ///
    /// # Errors
    /// A pattern that fits nothing, or a rank above a matrix.
    pub fn adapted(self, config: &AdapterConfig, seed: u64) -> Result<Self, AdapterError> {
        let device = self.device();
        self.with_adapters(config, &mut Initializer::random_from(seed, FIRST_STREAM, &device))
    }

    /// The model with adapters that have no values, to be loaded.
    ///
    /// # Errors
    /// As [`adapted`](Self::adapted).
    pub fn with_blank_adapters(self, config: &AdapterConfig, device: &Device) -> Result<Self, AdapterError> {
        self.with_adapters(config, &mut Initializer::blank(device))
    }

    fn with_adapters(
        mut self,
        config: &AdapterConfig,
        initializer: &mut Initializer<'_>,
    ) -> Result<Self, AdapterError> {
        let AdapterConfig::Lora(config) = config;
        let matrices: Vec<String> = self.products().into_iter().map(|product| product.name).collect();
        let fits_one = |pattern: &&String| matrices.iter().any(|matrix| fits(pattern, matrix));
        if let Some(pattern) = config.targets.iter().find(|pattern| !fits_one(pattern)) {
            return Err(AdapterError::Target { pattern: pattern.clone(), matrices });
        }
        let is_target = |name: &str| config.targets.iter().any(|pattern| fits(pattern, name));
        for product in self.products().into_iter().filter(|product| is_target(&product.name)) {
            let (rank, [inputs, outputs]) = (config.rank, product.inputs_and_outputs());
            if rank > inputs.min(outputs) {
                return Err(AdapterError::Rank { rank, matrix: product.name, inputs, outputs });
            }
            *product.adapter = Some(Adapter::init(config, [inputs, outputs], initializer));
        }
        Ok(self)
    }

    /// The paths of the matrices that have one.
    pub(crate) fn adapted_matrices(&self) -> BTreeSet<String> {
        let mut model = self.clone();
        let adapted = model.products().into_iter().filter(|product| product.adapter.is_some());
        adapted.map(|product| product.name).collect()
    }

    /// The model without adapters that does what this one does: W + s A B in the place of each W, as a parameter.
    #[must_use]
    pub fn merged(mut self) -> Self {
        self.products().into_iter().for_each(|product| product.merge());
        self
    }
}
