//! AVX2 with FMA and F16C: x86-64 processors since 2013.

use std::arch::x86_64::*;

use super::x86::bytes_of_256_bits;
use super::{Isa, Kernel, two_at_a_time};

/// The proof that the machine has the instructions.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn find() -> Option<Self> {
        let has_all =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        has_all.then_some(Self(()))
    }

    pub(crate) fn run(self, kernel: impl Kernel) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn with_instructions(isa: Avx2, kernel: impl Kernel) {
            kernel.run(isa);
        }
        // SAFETY: `self` is the proof that the machine has them.
        unsafe { with_instructions(self, kernel) }
    }
}

impl Isa for Avx2 {
    type Floats = [__m256; 2];

    #[inline(always)]
    fn zeros(self) -> [__m256; 2] {
        unsafe { [_mm256_setzero_ps(); 2] }
    }

    #[inline(always)]
    fn floats(self, numbers: &[f32; 16]) -> [__m256; 2] {
        unsafe { [_mm256_loadu_ps(numbers.as_ptr()), _mm256_loadu_ps(numbers[8..].as_ptr())] }
    }

    #[inline(always)]
    fn halves(self, numbers: &[u16; 16]) -> [__m256; 2] {
        unsafe {
            let both = _mm256_loadu_si256(numbers.as_ptr().cast());
            [_mm256_cvtph_ps(_mm256_castsi256_si128(both)), _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(both))]
        }
    }

    #[inline(always)]
    fn bfloats(self, numbers: &[u16; 16]) -> [__m256; 2] {
        unsafe {
            let both = _mm256_loadu_si256(numbers.as_ptr().cast());
            let first = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(both));
            let second = _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(both));
            [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(first)), _mm256_castsi256_ps(_mm256_slli_epi32::<16>(second))]
        }
    }

    #[inline(always)]
    fn multiply_add(self, left: [__m256; 2], right: [__m256; 2], sum: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_fmadd_ps(left[0], right[0], sum[0]), _mm256_fmadd_ps(left[1], right[1], sum[1])] }
    }

    #[inline(always)]
    fn sum(self, numbers: [__m256; 2]) -> f32 {
        unsafe { self.sum_eights(_mm256_add_ps(numbers[0], numbers[1])) }
    }

    #[inline(always)]
    fn store(self, numbers: [__m256; 2], place: &mut [f32; 16]) {
        unsafe {
            _mm256_storeu_ps(place.as_mut_ptr(), numbers[0]);
            _mm256_storeu_ps(place[8..].as_mut_ptr(), numbers[1]);
        }
    }

    const SHIFTS_SIGNED: bool = false;

    #[inline(always)]
    fn signed(self, bytes: __m256i) -> __m256i {
        bytes
    }

    #[inline(always)]
    fn dot(self, unsigned: __m256i, signed: &[u8; 32]) -> __m256i {
        unsafe {
            let pairs = _mm256_maddubs_epi16(unsigned, self.bytes(signed));
            _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
        }
    }

    #[inline(always)]
    fn dot_signed(self, weights: __m256i, signed: &[u8; 32]) -> __m256i {
        // The signs of the weights go to the other numbers: magnitudes are unsigned, and pairs fit 16 bits.
        unsafe {
            let others = _mm256_sign_epi8(self.bytes(signed), weights);
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), others);
            _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
        }
    }

    type Factors = __m256i;

    #[inline(always)]
    fn factors(self, [first, second]: [i16; 2]) -> __m256i {
        unsafe { _mm256_inserti128_si256::<1>(_mm256_set1_epi16(first), _mm_set1_epi16(second)) }
    }

    #[inline(always)]
    fn dot_scaled(self, sums: __m256i, unsigned: __m256i, signed: &[u8; 32], factors: __m256i) -> __m256i {
        unsafe {
            let pairs = _mm256_maddubs_epi16(unsigned, self.bytes(signed));
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, factors))
        }
    }

    two_at_a_time!();
    bytes_of_256_bits!();
}
