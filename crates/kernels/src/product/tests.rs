//! Products on whatever adapter is here; how to run them says `cube/tests.rs`.

use burn::backend::DispatchDevice;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Device, DeviceKind, Tensor, TensorData, bf16};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::prelude::*;

use super::{MatrixPrecision, cube_mixed, matrix_product};
use crate::cube::empty;
use crate::testing::{assert_close, tensor, values};

/// Rows, inner and columns: edges of tiles and of steps, and inner axes that are cut into parts.
const SHAPES: [[usize; 3]; 9] = [
    [4, 4, 4],
    [128, 32, 128],
    [132, 36, 260],
    [8, 2048, 12],
    [260, 1028, 132],
    [1028, 8, 20],
    [1, 1, 1],
    [131, 65, 33],
    [7, 1025, 258],
];

/// A matrix, and whether it lies in memory by columns.
fn matrix([rows, columns]: [usize; 2], seed: u64, by_columns: bool, dtype: DType, device: &Device) -> Tensor<2> {
    if by_columns {
        tensor([columns, rows], seed, dtype, device).transpose()
    } else {
        tensor([rows, columns], seed, dtype, device)
    }
}

fn assert_products(precision: MatrixPrecision, tolerance: f64) {
    let adapter = Device::wgpu(DeviceKind::DefaultDevice);
    for [rows, inner, columns] in SHAPES {
        for (left_by_columns, right_by_columns) in [(false, false), (false, true), (true, false), (true, true)] {
            let operands = |dtype: DType, device: &Device| {
                let left = matrix([rows, inner], 1, left_by_columns, dtype, device);
                (left, matrix([inner, columns], 2, right_by_columns, dtype, device))
            };
            let (left, right) = operands(DType::F64, &Device::flex());
            let expected = left.matmul(right);
            let (left, right) = operands(DType::F32, &adapter);
            let Some(found) = matrix_product(&left, &right, precision) else {
                panic!("the adapter does not multiply {rows} x {inner} x {columns}")
            };
            let what = format!("{rows} x {inner} x {columns}, by columns: {left_by_columns}, {right_by_columns}");
            assert_close(&what, &values(&found), &values(&expected), tolerance);
        }
    }
}

#[test]
#[ignore = "needs an adapter"]
fn products_equal_those_in_double_precision_on_an_adapter() {
    assert_products(MatrixPrecision::Single, 1e-5);
}

#[test]
#[ignore = "needs an adapter with cooperative matrices"]
fn mixed_products_are_near_those_in_double_precision_on_such_an_adapter() {
    assert_products(MatrixPrecision::Mixed, 1e-2);
}

#[test]
#[ignore = "needs an adapter"]
fn operands_are_rounded_to_the_nearest_bfloat16_on_an_adapter() {
    let adapter = Device::wgpu(DeviceKind::DefaultDevice);
    let DispatchDevice::Cube(device) = adapter.as_dispatch() else { panic!("not a device of CubeCL") };
    // Ties, both ways, and numbers beside them; numbers that round up to a power of two; small, large, infinite; NaN as
    // GPUs make it.
    let bits = [
        0x3F80_8000,
        0x3F81_8000,
        0x3F80_8001,
        0x3F80_7FFF,
        0x3FFF_FFFF,
        0xBF80_8000,
        0x0000_0001,
        0x7F7F_0000,
        0x7F80_0000,
        0xFF80_0000,
        0x7FFF_FFFF,
        0xFFFF_FFFF,
    ];
    let numbers: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
    let data = TensorData::new(numbers.clone(), [numbers.len()]);
    let given = <CubeBackend as FloatTensorOps<CubeBackend>>::float_from_data(data, device);
    let found = empty(&given, [numbers.len()]);
    cube_mixed::nearest_of_all::launch(
        &device.client(),
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(32),
        given.into_buffer_arg(),
        found.clone().into_buffer_arg(),
    );
    let found = <CubeBackend as FloatTensorOps<CubeBackend>>::float_into_data(found);
    let found = burn_cubecl::cubecl::future::block_on(found).expect("the adapter answers");
    for (number, found) in numbers.iter().zip(found.iter::<f32>()) {
        let expected = bf16::from_f32(*number).to_f32();
        // Devices may take the smallest numbers, below 2^-126, for zero.
        let is_equal = found.to_bits() == expected.to_bits() || (found.is_nan() && number.is_nan());
        assert!(is_equal, "{number:e} became {found:e}, not {expected:e}");
    }
}
