//! How an operation is compared with its reference, forward and backward, and with difference quotients.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Numbers in (-1, 1), the same ones for the same seed.
pub(crate) fn tensor<const D: usize>(shape: [usize; D], seed: u64, dtype: DType, device: &Device) -> Tensor<D> {
    let values = crate::cpu::tests::numbers::<f64>(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), (device, dtype))
}

/// Integers below `limit`.
pub(crate) fn integers<const D: usize>(shape: [usize; D], seed: u64, limit: usize, device: &Device) -> Tensor<D, Int> {
    let values = crate::cpu::tests::numbers::<f64>(shape.iter().product(), seed);
    let values: Vec<i32> = values.into_iter().map(|x| ((x + 1.0) / 2.0 * limit as f64) as i32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// The largest difference over the largest magnitude of `expected`.
pub(crate) fn assert_close(what: &str, actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-30f64, |largest, x| largest.max(x.abs()));
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let error = (actual - expected).abs() / scale;
        assert!(error <= tolerance, "{what}: number {index} is {actual}, not {expected} ({error:e} of {scale})");
    }
}

/// A function of some flattened tensors.
pub(crate) type Function<'a> = &'a dyn Fn(&[Tensor<1>]) -> Tensor<1>;

/// Output, and gradients of the sum of output times fixed weights, of every input.
pub(crate) fn evaluate(function: Function<'_>, inputs: &[Tensor<1>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let inputs: Vec<_> = inputs.iter().map(|input| input.clone().require_grad()).collect();
    let output = function(&inputs);
    let weights = tensor(output.dims(), 99, output.dtype(), &output.device());
    let gradients = (output.clone() * weights).sum().backward();
    let of = |input: &Tensor<1>| match input.grad(&gradients) {
        Some(gradient) => values(&gradient),
        None => vec![0.0; input.dims()[0]],
    };
    (values(&output), inputs.iter().map(of).collect())
}

/// The fused operation against its reference, in single precision on Burn's CPU backend: forward and backward, with and
/// without autodiff.
pub(crate) fn assert_equals_reference(what: &str, lengths: &[usize], fused: Function<'_>, reference: Function<'_>) {
    let device = Device::flex().autodiff();
    for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-10)] {
        let inputs: Vec<_> =
            (0u64..).zip(lengths).map(|(seed, length)| tensor([*length], seed, dtype, &device)).collect();
        let ((output, gradients), (expected, expected_gradients)) =
            (evaluate(fused, &inputs), evaluate(reference, &inputs));
        assert_close(&format!("{what} in {dtype:?}"), &output, &expected, tolerance);
        for (index, (gradient, expected)) in gradients.iter().zip(&expected_gradients).enumerate() {
            assert_close(&format!("gradient {index} of {what} in {dtype:?}"), gradient, expected, tolerance);
        }
        let plain: Vec<_> = inputs.into_iter().map(Tensor::inner).collect();
        assert_eq!(values(&fused(&plain)), output, "{what} gives the same bits without autodiff");
    }
}

/// The gradients of the fused operation against central differences, in double precision, at some places of every
/// input.
pub(crate) fn assert_gradients(what: &str, lengths: &[usize], fused: Function<'_>) {
    const STEP: f64 = 1e-5;
    let device = Device::flex().autodiff();
    let inputs: Vec<_> =
        (0u64..).zip(lengths).map(|(seed, length)| tensor([*length], seed, DType::F64, &device)).collect();
    let (output, gradients) = evaluate(fused, &inputs);
    let weights = values(&tensor([output.len()], 99, DType::F64, &device));
    let objective = |inputs: &[Tensor<1>]| -> f64 {
        values(&fused(inputs)).iter().zip(&weights).map(|(output, weight)| output * weight).sum()
    };
    for (index, input) in inputs.iter().enumerate() {
        let original = values(input);
        let moved = |place: usize, by: f64| {
            let mut changed = original.clone();
            changed[place] += by;
            let data = TensorData::new(changed, [original.len()]);
            let mut inputs: Vec<_> = inputs.iter().map(|input| input.clone().inner()).collect();
            inputs[index] = Tensor::from_data(data, (&device.clone().inner(), DType::F64));
            objective(&inputs)
        };
        let stride = original.len().div_ceil(40);
        let places = || (0..original.len()).step_by(stride);
        let quotients: Vec<f64> =
            places().map(|place| (moved(place, STEP) - moved(place, -STEP)) / (2.0 * STEP)).collect();
        let found: Vec<f64> = places().map(|place| gradients[index][place]).collect();
        // Relative to the whole gradient, whose other entries bound what rounding does to a quotient.
        let scale = gradients[index].iter().fold(0.0f64, |largest, x| largest.max(x.abs())).max(1e-3);
        for ((place, found), quotient) in places().zip(found).zip(quotients) {
            let error = (found - quotient).abs() / scale;
            assert!(error < 1e-6, "gradient {index} of {what} at {place}: {found}, by differences {quotient}");
        }
    }
}
