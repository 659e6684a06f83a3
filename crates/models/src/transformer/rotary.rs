//! Rotary positions in the half-rotation form.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, assert_shape};

/// Rotates each pair (x_j, x_(j + D/2)) of a head by the angle p base^(-2j/D), p being the position (Su et al. 2021,
/// <https://arxiv.org/abs/2104.09864>; pairs half a head apart, as in GPT-NeoX and Hugging Face's Llama, not neighbours
/// as in Meta's own code):
///
/// ```text
/// y_j         = x_j cos - x_(j + D/2) sin
/// y_(j + D/2) = x_(j + D/2) cos + x_j sin
/// ```
///
/// The tables are constants and not saved with a model.
#[derive(Module, Debug)]
pub struct RotaryPositions {
    /// `[context, D / 2]`.
    cosines: Tensor<2>,
    /// `[context, D / 2]`.
    sines: Tensor<2>,
}

/// The cosines and sines for the tokens of one window, `[1, T, 1, D / 2]` each.
#[derive(Clone)]
pub(super) struct Rotation {
    cosines: Tensor<4>,
    sines: Tensor<4>,
}

impl RotaryPositions {
    pub(super) fn new(context: usize, head_width: usize, base: f64, device: &Device) -> Self {
        let half = head_width / 2;
        let angle = |index: usize| {
            let (position, pair) = (index / half, index % half);
            position as f64 * base.powf(-2.0 * pair as f64 / head_width as f64)
        };
        let table = |function: fn(f64) -> f64| {
            let values: Vec<f32> = (0..context * half).map(|index| function(angle(index)) as f32).collect();
            Tensor::from_data(TensorData::new(values, [context, half]), device)
        };
        Self { cosines: table(f64::cos), sines: table(f64::sin) }
    }

    /// The rotation of the positions `start..start + steps`.
    pub(super) fn at(&self, start: usize, steps: usize) -> Rotation {
        let rows = |table: &Tensor<2>| table.clone().narrow(0, start, steps).unsqueeze_dims(&[0, 2]);
        Rotation { cosines: rows(&self.cosines), sines: rows(&self.sines) }
    }
}

impl Rotation {
    /// Rotates `input` `[B, T, heads, D]`.
    pub(super) fn apply(&self, input: Tensor<4>) -> Tensor<4> {
        let [_, steps, _, width] = input.dims();
        let half = width / 2;
        assert_shape!(self.cosines, [1, steps, 1, half]);
        let first = input.clone().narrow(3, 0, half);
        let second = input.narrow(3, half, half);
        let rotated_first = first.clone() * self.cosines.clone() - second.clone() * self.sines.clone();
        let rotated_second = second * self.cosines.clone() + first * self.sines.clone();
        Tensor::cat(vec![rotated_first, rotated_second], 3)
    }
}
