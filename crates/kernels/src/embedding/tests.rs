use burn::tensor::{Device, Tensor, TensorData};

use super::{embedding, reference};
use crate::testing::{assert_equals_reference, assert_gradients, integers};

#[test]
fn embedding_equals_its_reference() {
    for [height, width, outer, inner] in [[1, 1, 1, 1], [7, 3, 2, 5], [65, 128, 12, 64], [500, 33, 3, 41]] {
        let indices = integers([outer, inner], 3, height, &Device::flex());
        let length = outer * inner * width;
        let table = |inputs: &[Tensor<1>]| inputs[0].clone().reshape([height, width]);
        let fused = |inputs: &[Tensor<1>]| embedding(table(inputs), indices.clone()).reshape([length]);
        let expected = |inputs: &[Tensor<1>]| reference::embedding(table(inputs), indices.clone()).reshape([length]);
        let what = format!("embedding of {height} x {width}, {outer} x {inner} indices");
        assert_equals_reference(&what, &[height * width], &fused, &expected);
        assert_gradients(&what, &[height * width], &fused);
    }
}

#[test]
#[should_panic(expected = "index 7 is not below 7")]
fn an_index_out_of_range_is_refused() {
    let indices = Tensor::from_data(TensorData::from([[0, 7]]), &Device::flex());
    embedding(Tensor::zeros([7, 2], &Device::flex()), indices);
}
