//! A table of one row for each token or position.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

use super::Initializer;

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
