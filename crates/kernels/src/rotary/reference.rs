//! The composition of Burn's operations.

use burn::tensor::Tensor;

use crate::attention::AttentionHeads;

/// As [`crate::rotate`].
pub fn rotate(packed: Tensor<3>, heads: AttentionHeads, tables: [Tensor<2>; 2], start: usize) -> Tensor<3> {
    let [rows, steps, columns] = packed.dims();
    let AttentionHeads { queries, key_values, width } = heads;
    let (turned, half) = (queries + key_values, width / 2);
    let [cosines, sines] = tables
        .map(|table| table.narrow(0, start, steps).unsqueeze_dims::<4>(&[0, 2]).expand([rows, steps, turned, half]));
    let heads = packed.clone().narrow(2, 0, turned * width).reshape([rows, steps, turned, width]);
    let (first, second) = (heads.clone().narrow(3, 0, half), heads.narrow(3, half, half));
    let turned_first = first.clone() * cosines.clone() - second.clone() * sines.clone();
    let turned_second = second * cosines + first * sines;
    let heads = Tensor::cat(vec![turned_first, turned_second], 3).reshape([rows, steps, turned * width]);
    Tensor::cat(vec![heads, packed.narrow(2, turned * width, columns - turned * width)], 2)
}
