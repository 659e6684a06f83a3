//! Floats, widened to single precision while they are read.

use super::Packing;
use crate::inputs::{self, FLOATS};
use crate::isa::Isa;

/// Single precision.
pub(super) struct Singles;
/// Half precision.
pub(super) struct Halves;
/// The upper half of single precision.
pub(super) struct Bfloats;

macro_rules! floats {
    ($Packing:ident, $Number:ty, $load:ident) => {
        impl Packing for $Packing {
            type Block = [$Number; FLOATS];
            type Form = inputs::Floats;
            type Unpacked<I: Isa> = I::Floats;
            type Sums<I: Isa, const M: usize> = [I::Floats; M];

            #[inline(always)]
            fn blocks(row: &[u8]) -> &[[$Number; FLOATS]] {
                bytemuck::cast_slice::<u8, $Number>(row).as_chunks().0
            }

            #[inline(always)]
            fn rest(row: &[u8]) -> Option<[$Number; FLOATS]> {
                let rest = bytemuck::cast_slice::<u8, $Number>(row).as_chunks::<FLOATS>().1;
                let mut block = [<$Number>::default(); FLOATS];
                block[..rest.len()].copy_from_slice(rest);
                Some(block)
            }

            #[inline(always)]
            fn unpacked<I: Isa>(isa: I, block: &[$Number; FLOATS]) -> I::Floats {
                isa.$load(block)
            }

            #[inline(always)]
            fn none<I: Isa, const M: usize>(isa: I) -> [I::Floats; M] {
                [isa.zeros(); M]
            }

            #[inline(always)]
            fn add<I: Isa, const M: usize>(
                isa: I,
                block: &I::Floats,
                inputs: &[[f32; FLOATS]; M],
                sums: &mut [I::Floats; M],
            ) {
                for (sum, input) in sums.iter_mut().zip(inputs) {
                    *sum = isa.multiply_add(*block, isa.floats(input), *sum);
                }
            }

            #[inline(always)]
            fn totals<I: Isa, const M: usize>(isa: I, sums: &[I::Floats; M]) -> [f32; M] {
                let mut totals = [0.0; M];
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total = isa.sum(*sum);
                }
                totals
            }
        }
    };
}

floats!(Singles, f32, floats);
floats!(Halves, u16, halves);
floats!(Bfloats, u16, bfloats);
