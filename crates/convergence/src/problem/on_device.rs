//! Samples on a device, and mini-batches drawn from them.

use burn::tensor::{Int, Tensor, TensorData};

use super::Draws;
use crate::Arithmetic;
use crate::data::Samples;

/// Samples on a device.
pub(super) struct OnDevice {
    /// X, `[n, d]`.
    pub(super) features: Tensor<2>,
    /// y, `[1, n]`.
    pub(super) targets: Tensor<2>,
    arithmetic: Arithmetic,
}

impl OnDevice {
    pub(super) fn new(samples: &Samples, arithmetic: &Arithmetic) -> Self {
        let (n, d) = samples.features.shape();
        Self {
            // nalgebra keeps columns together, Burn rows.
            features: arithmetic.tensor(samples.features.transpose().as_slice().to_vec(), [n, d]),
            targets: arithmetic.tensor(samples.targets.as_slice().to_vec(), [1, n]),
            arithmetic: arithmetic.clone(),
        }
    }

    pub(super) fn samples(&self) -> usize {
        self.features.dims()[0]
    }

    pub(super) fn dimension(&self) -> usize {
        self.features.dims()[1]
    }

    /// A mini-batch for each of `rows` rows: features `[R, b, d]` and targets `[R, b]`.
    pub(super) fn draw(&self, rows: usize, batch: usize, draws: &mut Draws) -> (Tensor<3>, Tensor<2>) {
        let (n, d) = (self.samples(), self.dimension());
        let chosen = draws.samples(rows, batch, n);
        let chosen: Tensor<1, Int> =
            Tensor::from_data(TensorData::new(chosen, [rows * batch]), self.arithmetic.device());
        let features = self.features.clone().select(0, chosen.clone()).reshape([rows, batch, d]);
        let targets = self.targets.clone().select(1, chosen).reshape([rows, batch]);
        (features, targets)
    }
}
