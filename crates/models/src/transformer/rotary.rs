//! Rotary positions in the half-rotation form.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::scaling::RotaryScaling;

/// Positions that the first tables have, where the context is not shorter.
const FIRST_POSITIONS: usize = 64;

/// The cosines and sines of rotary positions, which turn each pair (x_j, x_(j + R/2)) of a head's first R columns by
/// the angle p base^(-2j/R), stretched as [`RotaryScaling`] says, p being the position (Su et al. 2021,
/// <https://arxiv.org/abs/2104.09864>; pairs R/2 apart, as in GPT-NeoX and Hugging Face's Llama, not neighbours as in
/// Meta's own code).
///
/// They are constants, not saved with a model, and made for as many positions as were asked for so far, by doubling:
/// for all 131072 that Gemma 3 can read, its two rotations would take 256 MiB, and a second to open it.
#[derive(Module, Debug)]
pub struct RotaryPositions {
    /// What a pair turns by from one token to the next, radians.
    #[module(skip)]
    angles: Vec<f64>,
    /// What cosines and sines are multiplied by.
    size: f64,
    context: usize,
    #[module(skip)]
    made: Made,
}

/// The newest tables, which all copies of a model share.
#[derive(Debug, Clone, Default)]
struct Made(Arc<Mutex<Option<Tables>>>);

/// Cosines and sines, `[positions, R / 2]` each.
#[derive(Debug, Clone)]
struct Tables {
    device: Device,
    values: [Tensor<2>; 2],
}

impl Tables {
    /// Whether they lie on `device` and reach up to `end`. Devices are equal also if only one of them takes gradients.
    fn are_enough(&self, end: usize, device: &Device) -> bool {
        let [positions, _] = self.values[0].dims();
        positions >= end && self.device == *device && self.device.is_autodiff() == device.is_autodiff()
    }
}

impl RotaryPositions {
    pub(crate) fn new(context: usize, rotated: usize, base: f64, scaling: Option<&RotaryScaling>) -> Self {
        let angle = |pair: usize| {
            let angle = base.powf(-2.0 * pair as f64 / rotated as f64);
            scaling.map_or(angle, |scaling| scaling.angle(angle, pair, rotated, base))
        };
        let size = scaling.map_or(1.0, RotaryScaling::attention_factor);
        Self { angles: (0..rotated / 2).map(angle).collect(), size, context, made: Made::default() }
    }

    /// Cosines and sines for the positions up to `end` and perhaps more, `[positions, R / 2]` each. Should padding
    /// stand beyond the context, it is given those of the last position there is.
    pub(crate) fn tables(&self, end: usize, device: &Device) -> [Tensor<2>; 2] {
        let mut made = self.made.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some(tables) if tables.are_enough(end, device) => tables.values.clone(),
            _ => {
                let positions = end.next_power_of_two().max(FIRST_POSITIONS).min(self.context).max(end);
                let values = [f64::cos, f64::sin].map(|function| self.table(function, positions, device));
                made.insert(Tables { device: device.clone(), values }).values.clone()
            }
        }
    }

    fn table(&self, function: fn(f64) -> f64, positions: usize, device: &Device) -> Tensor<2> {
        let of_position = |position: usize| {
            let position = position.min(self.context - 1) as f64;
            self.angles.iter().map(move |angle| (self.size * function(position * angle)) as f32)
        };
        let values: Vec<f32> = (0..positions).flat_map(of_position).collect();
        Tensor::from_data(TensorData::new(values, [positions, self.angles.len()]), device)
    }
}
