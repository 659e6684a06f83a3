use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{reference, rotate};
use crate::attention::AttentionHeads;
use crate::testing::{assert_equals_reference, assert_gradients};

/// Cosines and sines of other angles at every place.
fn tables(context: usize, half: usize, dtype: DType) -> [Tensor<2>; 2] {
    [f64::cos as fn(f64) -> f64, f64::sin].map(|function| {
        let values: Vec<f64> = (0..context * half).map(|index| function(index as f64 * 0.37)).collect();
        Tensor::from_data(TensorData::new(values, [context, half]), (&Device::flex(), dtype))
    })
}

#[test]
fn rotation_equals_its_reference() {
    for ([rows, steps, queries, key_values, width], start) in
        [([1, 1, 1, 1, 2], 0), ([2, 7, 3, 1, 6], 5), ([3, 33, 4, 2, 16], 0), ([12, 64, 4, 4, 32], 3)]
    {
        let heads = AttentionHeads { queries, key_values, width };
        let length = rows * steps * (queries + 2 * key_values) * width;
        let shaped = |inputs: &[Tensor<1>]| inputs[0].clone().reshape([rows, steps, length / rows / steps]);
        let tables_for = |inputs: &[Tensor<1>]| tables(start + steps, width / 2, inputs[0].dtype());
        let fused = |inputs: &[Tensor<1>]| rotate(shaped(inputs), heads, tables_for(inputs), start).reshape([length]);
        let expected = |inputs: &[Tensor<1>]| {
            reference::rotate(shaped(inputs), heads, tables_for(inputs), start).reshape([length])
        };
        let what = format!("rotation of {rows} x {steps} over {heads:?} from {start}");
        assert_equals_reference(&what, &[length], &fused, &expected);
        assert_gradients(&what, &[length], &fused);
    }
}

#[test]
#[should_panic(expected = "positions up to 5 lie beyond tables of 4")]
fn positions_beyond_the_tables_are_refused() {
    let heads = AttentionHeads { queries: 1, key_values: 1, width: 2 };
    rotate(Tensor::zeros([1, 2, 6], &Device::flex()), heads, tables(4, 1, DType::F32), 3);
}
