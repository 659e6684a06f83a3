//! A table of one row for each token or position.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use super::initial::normal;

/// A table `[rows, width]` whose rows are looked up.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[rows, width]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// A table drawn from N(0, deviation^2).
    pub(crate) fn init(rows: usize, width: usize, deviation: f64, device: &Device) -> Self {
        Self { weight: normal([rows, width], deviation, device) }
    }

    /// The rows that `indices` `[N, M]` name, `[N, M, width]`.
    pub(crate) fn forward(&self, indices: Tensor<2, Int>) -> Tensor<3> {
        burn::tensor::module::embedding(self.weight.val(), indices)
    }

    /// The product of `input` `[N, width]` with the transposed table, `[N, rows]`: a tied head.
    pub(crate) fn transposed_product(&self, input: Tensor<2>) -> Tensor<2> {
        input.matmul(self.weight.val().transpose())
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.weight.dims()[0]
    }
}
