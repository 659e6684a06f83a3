//! The GPU body: the numbers of the CPU body, each unit drawing four of them.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;

use super::draws::Draw;
use super::{DropoutOps, Places};
use crate::cpu::philox::Dropout;
use crate::cube::one_by_one;

impl DropoutOps for CubeBackend {
    fn drop_out(input: FloatTensor<Self>, probability: f64, draw: Draw, places: Places) -> FloatTensor<Self> {
        let input = into_contiguous(input);
        let count = input.shape().num_elements();
        let client = input.client.clone();
        let output = empty_device_contiguous_dtype(client.clone(), input.device.clone(), input.shape(), DType::F32);
        let dropout = Dropout::new(probability, draw.seed, draw.site);
        let [first, second] = dropout.key();
        let (cubes, units) = one_by_one(&client, count.div_ceil(places.width) * places.width.div_ceil(4));
        drop_fours::launch(
            &client,
            cubes,
            units,
            input.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            first,
            second,
            draw.site,
            dropout.threshold(),
            dropout.factor() as f32,
            places.width,
            places.rows,
        );
        output
    }
}

/// A unit for each counter: four neighbouring numbers of a row.
#[cube(launch)]
fn drop_fours(
    input: &[f32],
    output: &mut [f32],
    first_key: u32,
    second_key: u32,
    site: u32,
    threshold: u32,
    factor: f32,
    width: usize,
    rows: usize,
) {
    let counters = width.div_ceil(4);
    let row = ABSOLUTE_POS / counters;
    let counter = ABSOLUTE_POS % counters;
    let start = row * width + 4 * counter;
    if start >= input.len() {
        terminate!();
    }
    let (row_in_matrix, matrix) = ((row % rows) as u32, (row / rows) as u32);
    let words = philox(counter as u32, row_in_matrix, matrix, site, first_key, second_key);
    let left = width - 4 * counter;
    drop_one(input, output, start, words[0] >= threshold, factor);
    if left > 1 {
        drop_one(input, output, start + 1, words[1] >= threshold, factor);
    }
    if left > 2 {
        drop_one(input, output, start + 2, words[2] >= threshold, factor);
    }
    if left > 3 {
        drop_one(input, output, start + 3, words[3] >= threshold, factor);
    }
}

#[cube]
fn drop_one(input: &[f32], output: &mut [f32], place: usize, is_kept: bool, factor: f32) {
    if place < input.len() {
        let mut number = f32::new(0.0);
        if is_kept {
            number = input[place] * factor;
        }
        output[place] = number;
    }
}

/// The four words of a counter, as the CPU body has them.
#[cube]
pub(crate) fn philox(column: u32, row: u32, matrix: u32, site: u32, first_key: u32, second_key: u32) -> Array<u32> {
    let mut words = Array::<u32>::new(4usize);
    let (mut first, mut second, mut third, mut fourth) = (column, row, matrix, site);
    let mut first_key = first_key;
    let mut second_key = second_key;
    for _round in 0..10 {
        let high_first = u32::mul_hi(first, 0xD251_1F53u32);
        let low_first = first * 0xD251_1F53u32;
        let high_third = u32::mul_hi(third, 0xCD9E_8D57u32);
        let low_third = third * 0xCD9E_8D57u32;
        first = high_third ^ second ^ first_key;
        second = low_third;
        third = high_first ^ fourth ^ second_key;
        fourth = low_first;
        first_key += 0x9E37_79B9u32;
        second_key += 0xBB67_AE85u32;
    }
    words[0] = first;
    words[1] = second;
    words[2] = third;
    words[3] = fourth;
    words
}
