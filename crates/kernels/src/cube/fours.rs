//! Numbers that are read and written four at a time where they lie so that they can be.

use burn_cubecl::cubecl::{self, prelude::*};

/// Four numbers that are read and written at once.
pub(crate) type Four = Vector<f32, Const<4>>;

/// The numbers of a vector of a buffer that is read by fours, or not.
pub(crate) fn vector_size(by_fours: bool) -> usize {
    if by_fours { 4 } else { 1 }
}

/// Four numbers that lie one after the other from `place` on, zeros from the `count`th on. By fours there are always
/// four, and `place` is a multiple of four.
#[cube]
pub(crate) fn read<N: Size>(source: &[Vector<f32, N>], place: usize, count: usize, #[comptime] by_fours: bool) -> Four {
    let mut numbers = Four::new(0.0);
    if comptime!(by_fours) {
        numbers = Four::cast_from(source[place / 4]);
    } else {
        #[unroll]
        for index in 0..4usize {
            if index < count {
                numbers.insert(index, source[place + index].extract(0usize));
            }
        }
    }
    numbers
}

/// Writes the first `count` of four numbers; as [`read`].
#[cube]
pub(crate) fn write<N: Size>(
    target: &mut [Vector<f32, N>],
    place: usize,
    numbers: Four,
    count: usize,
    #[comptime] by_fours: bool,
) {
    if comptime!(by_fours) {
        target[place / 4] = Vector::cast_from(numbers);
    } else {
        #[unroll]
        for index in 0..4usize {
            if index < count {
                target[place + index] = Vector::cast_from(numbers.extract(index));
            }
        }
    }
}
