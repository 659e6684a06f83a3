//! Sums and maxima of rows in vector registers.
//!
//! The compiler may not reorder additions of floating-point numbers, so a plain sum would go one number at a time. Here
//! 32 partial sums run side by side and are added in the end, always in the same order.

use super::real::Real;

const LANES: usize = 32;

/// The sum of `term(a, b)` over the pairs of two slices of the same length.
#[inline(always)]
pub(crate) fn sum_of_pairs<T: Real>(first: &[T], second: &[T], term: impl Fn(T, T) -> T) -> T {
    let mut sums = [T::ZERO; LANES];
    let (first, second) = (first.chunks_exact(LANES), second.chunks_exact(LANES));
    let rest = first.remainder().iter().zip(second.remainder());
    for (first, second) in first.zip(second) {
        for lane in 0..LANES {
            sums[lane] += term(first[lane], second[lane]);
        }
    }
    rest.fold(folded(sums, |a, b| a + b), |sum, (first, second)| sum + term(*first, *second))
}

/// The sum of `term(a)` over a slice.
#[inline(always)]
pub(crate) fn sum<T: Real>(numbers: &[T], term: impl Fn(T) -> T) -> T {
    sum_of_pairs(numbers, numbers, |number, _| term(number))
}

/// The largest number of a slice that is not empty.
#[inline(always)]
pub(crate) fn maximum<T: Real>(numbers: &[T]) -> T {
    let mut largest = [numbers[0]; LANES];
    let chunks = numbers.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            largest[lane] = largest[lane].larger(chunk[lane]);
        }
    }
    rest.iter().fold(folded(largest, T::larger), |largest, number| largest.larger(*number))
}

/// Halves the lanes until one is left.
#[inline(always)]
fn folded<T: Real>(mut lanes: [T; LANES], join: impl Fn(T, T) -> T) -> T {
    let mut count = LANES / 2;
    while count > 0 {
        for lane in 0..count {
            lanes[lane] = join(lanes[lane], lanes[lane + count]);
        }
        count /= 2;
    }
    lanes[0]
}
