//! What says where a token stands.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::config::EncoderDecoderConfig;
use crate::layers::Embedding;

/// Sines and cosines of positions, `[positions, C]`: column 2i is sin(p / 10000^(2i / C)), column 2i + 1 the cosine
/// (Vaswani et al. 2017, section 3.5).
pub(super) fn sinusoids(positions: impl Iterator<Item = usize>, width: usize, device: &Device) -> Tensor<2> {
    let row = |position: usize| {
        (0..width).map(move |column| {
            let angle = position as f64 * 10000.0_f64.powf(-((column - column % 2) as f64) / width as f64);
            (if column % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
        })
    };
    let values: Vec<f32> = positions.flat_map(row).collect();
    let rows = values.len() / width;
    Tensor::from_data(TensorData::new(values, [rows, width]), device)
}

/// The bucket of a key that stands `distance` after its query, as T5 has it: half of them, or all where no query sees a
/// later key, for each direction; of those half for single distances, and the others for ranges that widen up to
/// `relative-distance`.
pub(super) fn bucket(config: &EncoderDecoderConfig, distance: i64, is_causal: bool) -> usize {
    let (buckets, first) = if is_causal {
        (config.relative_buckets, 0)
    } else {
        let half = config.relative_buckets / 2;
        (half, if distance > 0 { half } else { 0 })
    };
    let distance = if is_causal { (-distance).max(0) } else { distance.abs() } as usize;
    let single = buckets / 2;
    let within = if distance < single {
        distance
    } else {
        let widening = (distance as f64 / single as f64).ln() / (config.relative_distance as f64 / single as f64).ln();
        (single + (widening * (buckets - single) as f64) as usize).min(buckets - 1)
    };
    first + within
}

/// What is added to the scores of queries that stand at `starts` and after, one start for each of R rows, with the keys
/// from 0 on: `[R, heads, queries, keys]`.
pub(super) fn distance_bias(
    table: &Embedding,
    config: &EncoderDecoderConfig,
    starts: &[usize],
    [queries, keys]: [usize; 2],
    is_causal: bool,
) -> Tensor<4> {
    let of_query =
        |position: usize| (0..keys).map(move |key| bucket(config, key as i64 - position as i64, is_causal) as i32);
    let of_row = |start: &usize| (*start..*start + queries).flat_map(of_query).collect::<Vec<i32>>();
    let buckets: Vec<i32> = starts.iter().flat_map(of_row).collect();
    let shape = [starts.len() * queries, keys];
    let buckets = Tensor::<2, Int>::from_data(TensorData::new(buckets, shape), &table.weight.device());
    let numbers = table.forward(buckets).reshape([starts.len(), queries, keys, config.heads]);
    numbers.permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand from the formula of T5, with its numbers: 32 buckets and 128 tokens.
    #[test]
    fn distances_fall_into_the_buckets_of_t5() {
        let config = EncoderDecoderConfig::default();
        let both = |distance| bucket(&config, distance, false);
        assert_eq!([0, -1, -7, -8, -11, -12, -127, -500].map(both), [0, 1, 7, 8, 8, 9, 15, 15]);
        assert_eq!([1, 7, 8, 200].map(both), [17, 23, 24, 31]);
        let back = |distance| bucket(&config, distance, true);
        assert_eq!([3, 0, -1, -15, -16, -18, -19, -128].map(back), [0, 0, 1, 15, 16, 16, 17, 31]);
    }
}
