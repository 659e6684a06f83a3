//! Windows of a text, drawn at random.

use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_data::batches::mix;
use kiln_data::shards::TokenFile;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::StudyError;

/// `count` windows of `length` tokens, each anywhere, a function of `seed`.
pub(crate) fn draw(file: &TokenFile, count: usize, length: usize, seed: u64) -> Result<Vec<Vec<u32>>, StudyError> {
    let needed = length as u64;
    if file.len() < needed {
        return Err(StudyError::Short { tokens: file.len(), needed });
    }
    let mut random = ChaCha8Rng::seed_from_u64(mix(seed, 7));
    let mut windows = Vec::with_capacity(count);
    for _ in 0..count {
        let mut window = vec![0; length];
        file.read(random.random_range(0..=file.len() - needed), &mut window)?;
        windows.push(window);
    }
    Ok(windows)
}

/// The columns `range` of windows as tokens `[B, T]`.
pub(crate) fn tokens(windows: &[Vec<u32>], range: std::ops::Range<usize>, device: &Device) -> Tensor<2, Int> {
    let shape = [windows.len(), range.len()];
    let ids: Vec<i32> = windows.iter().flat_map(|window| &window[range.clone()]).map(|token| *token as i32).collect();
    Tensor::from_data(TensorData::new(ids, shape), device)
}
