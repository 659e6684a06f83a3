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
use crate::layers::narrowed;
use crate::weight::Weight;

/// s x A B, which is added to a product x W; with a length for each column of W + s A B where that is trained too.
#[derive(Module, Debug)]
pub struct Adapter {
    /// A, `[in, r]`.
    pub down: Param<Tensor<2>>,
    /// B, `[r, out]`, which starts at 0, so that a fresh adapter changes nothing.
    pub up: Param<Tensor<2>>,
    /// m, `[out]`, which starts at the lengths of the columns of W: y = m / |W + s A B| (x W + s x A B) + b.
    pub magnitude: Option<Param<Tensor<1>>>,
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
    /// There is no one matrix whose columns have lengths.
    #[error("`adapter.lora.dora` needs one matrix, and `{matrix}` is a product of two")]
    Factored {
        /// The path of the matrix.
        matrix: String,
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
    fn init(
        config: &LoraConfig,
        weight: &Weight,
        [inputs, outputs]: [usize; 2],
        initializer: &mut Initializer<'_>,
    ) -> Self {
        let lengths = |values: &mut [f32]| {
            let squares = weight.squares(&Device::flex()).into_data();
            values.iter_mut().zip(squares.iter::<f32>()).for_each(|(value, square)| *value = square.sqrt());
        };
        Self {
            down: initializer.uniform([inputs, config.rank], 1.0 / (inputs as f64).sqrt()),
            up: initializer.constant([config.rank, outputs], 0.0),
            magnitude: config.dora.then(|| initializer.parameter([outputs], |_, _, values| lengths(values))),
            scale: config.scale(),
            dropout: config.dropout,
        }
    }

    /// With these numbers, and without dropout.
    pub(crate) fn of(down: Tensor<2>, up: Tensor<2>, magnitude: Option<Tensor<1>>, scale: f64) -> Self {
        let (down, up) = (Param::from_tensor(down), Param::from_tensor(up));
        Self { down, up, magnitude: magnitude.map(Param::from_tensor), scale, dropout: 0.0 }
    }

    /// s.
    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// r.
    pub(crate) fn rank(&self) -> usize {
        self.down.lazy_shape().dims::<2>()[1]
    }

    /// Whether anything is dropped while training.
    pub(crate) fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    /// What becomes of x W + b + r with it, `[N, in]` to `[N, out]`; W may be behind a narrow matrix.
    pub(crate) fn project(
        &self,
        narrow: Option<&Weight>,
        weight: &Weight,
        input: Tensor<2>,
        bias: Option<Tensor<1>>,
        residual: Option<Tensor<2>>,
        draws: &mut Draws,
    ) -> Tensor<2> {
        let draw = if self.has_dropout() { draws.take() } else { None };
        let is_whole = draw.is_none();
        let dropped = dropout(input.clone(), self.dropout, draw);
        let Some(factors) = self.factors(weight) else {
            let residual = self.added(dropped, residual);
            return weight.project(narrowed(narrow, input), bias, Some(residual));
        };
        if is_whole {
            let product = weight.project(input, None, Some(self.added(dropped, None))) * factors;
            let sum = bias.into_iter().fold(product, |sum, bias| sum + bias.unsqueeze());
            return residual.into_iter().fold(sum, |sum, residual| sum + residual);
        }
        // Nothing is dropped from what W makes of itself: as in `peft`, only what changes it sees the dropout.
        let change = weight.project(dropped.clone(), None, None) * (factors.clone() - 1.0);
        let change = change + self.added(dropped, None) * factors;
        let residual = residual.into_iter().fold(change, |sum, residual| sum + residual);
        weight.project(input, bias, Some(residual))
    }

    /// s x A B + r.
    fn added(&self, input: Tensor<2>, residual: Option<Tensor<2>>) -> Tensor<2> {
        affine(affine(input, self.down.val(), None, None) * self.scale, self.up.val(), None, residual)
    }

    /// m / |W + s A B| of each column, `[1, out]`, where lengths are trained. The length of W + s A B counts as a
    /// constant (section 4.3 of the paper).
    ///
    /// |W + s A B|^2 = |W|^2 + 2 s B^T (A^T W) + s^2 B^T (A^T A) B, column by column, for which nothing of the size of
    /// W is made, so that W may be packed.
    fn factors(&self, weight: &Weight) -> Option<Tensor<2>> {
        let magnitude = self.magnitude.as_ref()?.val();
        let (down, up) = (self.down.val().detach(), self.up.val().detach());
        let across = down.clone().transpose();
        let with_weight = weight.project(across.clone(), None, None).detach() * (2.0 * self.scale);
        let with_itself = across.matmul(down).matmul(up.clone()) * self.scale.powi(2);
        let squares = weight.squares(&magnitude.device()).unsqueeze() + (up * (with_weight + with_itself)).sum_dim(0);
        Some(magnitude.unsqueeze() / squares.sqrt())
    }

    /// m / |W + s A B| (W + s A B), `[in, out]`, or without the lengths where they aren't trained.
    pub(crate) fn merged(&self, weight: Tensor<2>) -> Tensor<2> {
        let sum = weight + self.down.val().matmul(self.up.val()) * self.scale;
        match &self.magnitude {
            Some(magnitude) => {
                let lengths = sum.clone().powi_scalar(2).sum_dim(0).sqrt();
                sum * (magnitude.val().unsqueeze() / lengths)
            }
            None => sum,
        }
    }

    /// Bytes that its numbers take.
    pub(crate) fn bytes(&self) -> usize {
        let magnitudes = self.magnitude.as_ref().map_or(0, |magnitude| magnitude.lazy_shape().num_elements());
        let matrices = [&self.down, &self.up].map(|matrix| matrix.lazy_shape().num_elements());
        (magnitudes + matrices.iter().sum::<usize>()) * size_of::<f32>()
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
            if config.dora && product.is_factored() {
                return Err(AdapterError::Factored { matrix: product.name });
            }
            *product.adapter = Some(Adapter::init(config, product.weight, [inputs, outputs], initializer));
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
