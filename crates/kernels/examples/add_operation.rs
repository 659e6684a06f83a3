//! A fused operation of your own: softsign, x / (1 + |x|), in one pass forward and one backward on Burn's CPU backend.
//!
//! Run it with `cargo run --release --no-default-features --example add_operation`.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Bytes, DType, Device, Distribution, Tensor};
use kiln_kernels::record;

/// The operation, which Burn's tensors dispatch to the backends that are listed.
#[backend_extension(Autodiff, Flex)]
trait SoftsignOps: Backend {
    fn softsign(input: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Its gradient.
trait SoftsignGradients: Backend {
    fn softsign_backward(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The function on tensors.
fn softsign<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::softsign(input.into_dispatch()))
}

/// The same, composed of Burn's operations: five passes over memory, and more backward.
fn composed<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    input.clone() / (input.abs() + 1.0)
}

impl SoftsignOps for Flex {
    fn softsign(input: FloatTensor<Self>) -> FloatTensor<Self> {
        in_one_pass([input.clone(), input], |x, _| x / (1.0 + x.abs()))
    }
}

impl SoftsignGradients for Flex {
    fn softsign_backward(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        in_one_pass([input, gradient], |x, slope| slope / ((1.0 + x.abs()) * (1.0 + x.abs())))
    }
}

/// Under autodiff: the forward of the inner backend, put into the graph with what its backward needs.
impl<B: SoftsignOps + SoftsignGradients, C: CheckpointStrategy> SoftsignOps for Autodiff<B, C> {
    fn softsign(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = input.primitive().clone();
        let output = B::softsign(x.clone());
        record::<B, C, _, 1>([input.node()], output, x, |x, gradient, _| [Some(B::softsign_backward(x, gradient))])
    }
}

/// A function of each pair of numbers of two tensors in single precision.
fn in_one_pass(tensors: [FlexTensor; 2], function: fn(f32, f32) -> f32) -> FlexTensor {
    let [first, second] = tensors.map(|tensor| tensor.to_contiguous());
    let (Some(a), Some(b)) = (first.as_slice::<f32>(), second.as_slice::<f32>()) else {
        panic!("this body computes in single precision");
    };
    let output: Vec<f32> = a.iter().zip(b).map(|(a, b)| function(*a, *b)).collect();
    FlexTensor::new(Bytes::from_elems(output), Layout::contiguous(first.shape()), DType::F32)
}

fn main() {
    let input = Tensor::<2>::random([64, 100], Distribution::Normal(0.0, 2.0), &Device::flex().autodiff());
    let [fused, expected] = [softsign::<2>, composed::<2>].map(|operation| {
        let input = input.clone().require_grad();
        let output = operation(input.clone());
        let gradient = input.grad(&output.clone().square().sum().backward());
        (output.inner(), gradient.expect("the input is tracked"))
    });
    let apart = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_data().iter::<f32>().fold(0.0, f32::max);
    let (outputs, gradients) = (apart(fused.0, expected.0), apart(fused.1, expected.1));
    println!("largest difference from the composition: outputs {outputs:.1e}, gradients {gradients:.1e}");
    assert!(outputs < 1e-6 && gradients < 1e-6, "the fused operation differs from the composition");
}
