//! Products in mixed precision on a CPU, which has no units for them: the reference for those of GPUs, composed of
//! Burn's operations.

use burn::tensor::{DType, Tensor};

use super::MatrixPrecision;
use crate::flex::has_fast_body;

/// The precision of a product on a CPU; that of other devices is left to their own kernels.
pub(crate) fn precision_on_cpu<const D: usize>(operand: &Tensor<D>) -> MatrixPrecision {
    if operand.dtype() == DType::F32 && has_fast_body(operand) {
        crate::choice::matrix_precision()
    } else {
        MatrixPrecision::Single
    }
}

/// The product of matrices. In mixed precision both operands are rounded to bfloat16, and so are those of the products
/// backward, the gradient of the output among them.
pub(crate) fn product<const D: usize>(left: Tensor<D>, right: Tensor<D>, precision: MatrixPrecision) -> Tensor<D> {
    match precision {
        MatrixPrecision::Single => left.matmul(right),
        MatrixPrecision::Mixed => with_rounded_gradient(rounded(left).matmul(rounded(right))),
    }
}

/// The nearest numbers of bfloat16, ties to even.
fn nearest<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.cast(DType::BF16).cast(DType::F32)
}

/// Rounded numbers, whose gradient is not rounded: a number and what rounding adds to it are added up exactly.
fn rounded<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let numbers = tensor.clone().detach();
    tensor + (nearest(numbers.clone()) - numbers)
}

/// The same numbers, whose gradient is rounded, as that of a conversion is.
fn with_rounded_gradient<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let near = nearest(tensor.clone());
    let rest = tensor.detach() - near.clone().detach();
    near + rest
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::testing::{assert_close, tensor, values};

    #[test]
    fn operands_are_rounded_forward_and_backward() {
        let device = Device::flex().autodiff();
        let matrix = |shape: [usize; 2], seed: u64| tensor::<2>(shape, seed, DType::F32, &device).require_grad();
        let (left, right, weights) = (matrix([5, 7], 1), matrix([7, 3], 2), matrix([5, 3], 3));
        let output = product(left.clone(), right.clone(), MatrixPrecision::Mixed);
        let gradients = (output.clone() * weights.clone()).sum().backward();
        // The products of the rounded numbers, in double precision.
        let exact = |tensor: &Tensor<2>| {
            let data = nearest(tensor.clone().inner()).into_data().convert_dtype(DType::F64);
            Tensor::<2>::from_data(data, (&Device::flex(), DType::F64))
        };
        let [x, w, g] = [&left, &right, &weights].map(exact);
        assert_close("the product", &values(&output), &values(&x.clone().matmul(w.clone())), 1e-6);
        let of_left = values(&left.grad(&gradients).unwrap());
        assert_close("the gradient of the left", &of_left, &values(&g.clone().matmul(w.transpose())), 1e-6);
        let of_right = values(&right.grad(&gradients).unwrap());
        assert_close("the gradient of the right", &of_right, &values(&x.transpose().matmul(g)), 1e-6);
    }

    #[test]
    fn ties_go_to_even_and_gradients_pass_a_rounding() {
        let device = Device::flex().autodiff();
        // 1 + 2^-8 lies between 1 and 1 + 2^-7; 1 + 3 2^-8 between that and 1 + 2^-6.
        let data = TensorData::from([1.0f32 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, -0.1]);
        let numbers = Tensor::<1>::from_data(data, &device).require_grad();
        let near = rounded(numbers.clone());
        assert_eq!(values(&near), [1.0, 1.0 + 1.0 / 64.0, -0.100_097_656_25]);
        let gradients = (near * 0.1).sum().backward();
        assert_eq!(values(&numbers.grad(&gradients).unwrap()), [f64::from(0.1f32); 3]);
        let same = with_rounded_gradient(numbers.clone());
        assert_eq!(values(&same), values(&numbers));
        let gradients = (same * 0.1).sum().backward();
        assert_eq!(values(&numbers.grad(&gradients).unwrap()), [0.100_097_656_25; 3]);
    }
}
