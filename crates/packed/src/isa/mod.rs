//! Sets of vector instructions: the widest that this machine has is found at run time.
//!
//! A product is written once, over [`Isa`], and compiled for each set. A value of a set's type is the proof that the
//! machine has its instructions: it is only made after asking.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use self::portable::Portable;

/// The vector instructions that products are made of. `Bytes` are 32 whole numbers of 8 bits, `Sums` the sums of each
/// four neighbours of their products, and `Eights` as many single-precision numbers.
pub(crate) trait Isa: Copy {
    /// 16 single-precision numbers.
    type Floats: Copy;
    type Bytes: Copy;
    type Sums: Copy;
    type Eights: Copy;
    /// Two of `Sums`, and two of `Eights`.
    type SumPair: Copy;
    type Pair: Copy;
    type Factors: Copy;

    fn zeros(self) -> Self::Floats;
    fn floats(self, numbers: &[f32; 16]) -> Self::Floats;
    fn halves(self, numbers: &[u16; 16]) -> Self::Floats;
    fn bfloats(self, numbers: &[u16; 16]) -> Self::Floats;
    fn multiply_add(self, left: Self::Floats, right: Self::Floats, sum: Self::Floats) -> Self::Floats;
    fn sum(self, numbers: Self::Floats) -> f32;
    fn store(self, numbers: Self::Floats, place: &mut [f32; 16]);

    /// A half-precision number.
    fn half(self, bits: u16) -> f32;

    fn bytes(self, bytes: &[u8; 32]) -> Self::Bytes;
    /// The lower four bits of each, then the upper four.
    fn nibbles(self, bytes: &[u8; 16]) -> Self::Bytes;
    /// 16 where a bit is set, 0 elsewhere.
    fn sixteens(self, bits: u32) -> Self::Bytes;
    fn splat(self, byte: u8) -> Self::Bytes;
    fn and(self, left: Self::Bytes, right: Self::Bytes) -> Self::Bytes;
    fn or(self, left: Self::Bytes, right: Self::Bytes) -> Self::Bytes;
    /// Each byte shifted, at most 7 places.
    fn shift_left(self, bytes: Self::Bytes, places: u32) -> Self::Bytes;
    fn shift_right(self, bytes: Self::Bytes, places: u32) -> Self::Bytes;

    /// Whether signed weights are kept with 128 more, so that they are unsigned.
    const SHIFTS_SIGNED: bool;
    /// Signed weights as [`Isa::dot_signed`] takes them.
    fn signed(self, bytes: Self::Bytes) -> Self::Bytes;
    /// The products of unsigned numbers below 128 with signed ones.
    fn dot(self, unsigned: Self::Bytes, signed: &[u8; 32]) -> Self::Sums;
    /// The products of weights that [`Isa::signed`] gave with signed numbers, none of them -128.
    fn dot_signed(self, weights: Self::Bytes, signed: &[u8; 32]) -> Self::Sums;
    /// Numbers of 16 bits: the first for 16 weights, the second for 16 others.
    fn factors(self, factors: [i16; 2]) -> Self::Factors;
    /// The products of unsigned numbers below 64 with signed ones, times a factor, added to `sums`.
    fn dot_scaled(
        self,
        sums: Self::Sums,
        unsigned: Self::Bytes,
        signed: &[u8; 32],
        factors: Self::Factors,
    ) -> Self::Sums;
    fn no_sums(self) -> Self::Sums;
    /// The products of 16 numbers with 16 others, each two neighbours added.
    fn dot_words(self, left: &[i16; 16], right: &[i16; 16]) -> Self::Sums;

    /// The same for two inputs at a time.
    fn dot_pair(self, unsigned: Self::Bytes, signed: &[[u8; 32]; 2]) -> Self::SumPair;
    fn dot_signed_pair(self, weights: Self::Bytes, signed: &[[u8; 32]; 2]) -> Self::SumPair;
    fn dot_scaled_pair(
        self,
        sums: Self::SumPair,
        unsigned: Self::Bytes,
        signed: &[[u8; 32]; 2],
        factors: Self::Factors,
    ) -> Self::SumPair;
    fn no_sum_pair(self) -> Self::SumPair;

