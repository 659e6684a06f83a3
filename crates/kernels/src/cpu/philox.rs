//! Random numbers that are a function of their place, and dropout with them.
//!
//! A backward pass draws the same numbers again instead of keeping a mask, and how work is split over threads changes
//! nothing.

use super::real::Real;

/// Counters that one pass works on: as many as a vector register has lanes.
const LANES: usize = 16;
/// Numbers that come from them.
const BLOCK: usize = 4 * LANES;

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
/// <https://doi.org/10.1145/2063384.2063405>): four random words for each counter.
pub(crate) fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    (0..10).fold(counter, |counter, round| philox_round(counter, round_key(key, round)))
}

/// The key of each round: Weyl sequences.
#[inline(always)]
fn round_key(key: [u32; 2], round: u32) -> [u32; 2] {
    [key[0].wrapping_add(round.wrapping_mul(0x9E37_79B9)), key[1].wrapping_add(round.wrapping_mul(0xBB67_AE85))]
}

#[inline(always)]
fn philox_round([first, second, third, fourth]: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let product = |factor: u32, word: u32| {
        let product = u64::from(factor) * u64::from(word);
        ((product >> 32) as u32, product as u32)
    };
    let (high_first, low_first) = product(0xD251_1F53, first);
    let (high_third, low_third) = product(0xCD9E_8D57, third);
    [high_third ^ second ^ key[0], low_third, high_first ^ fourth ^ key[1], low_first]
}

/// Dropout at one place of a model in one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout {
    key: [u32; 2],
    site: u32,
    threshold: u32,
    factor: f64,
}

impl Dropout {
    /// Drops with a probability in [0, 1). `seed` should differ from step to step, `site` from place to place.
    pub(crate) fn new(probability: f64, seed: u64, site: u32) -> Self {
        assert!((0.0..1.0).contains(&probability), "a probability of dropout is in [0, 1), not {probability}");
        // `as` saturates: the largest probabilities below 1 drop all but one in 2^32.
        let threshold = (probability * 2f64.powi(32)).round() as u32;
        Self { key: [seed as u32, (seed >> 32) as u32], site, threshold, factor: 1.0 / (1.0 - probability) }
    }

    /// The key of its counters.
    #[cfg(feature = "cube")]
    pub(crate) fn key(&self) -> [u32; 2] {
        self.key
    }

    /// The least word of a number that is kept.
    #[cfg(feature = "cube")]
    pub(crate) fn threshold(&self) -> u32 {
        self.threshold
    }

    /// What a number is multiplied by that is kept.
    #[cfg(feature = "cube")]
    pub(crate) fn factor(&self) -> f64 {
        self.factor
    }

    /// Fills `factors` for the places `first..` of row `row` of matrix `matrix`: for place j,
    ///
    /// ```text
    /// philox(counter = [j / 4, row, matrix, site], key = seed)[j % 4] >= p 2^32 ? 1 / (1 - p) : 0
    /// ```
    ///
    /// `first` is a multiple of 4. To be called within [`simd`](super::simd()).
    #[inline(always)]
    pub(crate) fn fill<T: Real>(&self, [row, matrix]: [u32; 2], first: usize, factors: &mut [T]) {
        debug_assert!(first.is_multiple_of(4), "a row of dropout factors begins with a counter's first word");
        let mut counter = (first / 4) as u32;
        let (blocks, rest) = factors.as_chunks_mut::<BLOCK>();
        for block in blocks {
            self.fill_block([counter, row, matrix, self.site], block);
            counter = counter.wrapping_add(LANES as u32);
        }
        if !rest.is_empty() {
            let mut block = [T::ZERO; BLOCK];
            self.fill_block([counter, row, matrix, self.site], &mut block);
            rest.copy_from_slice(&block[..rest.len()]);
        }
    }

    /// The factors of `LANES` counters, the first of which is given.
    #[expect(clippy::needless_range_loop, reason = "lanes of several arrays at once, which the compiler vectorises")]
    #[inline(always)]
    fn fill_block<T: Real>(&self, [first, row, matrix, site]: [u32; 4], block: &mut [T; BLOCK]) {
        let mut words = [[first; LANES], [row; LANES], [matrix; LANES], [site; LANES]];
        for lane in 0..LANES {
            words[0][lane] = first.wrapping_add(lane as u32);
        }
        for round in 0..10 {
            let key = round_key(self.key, round);
            for lane in 0..LANES {
                let counter = [words[0][lane], words[1][lane], words[2][lane], words[3][lane]];
                let next = philox_round(counter, key);
                (0..4).for_each(|word| words[word][lane] = next[word]);
            }
        }
        let kept = T::from_f64(self.factor);
        for lane in 0..LANES {
            for word in 0..4 {
                block[4 * lane + word] = if words[word][lane] >= self.threshold { kept } else { T::ZERO };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd;

    /// From `kat_vectors` of Random123 1.14 (<https://github.com/DEShawResearch/random123>).
    #[test]
    fn known_answers() {
        let cases: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
            ([0; 4], [0; 2], [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]),
            (
                [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344],
                [0xA409_3822, 0x299F_31D0],
                [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1],
            ),
        ];
        for (counter, key, answer) in cases {
            assert_eq!(philox(counter, key), answer);
        }
    }

    #[test]
    fn factors_are_those_of_single_counters() {
        let (seed, site) = (0x0123_4567_89AB_CDEF, 7);
        let dropout = Dropout::new(0.3, seed, site);
        for (first, length) in [(0, 1), (4, 63), (256, 64), (8, 201)] {
            let mut factors = vec![f32::NAN; length];
            simd(
                #[inline(always)]
                || dropout.fill([5, 6], first, &mut factors),
            );
            for (place, factor) in (first..).zip(factors) {
                let word = philox([place as u32 / 4, 5, 6, site], [seed as u32, (seed >> 32) as u32])[place % 4];
                let kept = f64::from(word) >= 0.3 * 2f64.powi(32);
                assert_eq!(factor, if kept { 1.0 / 0.7 } else { 0.0 }, "place {place}");
            }
        }
    }

    #[test]
    fn as_many_are_dropped_as_the_probability_says() {
        for probability in [0.0, 0.1, 0.5, 0.999] {
            let mut factors = vec![0.0f64; 1 << 16];
            Dropout::new(probability, 1, 2).fill([3, 4], 0, &mut factors);
            let dropped = factors.iter().filter(|factor| **factor == 0.0).count() as f64 / factors.len() as f64;
            let deviation = (probability * (1.0 - probability) / factors.len() as f64).sqrt();
            assert!((dropped - probability).abs() <= 4.0 * deviation, "{dropped} of {probability}");
        }
        assert_eq!(Dropout::new(0.75, 0, 0).factor, 4.0);
    }
}
