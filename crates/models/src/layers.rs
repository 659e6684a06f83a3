//! Building blocks that the families of models share.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use kiln_kernels::{Draws, cross_entropy, packed_cross_entropy, projected_cross_entropy};

use crate::adapter::Adapter;
use crate::initializer::Initializer;
use crate::weight::{Orientation, Weight};

/// A table `[rows, width]` whose rows are looked up.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[rows, width]`.
    pub weight: Weight,
}

impl Embedding {
    /// A table drawn from N(0, deviation^2).
    pub(crate) fn init(rows: usize, width: usize, deviation: f64, initializer: &mut Initializer<'_>) -> Self {
        Self { weight: Weight::Parameter(initializer.normal([rows, width], deviation)) }
    }

    /// The rows that `indices` `[N, M]` name, `[N, M, width]`.
    pub(crate) fn forward(&self, indices: Tensor<2, Int>) -> Tensor<3> {
        self.weight.look_up(indices)
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.weight.dims(Orientation::Table)[0]
    }
}

/// y = x W + b.
///
/// W is stored as `[in, out]`, the transpose of PyTorch's `Linear.weight`. The struct has a name of its own because
/// burn-store's PyTorch adapter transposes whatever belongs to a `Linear`.
#[derive(Module, Debug)]
pub struct Projection {
    /// W, `[in, out]`; behind a narrow matrix `[rank, out]`.
    pub weight: Weight,
    /// A, `[in, rank]`, where x A W stands for the product with a matrix of more numbers.
    pub narrow: Option<Weight>,
    /// b, `[out]`; `None` leaves it out.
    pub bias: Option<Param<Tensor<1>>>,
    /// What is added to the product, where only that is trained.
    pub adapter: Option<Adapter>,
}

impl Projection {
    /// Maps `[N, in]` to `[N, out]`: two axes, because one product of all rows is faster than one for each window.
    pub(crate) fn forward(&self, input: Tensor<2>, draws: &mut Draws) -> Tensor<2> {
        self.add(None, input, draws)
    }

    /// The same, added to `residual` `[N, out]`.
    pub(crate) fn forward_onto(&self, residual: Tensor<2>, input: Tensor<2>, draws: &mut Draws) -> Tensor<2> {
        self.add(Some(residual), input, draws)
    }

    fn add(&self, residual: Option<Tensor<2>>, input: Tensor<2>, draws: &mut Draws) -> Tensor<2> {
        let bias = self.bias.as_ref().map(Param::val);
        match &self.adapter {
            Some(adapter) => adapter.project(self.narrow.as_ref(), &self.weight, input, bias, residual, draws),
            None => self.weight.project(narrowed(self.narrow.as_ref(), input), bias, residual),
        }
    }

    /// Bytes that its numbers take.
    pub(crate) fn bytes(&self) -> usize {
        let beside = self.adapter.as_ref().map_or(0, Adapter::bytes);
        self.weight.bytes() + self.narrow.as_ref().map_or(0, Weight::bytes) + beside
    }
}

/// x A, or x where there is no narrow matrix.
pub(crate) fn narrowed(narrow: Option<&Weight>, input: Tensor<2>) -> Tensor<2> {
    match narrow {
        Some(narrow) => narrow.project(input, None, None),
        None => input,
    }
}

/// logits = h W + b.
#[derive(Module, Debug)]
pub struct Head {
    /// W, `[C, V]`; `None` when the head is tied to the embedding of the tokens.
    pub weight: Option<Weight>,
    /// b, `[V]`; `None` leaves it out.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Head {
    /// Logits `[N, V]` from `[N, C]`; `tied` is the embedding whose table stands for W where the head has none.
    pub(crate) fn forward(&self, hidden: Tensor<2>, tied: &Embedding) -> Tensor<2> {
        match &self.weight {
            Some(weight) => weight.project(hidden, self.bias(), None),
            None => tied.weight.project_with_table(hidden, self.bias()),
        }
    }

    /// Losses of `targets` `[N]`, nats, `[N]`, without more logits at once than there should be.
    pub(crate) fn losses(&self, hidden: Tensor<2>, tied: &Embedding, targets: Tensor<1, Int>) -> Tensor<1> {
        let ([rows, _], vocabulary) = (hidden.dims(), tied.rows());
        if rows.saturating_mul(vocabulary) <= LARGE {
            return cross_entropy(self.forward(hidden, tied), targets);
        }
        let matrix = self.weight.as_ref().unwrap_or(&tied.weight);
        if let Some(packed) = matrix.packed() {
            return packed_cross_entropy(hidden, packed, self.bias(), targets);
        }
        let weight = if self.weight.is_some() { matrix.val() } else { matrix.val().transpose() };
        projected_cross_entropy(hidden, weight, self.bias(), targets)
    }

    fn bias(&self) -> Option<Tensor<1>> {
        self.bias.as_ref().map(Param::val)
    }
}

/// Logits that take more room than this, in numbers, never exist all at once: 128 MiB in single precision.
const LARGE: usize = 1 << 25;
