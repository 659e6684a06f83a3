use super::*;

/// Numbers in (-1, 1), the same ones for the same seed (Knuth's multiplicative hash).
pub(crate) fn numbers<T: Real>(count: usize, seed: u64) -> Vec<T> {
    let hash = |index: usize| (index as u64 + 1 + (seed << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..count)
        .map(|index| T::from_f64((hash(index) ^ (hash(index) >> 29)) as u32 as f64 / 2f64.powi(31) - 1.0))
        .collect()
}

#[test]
fn functions_of_single_precision_agree_with_double() {
    let close = |name: &str, x: f32, value: f32, exact: f64, relative: f64, absolute: f64| {
        let error = (f64::from(value) - exact).abs();
        assert!(error <= relative * exact.abs() + absolute, "{name}({x}) = {value}, not {exact}");
    };
    for index in -8600..8600 {
        let x = index as f32 * 0.01;
        let wide = f64::from(x);
        close("exp", x, Real::exp(x), wide.exp(), 4e-7, 0.0);
        close("tanh", x, Real::tanh(x), wide.tanh(), 5e-7, 0.0);
        close("erf", x, Real::erf(x), libm::erf(wide), 5e-7, 1e-7);
        close("sigmoid", x, x.sigmoid(), 1.0 / (1.0 + (-wide).exp()), 6e-7, 2e-38);
    }
    for x in [1e-30f32, -1e-8, 1e-3] {
        close("tanh", x, Real::tanh(x), f64::from(x), 1e-6, 0.0);
    }
    for function in [Real::exp, Real::tanh, Real::erf, Real::sigmoid] as [fn(f32) -> f32; 4] {
        assert!(function(f32::NAN).is_nan(), "not a number stays so");
        assert!(function(f32::INFINITY).is_finite() && function(f32::NEG_INFINITY).is_finite());
    }
}

#[test]
fn products_agree_with_their_definition() {
    for (rows, inner, columns) in [(1, 1, 1), (3, 5, 7), (33, 17, 50), (70, 1, 90), (128, 200, 65)] {
        let (lhs, rhs) = (numbers::<f64>(rows * inner, 1), numbers::<f64>(inner * columns, 2));
        let exact = |row: usize, column: usize| -> f64 {
            (0..inner).map(|index| lhs[row * inner + index] * rhs[index * columns + column]).sum()
        };
        let mut output = vec![1.0; rows * columns];
        let (left, right) = (Matrix::new(&lhs, rows, inner), Matrix::new(&rhs, inner, columns));
        multiply_add(MatrixMut::new(&mut output, rows, columns), left, right, 2.0);
        let mut parallel = vec![f64::NAN; rows * columns];
        multiply_in_parallel(MatrixMut::new(&mut parallel, rows, columns), left, right, false);
        assert_eq!(product_in_parallel(left, right), parallel);
        let mut transposed = vec![f64::NAN; rows * columns];
        multiply(MatrixMut::new(&mut transposed, columns, rows), right.transposed(), left.transposed(), 1.0);
        for row in 0..rows {
            for column in 0..columns {
                let exact = exact(row, column);
                assert!((output[row * columns + column] - 1.0 - 2.0 * exact).abs() < 1e-12);
                assert!((parallel[row * columns + column] - exact).abs() < 1e-12);
                assert!((transposed[column * rows + row] - exact).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn a_product_over_nothing_is_zero() {
    let product = product_in_parallel(Matrix::<f64>::new(&[], 3, 0), Matrix::new(&[], 0, 2));
    assert_eq!(product, [0.0; 6]);
}

#[test]
#[should_panic(expected = "is not in 11 numbers")]
fn a_view_beyond_its_slice_is_refused() {
    Matrix::new(&[0.0f32; 11], 3, 4);
}

#[test]
fn rows_are_all_visited_once_in_parts() {
    let (rows, width) = (1001, 64);
    let mut data = vec![0u32; rows * width];
    let body = |range: std::ops::Range<usize>, part: Rows<'_, u32>| {
        assert_eq!(part.data.len(), range.len() * width);
        part.data
            .chunks_mut(width)
            .zip(range)
            .for_each(|(row, index)| row.iter_mut().for_each(|x| *x += index as u32 + 1));
    };
    for_rows(rows, 1000, Rows::new(&mut data, width), body);
    assert!(data.chunks(width).enumerate().all(|(index, row)| row.iter().all(|x| *x == index as u32 + 1)));
    let sum = sum_of_rows::<f64, _>(rows, 1000, 1, (), |range, (), sum| sum[0] += range.map(|x| x as f64).sum::<f64>());
    assert_eq!(sum, [(rows * (rows - 1) / 2) as f64]);
}

#[test]
fn work_is_shared_out_to_threads_that_wait_awake_and_a_panic_comes_through() {
    use crate::cpu::{Rows, awake, for_rows};
    let doubled = |count: usize| {
        let mut numbers: Vec<usize> = (0..count).collect();
        for_rows(count, 4096, Rows::new(&mut numbers, 1), |range, part| {
            assert_eq!(range.start, part.data[0]);
            part.data.iter_mut().for_each(|number| *number *= 2);
        });
        numbers
    };
    let expected: Vec<usize> = (0..100).map(|number| 2 * number).collect();
    assert_eq!(awake(|| awake(|| doubled(100))), expected);
    let panicked = std::panic::catch_unwind(|| awake(|| panic!("as asked")));
    assert!(panicked.is_err());
    assert_eq!(awake(|| doubled(100)), expected);
}
