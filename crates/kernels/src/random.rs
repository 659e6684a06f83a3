//! Random numbers that are a function of a seed and a place: the first values of parameters.
//!
//! Burn's generator belongs to the process, gives other numbers on every backend, and cannot be put back. Here number
//! j of stream s is a function of (seed, s, j), whatever the number of threads, on every machine.

use std::f64::consts::TAU;

use rayon::prelude::*;

use crate::cpu::philox;

/// Numbers that one thread makes at a time, a multiple of four.
const CHUNK: usize = 1 << 14;

/// Marks the counters of parameters: dropout numbers its sites from zero, and so never comes here.
const PARAMETERS: u32 = u32::MAX;

/// Fills `values` with draws from U(-bound, bound): number j of `stream` is
///
/// ```text
/// bound (2 (philox(counter = [j / 4, 0, stream, 2^32 - 1], key = seed)[j % 4] + 1/2) / 2^32 - 1)
/// ```
pub fn fill_uniform(seed: u64, stream: u32, bound: f64, values: &mut [f32]) {
    fill(seed, stream, values, |words| words.map(|word| bound * (2.0 * unit(word) - 1.0)));
}

/// Fills `values` with draws from N(0, deviation²): two words of the counter of [`fill_uniform`] make two numbers (Box
/// and Muller 1958, "A note on the generation of random normal deviates", <https://doi.org/10.1214/aoms/1177706645>):
///
/// ```text
/// r = sqrt(-2 ln u1)      z1 = r cos(2 pi u2)      z2 = r sin(2 pi u2)
/// ```
pub fn fill_normal(seed: u64, stream: u32, deviation: f64, values: &mut [f32]) {
    let pair = |first: u32, second: u32| {
        let radius = deviation * (-2.0 * libm::log(unit(first))).sqrt();
        let (sine, cosine) = libm::sincos(TAU * unit(second));
        [radius * cosine, radius * sine]
    };
    fill(seed, stream, values, |[first, second, third, fourth]| {
        let ([first, second], [third, fourth]) = (pair(first, second), pair(third, fourth));
        [first, second, third, fourth]
    });
}

/// The middle of one of 2^32 equal parts of (0, 1).
fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) / 2f64.powi(32)
}

fn fill(seed: u64, stream: u32, values: &mut [f32], numbers: impl Fn([u32; 4]) -> [f64; 4] + Sync) {
    let key = [seed as u32, (seed >> 32) as u32];
    values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
        for (block, values) in values.chunks_mut(4).enumerate() {
            let counter = (chunk * CHUNK / 4 + block) as u32;
            let drawn = numbers(philox([counter, 0, stream, PARAMETERS], key));
            for (value, number) in values.iter_mut().zip(drawn) {
                *value = number as f32;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `scripts/reference/initial_weights.py`.
    const UNIFORM: [f32; 6] = [0.07649111, -0.35804415, 0.057030752, -0.23635703, 0.20566818, -0.32721058];
    /// From the same script.
    const NORMAL: [f32; 6] = [0.0131806135, 0.01633731, -0.0018523774, 0.021556357, 0.0077875485, 0.014773023];

    #[test]
    fn numbers_are_those_of_another_implementation() {
        let mut uniform = [0.0; 6];
        fill_uniform(0x0123_4567_89AB_CDEF, 3, 0.5, &mut uniform);
        assert_eq!(uniform, UNIFORM);
        let mut normal = [0.0; 6];
        fill_normal(0x0123_4567_89AB_CDEF, 3, 0.02, &mut normal);
        for (number, expected) in normal.into_iter().zip(NORMAL) {
            assert!((number - expected).abs() <= 1e-9, "{number} instead of {expected}");
        }
    }

    #[test]
    fn a_number_does_not_depend_on_how_many_are_drawn() {
        let (mut few, mut many) = (vec![0.0; 7], vec![0.0; 3 * CHUNK + 5]);
        fill_normal(1, 0, 1.0, &mut few);
        fill_normal(1, 0, 1.0, &mut many);
        assert_eq!(few, many[..7]);
        // The first of the second chunk, by itself.
        let words = philox([(CHUNK / 4) as u32, 0, 0, PARAMETERS], [1, 0]);
        let radius = (-2.0 * libm::log(unit(words[0]))).sqrt();
        assert_eq!(many[CHUNK], (radius * libm::cos(TAU * unit(words[1]))) as f32);
    }

    #[test]
    fn moments_and_correlations_are_those_of_independent_normal_numbers() {
        let count = 1 << 20;
        let draw = |seed: u64, stream: u32| {
            let mut values = vec![0.0f32; count];
            fill_normal(seed, stream, 1.0, &mut values);
            values.into_iter().map(f64::from).collect::<Vec<f64>>()
        };
        let base = draw(5, 0);
        let mean = |terms: &mut dyn Iterator<Item = f64>| terms.sum::<f64>() / count as f64;
        // Five standard errors of each mean.
        let bound = |variance: f64| 5.0 * (variance / count as f64).sqrt();
        assert!(mean(&mut base.iter().copied()).abs() <= bound(1.0));
        assert!((mean(&mut base.iter().map(|x| x * x)) - 1.0).abs() <= bound(2.0));
        assert!((mean(&mut base.iter().map(|x| x.powi(4))) - 3.0).abs() <= bound(96.0));
        for other in [draw(6, 0), draw(5, 1)] {
            assert!(mean(&mut base.iter().zip(&other).map(|(x, y)| x * y)).abs() <= bound(1.0));
        }
        assert!(mean(&mut base.iter().zip(&base[1..]).map(|(x, y)| x * y)).abs() <= bound(1.0));
    }
}
