//! From the last hidden states to the logits of the tokens.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use kiln_kernels::affine;

use super::{Embedding, losses_of_projection};

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
