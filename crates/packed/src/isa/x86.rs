//! What both sets of instructions of x86-64 do alike: bytes in vectors of 32.

/// The methods of [`Isa`](super::Isa) on 256 bits, for a type that is the proof of AVX2, FMA and F16C.
///
/// SAFETY of all: a value of the type is only made where these instructions are, and pointers are those of references
/// to as many numbers as are read.
macro_rules! bytes_of_256_bits {
    () => {
        type Bytes = __m256i;
        type Sums = __m256i;
        type Eights = __m256;

        #[inline(always)]
        fn half(self, bits: u16) -> f32 {
            unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits)))) }
        }

        #[inline(always)]
        fn bytes(self, bytes: &[u8; 32]) -> __m256i {
            unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
        }

        #[inline(always)]
        fn nibbles(self, bytes: &[u8; 16]) -> __m256i {
            unsafe {
                let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
                let both = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(bytes), _mm_srli_epi16::<4>(bytes));
                _mm256_and_si256(both, _mm256_set1_epi8(15))
            }
        }

        #[inline(always)]
        fn sixteens(self, bits: u32) -> __m256i {
            unsafe {
                // Each byte gets the one that has its bit, whose other bits are then cleared.
                let places = _mm256_set_epi64x(
                    0x0303_0303_0303_0303,
                    0x0202_0202_0202_0202,
                    0x0101_0101_0101_0101,
                    0x0000_0000_0000_0000,
                );
                let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
                let spread = _mm256_shuffle_epi8(_mm256_set1_epi32(bits.cast_signed()), places);
                let is_set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
                _mm256_and_si256(is_set, _mm256_set1_epi8(16))
            }
        }

        #[inline(always)]
        fn splat(self, byte: u8) -> __m256i {
            unsafe { _mm256_set1_epi8(byte.cast_signed()) }
        }

        #[inline(always)]
        fn and(self, left: __m256i, right: __m256i) -> __m256i {
            unsafe { _mm256_and_si256(left, right) }
        }

        #[inline(always)]
        fn or(self, left: __m256i, right: __m256i) -> __m256i {
            unsafe { _mm256_or_si256(left, right) }
        }

        #[inline(always)]
        fn shift_left(self, bytes: __m256i, places: u32) -> __m256i {
            unsafe {
                let shifted = _mm256_sll_epi16(bytes, _mm_cvtsi32_si128(places.cast_signed()));
                _mm256_and_si256(shifted, _mm256_set1_epi8((0xFF_u8 << places).cast_signed()))
            }
        }

        #[inline(always)]
        fn shift_right(self, bytes: __m256i, places: u32) -> __m256i {
            unsafe {
                let shifted = _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(places.cast_signed()));
                _mm256_and_si256(shifted, _mm256_set1_epi8((0xFF_u8 >> places).cast_signed()))
            }
        }

        #[inline(always)]
        fn no_sums(self) -> __m256i {
            unsafe { _mm256_setzero_si256() }
        }

        #[inline(always)]
        fn dot_words(self, left: &[i16; 16], right: &[i16; 16]) -> __m256i {
            unsafe {
                let (left, right) = (left.as_ptr().cast(), right.as_ptr().cast());
                _mm256_madd_epi16(_mm256_loadu_si256(left), _mm256_loadu_si256(right))
            }
        }

        #[inline(always)]
        fn prefetch(self, place: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) }
        }

        #[inline(always)]
        fn no_eights(self) -> __m256 {
            unsafe { _mm256_setzero_ps() }
        }

        #[inline(always)]
        fn add_scaled(self, eights: __m256, sums: __m256i, scale: f32) -> __m256 {
            unsafe { _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(scale), eights) }
        }

        #[inline(always)]
        fn sum_eights(self, eights: __m256) -> f32 {
            unsafe {
                let fours = _mm_add_ps(_mm256_castps256_ps128(eights), _mm256_extractf128_ps::<1>(eights));
                let twos = _mm_add_ps(fours, _mm_movehl_ps(fours, fours));
                _mm_cvtss_f32(_mm_add_ss(twos, _mm_movehdup_ps(twos)))
            }
        }
    };
}
pub(super) use bytes_of_256_bits;
