use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{reference, rotate};
use crate::attention::AttentionHeads;
use crate::testing::{assert_equals_reference, assert_gradients, tensor, values};

/// Cosines and sines of other angles at every place.
fn tables(context: usize, half: usize, dtype: DType) -> [Tensor<2>; 2] {
    [f64::cos as fn(f64) -> f64, f64::sin].map(|function| {
        let values: Vec<f64> = (0..context * half).map(|index| function(index as f64 * 0.37)).collect();
        Tensor::from_data(TensorData::new(values, [context, half]), (&Device::flex(), dtype))
    })
}

#[test]
fn rotation_equals_its_reference() {
    // Rotated columns of a head last.
    let cases: [(&[usize], [usize; 5]); 7] = [
        (&[0], [1, 1, 1, 2, 2]),
        (&[5, 5], [7, 3, 1, 6, 6]),
        (&[4, 0, 9], [33, 4, 2, 16, 16]),
        (&[0, 0, 0], [33, 4, 2, 16, 16]),
        (&[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8], [64, 4, 4, 32, 32]),
        (&[4, 0, 9], [33, 4, 2, 16, 4]),
        (&[2, 2], [9, 2, 1, 7, 6]),
    ];
    for (starts, [steps, queries, key_values, width, rotated]) in cases {
        let rows = starts.len();
        let heads = AttentionHeads { queries, key_values, width };
        let length = rows * steps * (queries + 2 * key_values) * width;
        let shaped = |inputs: &[Tensor<1>]| inputs[0].clone().reshape([rows, steps, length / rows / steps]);
        let tables_for = |inputs: &[Tensor<1>]| tables(9 + steps, rotated / 2, inputs[0].dtype());
        let fused = |inputs: &[Tensor<1>]| rotate(shaped(inputs), heads, tables_for(inputs), starts).reshape([length]);
        let expected = |inputs: &[Tensor<1>]| {
            reference::rotate(shaped(inputs), heads, tables_for(inputs), starts).reshape([length])
        };
        let what = format!("rotation of {rotated} columns of {rows} x {steps} over {heads:?} from {starts:?}");
        assert_equals_reference(&what, &[length], &fused, &expected);
        assert_gradients(&what, &[length], &fused);
    }
}

#[test]
fn each_row_turns_as_it_would_alone() {
    let (heads, starts) = (AttentionHeads { queries: 2, key_values: 1, width: 8 }, [0, 11, 3, 3]);
    let packed = tensor([4, 5, heads.packed_columns()], 1, DType::F32, &Device::flex());
    let tables = tables(16, 4, DType::F32);
    let together = [rotate, reference::rotate].map(|form| form(packed.clone(), heads, tables.clone(), &starts));
    for (row, start) in starts.into_iter().enumerate() {
        for (form, together) in [rotate, reference::rotate].into_iter().zip(&together) {
            let alone = form(packed.clone().narrow(0, row, 1), heads, tables.clone(), &[start]);
            assert_eq!(values(&together.clone().narrow(0, row, 1)), values(&alone), "row {row} from {start}");
        }
    }
}

#[test]
#[should_panic(expected = "1 starts do not fit 2 rows")]
fn a_start_for_each_row_is_needed() {
    let heads = AttentionHeads { queries: 1, key_values: 1, width: 2 };
    rotate(Tensor::zeros([2, 2, 6], &Device::flex()), heads, tables(4, 1, DType::F32), &[0]);
}

#[test]
#[should_panic(expected = "positions up to 5 lie beyond tables of 4")]
fn positions_beyond_the_tables_are_refused() {
    let heads = AttentionHeads { queries: 1, key_values: 1, width: 2 };
    rotate(Tensor::zeros([1, 2, 6], &Device::flex()), heads, tables(4, 1, DType::F32), &[3]);
}
