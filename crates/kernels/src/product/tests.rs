//! Products on whatever adapter is here; how to run them says `cube/tests.rs`.

use burn::tensor::{DType, Device, DeviceKind, Tensor};

use super::{MatrixPrecision, matrix_product};
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
