//! Floats, widened to single precision while they are read.

use super::Packing;
use crate::inputs::FLOATS;
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
            type Input = [f32; FLOATS];
            type Unpacked<I: Isa> = I::Floats;
            type Sums<I: Isa> = I::Floats;

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
            fn none<I: Isa>(isa: I) -> I::Floats {
                isa.zeros()
            }

            #[inline(always)]
            fn add<I: Isa>(isa: I, block: &I::Floats, input: &[f32; FLOATS], sums: I::Floats) -> I::Floats {
                isa.multiply_add(*block, isa.floats(input), sums)
            }

            #[inline(always)]
            fn sum<I: Isa>(isa: I, sums: I::Floats) -> f32 {
                isa.sum(sums)
            }
        }
    };
}

floats!(Singles, f32, floats);
floats!(Halves, u16, halves);
floats!(Bfloats, u16, bfloats);
