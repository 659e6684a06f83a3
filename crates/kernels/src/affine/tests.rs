use burn::tensor::{Device, Tensor};

use super::{affine, reference};
use crate::testing::{assert_equals_reference, assert_gradients};

type Form = fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Option<Tensor<2>>) -> Tensor<2>;

fn flattened(
    form: Form,
    [rows, inner, width]: [usize; 3],
    bias: bool,
    residual: bool,
    tied: bool,
) -> impl Fn(&[Tensor<1>]) -> Tensor<1> {
    move |inputs| {
        let weight = match tied {
            true => inputs[1].clone().reshape([width, inner]).transpose(),
            false => inputs[1].clone().reshape([inner, width]),
        };
        let bias = bias.then(|| inputs[2].clone());
        let residual = residual.then(|| inputs[3].clone().reshape([rows, width]));
        form(inputs[0].clone().reshape([rows, inner]), weight, bias, residual).reshape([rows * width])
    }
}

#[test]
fn affine_equals_its_reference() {
    for sizes @ [rows, inner, width] in [[1, 1, 1], [3, 5, 7], [2, 33, 1], [130, 65, 97], [1, 64, 200], [257, 1, 48]] {
        for (bias, residual, tied) in
            [(false, false, false), (true, false, true), (false, true, true), (true, true, false)]
        {
            let what = format!("affine of {sizes:?}, bias {bias}, residual {residual}, tied {tied}");
            let lengths = [rows * inner, inner * width, width, rows * width];
            let fused = flattened(affine, sizes, bias, residual, tied);
            assert_equals_reference(
                &what,
                &lengths,
                &fused,
                &flattened(reference::affine, sizes, bias, residual, tied),
            );
            assert_gradients(&what, &lengths, &fused);
        }
    }
}

#[test]
fn a_view_with_gaps_is_read_as_it_is() {
    let device = Device::flex();
    let all = crate::testing::tensor([9, 24], 1, burn::tensor::DType::F32, &device);
    let input = all.clone().narrow(1, 3, 8);
    let weight = all.narrow(0, 1, 8).narrow(1, 2, 5);
    let expected = reference::affine(input.clone(), weight.clone(), None, None);
    assert!(affine(input, weight, None, None).all_close(expected, None, Some(1e-6)));
}

#[test]
#[should_panic(expected = "an input of 3 columns does not fit a weight of 4 rows")]
fn sizes_that_do_not_fit_are_refused() {
    let device = Device::flex();
    affine(Tensor::zeros([2, 3], &device), Tensor::zeros([4, 5], &device), None, None);
}
