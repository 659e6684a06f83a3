//! The kernels with ordinary units in the place of those for small matrices, which software adapters do not have; how
//! to run them says `cube/tests.rs`. `kiln bench kernels --check` compares them as they are on a GPU.

use burn::backend::DispatchDevice;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Device, DeviceKind, Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::future::block_on;
use burn_cubecl::tensor::CubeTensor;

use super::Mixed;
use crate::attention::cube::sums_over_heads;
use crate::testing::{assert_close, evaluate, tensor};
use crate::{AttentionHeads, AttentionScores, causal_attention};

/// Rows, steps, query heads, key-value heads, width: below and above the rows of a cube and of a tile, widths that are
/// filled up, odd ones, and 48, for which a cube with little shared memory has one plane.
const SIZES: [[usize; 5]; 7] = [
    [1, 1, 1, 1, 1],
    [1, 63, 2, 1, 8],
    [3, 65, 4, 2, 5],
    [2, 130, 3, 3, 16],
    [1, 97, 4, 1, 32],
    [2, 33, 2, 2, 40],
    [1, 70, 2, 1, 48],
];

/// Rounding of operands to bfloat16 moves a number by at most 2^-9 of itself.
const TOLERANCE: f64 = 1e-2;

#[test]
#[ignore = "needs an adapter"]
fn mixed_attention_is_near_that_in_double_precision_on_an_adapter() {
    let adapter = Device::wgpu(DeviceKind::DefaultDevice);
    let DispatchDevice::Cube(device) = adapter.as_dispatch() else { panic!("not a device of CubeCL") };
    let on_adapter = |numbers: &Tensor<3>| {
        let data = numbers.to_data().convert_dtype(DType::F32);
        <CubeBackend as FloatTensorOps<CubeBackend>>::float_from_data(data, device)
    };
    for [rows, steps, queries, key_values, width] in SIZES {
        let heads = AttentionHeads { queries, key_values, width };
        let columns = heads.packed_columns();
        for soft_cap in [None, Some(1.5)] {
            let scores = AttentionScores { scale: 1.7 * (width as f64).powf(-0.5), soft_cap, window: None };
            let shape = [rows, steps, queries * width];
            let attend = |inputs: &[Tensor<1>]| {
                let packed = inputs[0].clone().reshape([rows, steps, columns]);
                causal_attention(packed, heads, scores, 0.0, None).reshape([rows * steps * queries * width])
            };
            let given: Tensor<1> = tensor([rows * steps * columns], 0, DType::F64, &Device::flex().autodiff());
            let (expected, gradients) = evaluate(&attend, std::slice::from_ref(&given));
            let weights: Tensor<1> = tensor([rows * steps * queries * width], 99, DType::F64, &Device::flex());

            let Some(mixed) = Mixed::emulated(&device.client(), heads, scores) else { panic!("no room for {heads:?}") };
            let (packed, gradient) = (given.reshape([rows, steps, columns]), weights.reshape(shape));
            let (packed, gradient) = (on_adapter(&packed), on_adapter(&gradient));
            let (output, logarithms) = mixed.attend(packed.clone());
            let sums = sums_over_heads(output.clone(), &gradient, heads);
            let found = mixed.gradient(&packed, &gradient, &logarithms, &sums);
            let what = format!("attention of {rows} x {steps} over {heads:?}, cap {soft_cap:?}");
            assert_close(&what, &read(output), &expected, TOLERANCE);
            assert_close(&format!("gradient of {what}"), &read(found), &gradients[0], TOLERANCE);
        }
    }
}

fn read(tensor: CubeTensor) -> Vec<f64> {
    let data: TensorData =
        block_on(<CubeBackend as FloatTensorOps<CubeBackend>>::float_into_data(tensor)).expect("the adapter answers");
    data.iter::<f64>().collect()
}
