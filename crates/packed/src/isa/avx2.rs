//! AVX2 with FMA and F16C: x86-64 processors since 2013.

use std::arch::x86_64::*;

use super::x86::bytes_of_256_bits;
use super::{Isa, Kernel};

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

    #[inline(always)]
    fn dot_magnitudes(self, unsigned: __m256i, signed: __m256i) -> __m256i {
        // SAFETY: as in `bytes_of_256_bits`.
        unsafe { _mm256_madd_epi16(_mm256_maddubs_epi16(unsigned, signed), _mm256_set1_epi16(1)) }
    }
}

impl Isa for Avx2 {
    type Floats = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    fn zeros(self) -> __m256 {
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    fn floats(self, numbers: &[f32]) -> __m256 {
        unsafe { _mm256_loadu_ps(numbers[..8].as_ptr()) }
    }

    #[inline(always)]
    fn halves(self, numbers: &[u16]) -> __m256 {
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(numbers[..8].as_ptr().cast())) }
    }

    #[inline(always)]
    fn bfloats(self, numbers: &[u16]) -> __m256 {
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(numbers[..8].as_ptr().cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    fn multiply_add(self, left: __m256, right: __m256, sum: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(left, right, sum) }
    }

    #[inline(always)]
    fn sum(self, numbers: __m256) -> f32 {
        self.sum_eights(numbers)
    }

    bytes_of_256_bits!();
}