    /// Asks for the cache line at `place`, which may lie anywhere.
    fn prefetch(self, place: *const u8);

    fn no_eights(self) -> Self::Eights;
    /// `eights + scale * sums`.
    fn add_scaled(self, eights: Self::Eights, sums: Self::Sums, scale: f32) -> Self::Eights;
    fn sum_eights(self, eights: Self::Eights) -> f32;

    fn no_pair(self) -> Self::Pair;
    /// `pair + scale * scales * sums`, each of the scales for one of the two.
    fn add_scaled_pair(self, pair: Self::Pair, sums: Self::SumPair, scale: f32, scales: &[f32; 2]) -> Self::Pair;
    fn sum_pair(self, pair: Self::Pair) -> [f32; 2];
}

/// The methods for two inputs, of sets whose vectors have room for one.
macro_rules! two_at_a_time {
    () => {
        type SumPair = [Self::Sums; 2];
        type Pair = [Self::Eights; 2];

        #[inline(always)]
        fn dot_pair(self, unsigned: Self::Bytes, signed: &[[u8; 32]; 2]) -> Self::SumPair {
            [self.dot(unsigned, &signed[0]), self.dot(unsigned, &signed[1])]
        }

        #[inline(always)]
        fn dot_signed_pair(self, weights: Self::Bytes, signed: &[[u8; 32]; 2]) -> Self::SumPair {
            [self.dot_signed(weights, &signed[0]), self.dot_signed(weights, &signed[1])]
        }

        #[inline(always)]
        fn dot_scaled_pair(
            self,
            sums: Self::SumPair,
            unsigned: Self::Bytes,
            signed: &[[u8; 32]; 2],
            factors: Self::Factors,
        ) -> Self::SumPair {
            let [first, second] = sums;
            [
                self.dot_scaled(first, unsigned, &signed[0], factors),
                self.dot_scaled(second, unsigned, &signed[1], factors),
            ]
        }

        #[inline(always)]
        fn no_sum_pair(self) -> Self::SumPair {
            [self.no_sums(), self.no_sums()]
        }

        #[inline(always)]
        fn no_pair(self) -> Self::Pair {
            [self.no_eights(), self.no_eights()]
        }

        #[inline(always)]
        fn add_scaled_pair(self, pair: Self::Pair, sums: Self::SumPair, scale: f32, scales: &[f32; 2]) -> Self::Pair {
            let [first, second] = pair;
            [self.add_scaled(first, sums[0], scale * scales[0]), self.add_scaled(second, sums[1], scale * scales[1])]
        }

        #[inline(always)]
        fn sum_pair(self, pair: Self::Pair) -> [f32; 2] {
            [self.sum_eights(pair[0]), self.sum_eights(pair[1])]
        }
    };
}
use two_at_a_time;

/// What is compiled for each set of instructions; its `run` is marked `#[inline(always)]`, and so is all that it calls
/// with the set.
pub(crate) trait Kernel {
    fn run<I: Isa>(self, isa: I);
}

/// Runs `kernel` with the widest instructions of this machine.
pub(crate) fn dispatch(kernel: impl Kernel) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(isa) = avx512::Avx512::find() {
            return isa.run(kernel);
        }
        if let Some(isa) = avx2::Avx2::find() {
            return isa.run(kernel);
        }
    }
    kernel.run(Portable);
}

/// The sets that this machine has, each with its name.
#[cfg(test)]
pub(crate) fn all() -> Vec<Set> {
    #[cfg(target_arch = "x86_64")]
    let wide = [avx2::Avx2::find().map(Set::Avx2), avx512::Avx512::find().map(Set::Avx512)];
    #[cfg(not(target_arch = "x86_64"))]
    let wide = [None];
    [Set::Portable].into_iter().chain(wide.into_iter().flatten()).collect()
}

/// A set of instructions that was chosen, not found, so that tests reach each.
#[cfg(test)]
#[derive(Clone, Copy)]
pub(crate) enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

#[cfg(test)]
impl Set {
    pub(crate) fn run(self, kernel: impl Kernel) {
        match self {
            Self::Portable => kernel.run(Portable),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(isa) => isa.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(isa) => isa.run(kernel),
        }
    }
}
