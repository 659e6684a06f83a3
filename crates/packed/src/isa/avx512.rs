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
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has_all.then_some(Self(()))
    }

    pub(crate) fn run(self, kernel: impl Kernel) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
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
    fn store(self, numbers: __m512, place: &mut [f32; 16]) {
        unsafe { _mm512_storeu_ps(place.as_mut_ptr(), numbers) }
    }

    const SHIFTS_SIGNED: bool = true;

    #[inline(always)]
    fn signed(self, bytes: __m256i) -> __m256i {
        unsafe { _mm256_xor_si256(bytes, _mm256_set1_epi8(-128)) }
    }

    #[inline(always)]
    fn dot(self, unsigned: __m256i, signed: &[u8; 32]) -> __m256i {
        unsafe { _mm256_dpbusd_epi32(_mm256_setzero_si256(), unsigned, self.bytes(signed)) }
    }

    #[inline(always)]
    fn dot_signed(self, weights: __m256i, signed: &[u8; 32]) -> __m256i {
        self.dot(weights, signed)
    }

    type Factors = __m512i;

    #[inline(always)]
    fn factors(self, [first, second]: [i16; 2]) -> __m512i {
        unsafe { _mm512_mask_blend_epi16(0xFF00_FF00, _mm512_set1_epi16(first), _mm512_set1_epi16(second)) }
    }

    #[inline(always)]
    fn dot_scaled(self, sums: __m256i, unsigned: __m256i, signed: &[u8; 32], factors: __m512i) -> __m256i {
        unsafe {
            let pairs = _mm256_maddubs_epi16(unsigned, self.bytes(signed));
            _mm256_dpwssd_epi32(sums, pairs, _mm512_castsi512_si256(factors))
        }
    }

    type SumPair = __m512i;
    type Pair = __m512;

    #[inline(always)]
    fn dot_pair(self, unsigned: __m256i, signed: &[[u8; 32]; 2]) -> __m512i {
        unsafe {
            let signed = _mm512_loadu_si512(signed.as_ptr().cast());
            _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_broadcast_i64x4(unsigned), signed)
        }
    }

    #[inline(always)]
    fn dot_signed_pair(self, weights: __m256i, signed: &[[u8; 32]; 2]) -> __m512i {
        self.dot_pair(weights, signed)
    }

    #[inline(always)]
    fn dot_scaled_pair(self, sums: __m512i, unsigned: __m256i, signed: &[[u8; 32]; 2], factors: __m512i) -> __m512i {
        unsafe {
            let signed = _mm512_loadu_si512(signed.as_ptr().cast());
            _mm512_dpwssd_epi32(sums, _mm512_maddubs_epi16(_mm512_broadcast_i64x4(unsigned), signed), factors)
        }
    }

    #[inline(always)]
    fn no_sum_pair(self) -> __m512i {
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn no_pair(self) -> __m512 {
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    fn add_scaled_pair(self, pair: __m512, sums: __m512i, scale: f32, scales: &[f32; 2]) -> __m512 {
        unsafe {
            let both = _mm512_castps128_ps512(_mm_castsi128_ps(_mm_loadl_epi64(scales.as_ptr().cast())));
            let places = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
            let scales = _mm512_mul_ps(_mm512_permutexvar_ps(places, both), _mm512_set1_ps(scale));
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scales, pair)
        }
    }

    #[inline(always)]
    fn sum_pair(self, pair: __m512) -> [f32; 2] {
        unsafe { [self.sum_eights(_mm512_castps512_ps256(pair)), self.sum_eights(_mm512_extractf32x8_ps::<1>(pair))] }
    }

    bytes_of_256_bits!();
}
