//! AVX-512 with its neural network instructions: servers since 2019, desktops since 2022.

use std::arch::x86_64::*;

use super::x86::bytes_of_256_bits;
use super::{Isa, Kernel};

/// The proof that the machine has the instructions.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn find() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has_all.then_some(Self(()))
    }

    pub(crate) fn run(self, kernel: impl Kernel) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn with_instructions(isa: Avx512, kernel: impl Kernel) {
            kernel.run(isa);
        }
        // SAFETY: `self` is the proof that the machine has them.
        unsafe { with_instructions(self, kernel) }
    }
}

impl Isa for Avx512 {
    type Floats = __m512;

    #[inline(always)]
    fn zeros(self) -> __m512 {
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    fn floats(self, numbers: &[f32; 16]) -> __m512 {
        unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
    }

    #[inline(always)]
    fn halves(self, numbers: &[u16; 16]) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(numbers.as_ptr().cast())) }
    }

    #[inline(always)]
    fn bfloats(self, numbers: &[u16; 16]) -> __m512 {
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(numbers.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    fn multiply_add(self, left: __m512, right: __m512, sum: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(left, right, sum) }
    }

    #[inline(always)]
    fn sum(self, numbers: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(numbers) }
    }

    #[inline(always)]
    fn dot_unsigned(self, sums: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
        unsafe { _mm256_dpbusd_epi32(sums, unsigned, signed) }
    }

    #[inline(always)]
    fn dot(self, left: __m256i, right: __m256i, sum: i32) -> __m256i {
        // 128 more, which makes them unsigned, and 128 times the right numbers less.
        unsafe { self.dot_unsigned(self.only(-128 * sum), _mm256_xor_si256(left, self.splat(128)), right) }
    }

    #[inline(always)]
    fn dot_scaled(self, sums: __m256i, unsigned: __m256i, signed: __m256i, [first, second]: [i16; 2]) -> __m256i {
        unsafe {
            let factors = _mm256_inserti128_si256::<1>(_mm256_set1_epi16(first), _mm_set1_epi16(second));
            _mm256_dpwssd_epi32(sums, _mm256_maddubs_epi16(unsigned, signed), factors)
        }
    }

    bytes_of_256_bits!();
}
