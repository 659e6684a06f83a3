//! Rotary positions in the half-rotation form.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::scaling::RotaryScaling;

/// The cosines and sines of rotary positions, which turn each pair (x_j, x_(j + R/2)) of a head's first R columns by the
/// angle p base^(-2j/R), stretched as [`RotaryScaling`] says, p being the position (Su et al. 2021,
/// <https://arxiv.org/abs/2104.09864>; pairs R/2 apart, as in GPT-NeoX and Hugging Face's Llama, not neighbours
/// as in Meta's own code).
///
/// The tables are constants and not saved with a model.
#[derive(Module, Debug)]
pub struct RotaryPositions {
    /// `[context, R / 2]`.
    cosines: Tensor<2>,
    /// `[context, R / 2]`.
    sines: Tensor<2>,
}

impl RotaryPositions {
    pub(super) fn new(
        context: usize,
        rotated: usize,
        base: f64,
        scaling: Option<&RotaryScaling>,
        device: &Device,
    ) -> Self {
        let half = rotated / 2;
        let per_token = |pair: usize| {
            let angle = base.powf(-2.0 * pair as f64 / rotated as f64);
            scaling.map_or(angle, |scaling| scaling.angle(angle, pair, rotated, base))
        };
        let per_token: Vec<f64> = (0..half).map(per_token).collect();
        let size = scaling.map_or(1.0, RotaryScaling::attention_factor);
        let angle = |index: usize| (index / half) as f64 * per_token[index % half];
        let table = |function: fn(f64) -> f64| {
            let values: Vec<f32> = (0..context * half).map(|index| (size * function(angle(index))) as f32).collect();
            Tensor::from_data(TensorData::new(values, [context, half]), device)
        };
        Self { cosines: table(f64::cos), sines: table(f64::sin) }
    }

    /// Cosines and sines, `[context, R / 2]` each. Should padding stand at positions up to `end` beyond the context, it
    /// is given those of the last position there is.
    pub(super) fn tables(&self, end: usize) -> [Tensor<2>; 2] {
        [&self.cosines, &self.sines].map(|table| {
            let [context, half] = table.dims();
            if end <= context {
                return table.clone();
            }
            let last = table.clone().narrow(0, context - 1, 1).expand([end - context, half]);
            Tensor::cat(vec![table.clone(), last], 0)
        })
    }
}
