//! Between Burn's CPU tensors and the kernel.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::cpu::{self, RotarySizes};
use super::{Direction, RotaryOps};
use crate::attention::AttentionHeads;
use crate::flex::{Number, contiguous, numbers, sizes, with_number};

impl RotaryOps for Flex {
    fn rotate(
        packed: FloatTensor<Self>,
        cosines: FloatTensor<Self>,
        sines: FloatTensor<Self>,
        heads: AttentionHeads,
        starts: &[usize],
        direction: Direction,
    ) -> FloatTensor<Self> {
        with_number!(packed, T => rotate::<T>(packed, [cosines, sines], heads, starts, direction))
    }
}

/// In the memory of the input if nothing else holds it.
fn rotate<T: Number>(
    packed: FlexTensor,
    tables: [FlexTensor; 2],
    heads: AttentionHeads,
    starts: &[usize],
    direction: Direction,
) -> FlexTensor {
    let mut packed = contiguous(packed);
    let [_, steps, columns] = sizes(&packed);
    let [cosines, sines] = tables.map(contiguous);
    let [_, half] = sizes(&cosines);
    let sizes = RotarySizes {
        steps,
        starts,
        columns,
        heads: heads.queries + heads.key_values,
        head_width: heads.width,
        rotated: 2 * half,
        cosines: numbers::<T>(&cosines),
        sines: numbers(&sines),
    };
    match direction {
        Direction::Forward => cpu::rotate(packed.storage_mut(), &sizes),
        Direction::Backward => cpu::rotate_backward(packed.storage_mut(), &sizes),
    }
    packed
}
