//! Keys and values of a cache in 8 bits, and attention to them, on the CPU.

use burn::tensor::Tensor;

use super::check;
use crate::attention::cached_cpu::{CachedNumbers, cached_attention};
use crate::attention::{AttentionHeads, AttentionScores, CacheSizes};
use crate::cpu::simd;
use crate::flex::{contiguous, numbers, tensor, unwrapped, wrapped};

/// Neighbours that share a scale.
const GROUP: usize = 32;
/// The greatest magnitude of a whole number.
const GREATEST: f32 = 127.0;

/// How many numbers of single precision the bits of a packed vector of `width` numbers take: four whole numbers of 8
/// bits in each, then a scale for each 32.
///
/// # Panics
/// If `width` isn't a multiple of 4.
pub fn packed_vector_width(width: usize) -> usize {
    assert!(width.is_multiple_of(4), "vectors of {width} numbers aren't packed, only those of a multiple of 4");
    width / 4 + width.div_ceil(GROUP)
}

/// Each vector of keys or values packed to 8 bits: in each 32 neighbours the greatest magnitude becomes 127, and the
/// others are rounded to the nearest. The bits stand in numbers of single precision, which are moved and never computed
/// with; zeros are the packed form of zeros.
///
/// # Shapes
/// - `vectors`: `[B, heads, T, D]`, single precision
/// - output: `[B, heads, T, W]`, W being [`packed_vector_width`] of D
///
/// # Panics
/// If D isn't a multiple of 4, or the vectors aren't on the CPU.
pub fn packed_vectors(vectors: Tensor<4>) -> Tensor<4> {
    let [rows, heads, steps, width] = vectors.dims();
    check(&vectors);
    let (vectors, packed_width) = (contiguous(unwrapped(vectors)), packed_vector_width(width));
    let mut packed = vec![0.0_f32; rows * heads * steps * packed_width];
    let numbers: &[f32] = numbers(&vectors);
    for (vector, packed) in numbers.chunks_exact(width).zip(packed.chunks_exact_mut(packed_width)) {
        let (codes, scales) = packed.split_at_mut(width / 4);
        let codes: &mut [i8] = bytemuck::cast_slice_mut(codes);
        for ((group, codes), scale) in vector.chunks(GROUP).zip(codes.chunks_mut(GROUP)).zip(scales) {
            let greatest = group.iter().fold(0.0_f32, |greatest, number| greatest.max(number.abs()));
            *scale = greatest / GREATEST;
            let inverse = if greatest == 0.0 { 0.0 } else { GREATEST / greatest };
            for (code, number) in codes.iter_mut().zip(group) {
                *code = (number * inverse).round() as i8;
            }
        }
    }
    wrapped(tensor(packed, [rows, heads, steps, packed_width]))
}

/// As [`cached_attention`](crate::cached_attention()), of keys and values that [`packed_vectors`] packed.
///
/// # Shapes
/// - `query`: `[B, T, queries D]`
/// - `keys`, `values`: `[B, key-value heads, capacity, W]`
/// - `starts`: `[B]`
/// - output: `[B, T, queries D]`
///
/// # Panics
/// If the shapes do not fit `heads`, or the tensors aren't on the CPU.
pub fn packed_cached_attention(
    query: Tensor<3>,
    [keys, values]: [Tensor<4>; 2],
    heads: AttentionHeads,
    starts: &[usize],
    scores: AttentionScores,
) -> Tensor<3> {
    let ([rows, steps, columns], [_, key_values, capacity, packed_width]) = (query.dims(), keys.dims());
    assert_eq!(columns, heads.queries * heads.width, "queries must have the columns of {heads:?}");
    assert_eq!(key_values, heads.key_values, "a cache must have the heads of {heads:?}");
    assert_eq!(packed_width, packed_vector_width(heads.width), "vectors of a cache must be packed for {heads:?}");
    check(&query);
    scores.check();
    let scores = scores.within(starts.iter().max().map_or(0, |start| start + steps));
    let [query, keys, values] =
        [contiguous(unwrapped(query)), contiguous(unwrapped(keys)), contiguous(unwrapped(values))];
    let mut output = vec![0.0; rows * steps * columns];
    let cache = [&keys, &values].map(|packed| Packed { words: numbers(packed), width: heads.width, packed_width });
    let sizes = CacheSizes { steps, starts, capacity, heads };
    cached_attention(numbers(&query), cache, &sizes, scores, &mut output);
    wrapped(tensor(output, [rows, steps, columns]))
}

/// Packed vectors of a cache.
#[derive(Clone, Copy)]
struct Packed<'a> {
    words: &'a [f32],
    width: usize,
    packed_width: usize,
}

impl CachedNumbers<f32> for Packed<'_> {
    fn len(&self) -> usize {
        self.words.len() / self.packed_width * self.width
    }

    fn vectors<'a>(&'a self, first: usize, count: usize, copy: &'a mut Vec<f32>) -> &'a [f32] {
        copy.resize(count * self.width, 0.0);
        let packed = &self.words[first * self.packed_width..(first + count) * self.packed_width];
        simd(
            #[inline(always)]
            || unpack(packed, self.packed_width, self.width, copy),
        );
        copy
    }
}

#[inline(always)]
fn unpack(packed: &[f32], packed_width: usize, width: usize, vectors: &mut [f32]) {
    for (packed, vector) in packed.chunks_exact(packed_width).zip(vectors.chunks_exact_mut(width)) {
        let (codes, scales) = packed.split_at(width / 4);
        let codes: &[i8] = bytemuck::cast_slice(codes);
        for ((group, codes), scale) in vector.chunks_mut(GROUP).zip(codes.chunks(GROUP)).zip(scales) {
            for (number, code) in group.iter_mut().zip(codes) {
                *number = f32::from(*code) * scale;
            }
        }
    }
}
