//! Building blocks that the families of models share.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use kiln_kernels::{affine, cross_entropy, projected_cross_entropy};

use crate::initializer::Initializer;

/// A table `[rows, width]` whose rows are looked up.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[rows, width]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// A table drawn from N(0, deviation^2).
    pub(crate) fn init(rows: usize, width: usize, deviation: f64, initializer: &mut Initializer<'_>) -> Self {
        Self { weight: initializer.normal([rows, width], deviation) }
    }

    /// The rows that `indices` `[N, M]` name, `[N, M, width]`.
    pub(crate) fn forward(&self, indices: Tensor<2, Int>) -> Tensor<3> {
        kiln_kernels::embedding(self.weight.val(), indices)
    }

    /// The transposed table, `[width, rows]`: a tied head's weight.
    pub(crate) fn transposed(&self) -> Tensor<2> {
        self.weight.val().transpose()
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.weight.dims()[0]
    }
}

/// y = x W + b.
///
/// W is stored as `[in, out]`, the transpose of PyTorch's `Linear.weight`. The struct has a name of its own because
/// burn-store's PyTorch adapter transposes whatever belongs to a `Linear`.
#[derive(Module, Debug)]
pub struct Projection {
    /// W, `[in, out]`.
    pub weight: Param<Tensor<2>>,
    /// b, `[out]`; `None` leaves it out.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Projection {
    /// Maps `[N, in]` to `[N, out]`: two axes, because one product of all rows is faster than one for each window.
    pub(crate) fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        affine(input, self.weight.val(), self.bias.as_ref().map(Param::val), None)
    }

    /// The same, added to `residual` `[N, out]`.
    pub(crate) fn forward_onto(&self, residual: Tensor<2>, input: Tensor<2>) -> Tensor<2> {
        affine(input, self.weight.val(), self.bias.as_ref().map(Param::val), Some(residual))
    }
}

/// logits = h W + b.
#[derive(Module, Debug)]
pub struct Head {
    /// W, `[C, V]`; `None` when the head is tied to the embedding of the tokens.
    pub weight: Option<Param<Tensor<2>>>,
    /// b, `[V]`; `None` leaves it out.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Head {
    /// Logits `[N, V]` from `[N, C]`; `tied` is the embedding whose table stands for W where the head has none.
    pub(crate) fn forward(&self, hidden: Tensor<2>, tied: &Embedding) -> Tensor<2> {
        affine(hidden, self.weight(tied), self.bias(), None)
    }

    /// Losses of `targets` `[N]`, nats, `[N]`, without more logits at once than there should be.
    pub(crate) fn losses(&self, hidden: Tensor<2>, tied: &Embedding, targets: Tensor<1, Int>) -> Tensor<1> {
        losses_of_projection(hidden, self.weight(tied), self.bias(), targets)
    }

    fn weight(&self, tied: &Embedding) -> Tensor<2> {
        self.weight.as_ref().map_or_else(|| tied.transposed(), Param::val)
    }

    fn bias(&self) -> Option<Tensor<1>> {
        self.bias.as_ref().map(Param::val)
    }
}

/// Logits that take more room than this, in numbers, never exist all at once: 128 MiB in single precision.
const LARGE: usize = 1 << 25;

/// Cross-entropy of the logits `hidden weight + bias`, nats, `[N]`, from `[N, C]`, `[C, V]`, `[V]` and `[N]`.
fn losses_of_projection(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    targets: Tensor<1, Int>,
) -> Tensor<1> {
    let ([rows, _], [_, vocabulary]) = (hidden.dims(), weight.dims());
    if rows.saturating_mul(vocabulary) > LARGE {
        projected_cross_entropy(hidden, weight, bias, targets)
    } else {
        cross_entropy(affine(hidden, weight, bias, None), targets)
    }
}
