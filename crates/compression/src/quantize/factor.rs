//! The factor of an inverse that GPTQ goes down.

use nalgebra::{Cholesky, DMatrix};

/// What is added to the diagonal before a matrix is inverted, as a part of the diagonal's mean.
const DAMPING: f64 = 0.01;

/// The upper triangular U with (H + d 1)^-1 = U^T U, by rows, d being the [damping](DAMPING), where H is `[n, n]` with
/// its rows and columns in the order of `order`; `None` if H isn't positive.
///
/// With H = R R^T and R upper triangular, which is the Cholesky factor of H with both axes turned round, U = R^-1.
pub(super) fn inverse_factor(products: &[f32], order: &[usize]) -> Option<Vec<f32>> {
    let size = order.len();
    let diagonal: f64 = (0..size).map(|index| f64::from(products[index * size + index])).sum();
    let damping = DAMPING * diagonal / size as f64;
    let turned = |index: usize| order[size - 1 - index];
    let symmetric = DMatrix::from_fn(size, size, |row, column| {
        let number = f64::from(products[turned(row) * size + turned(column)]);
        // An input that is always 0 has no say.
        let on_diagonal = if number == 0.0 { damping.max(f64::MIN_POSITIVE) } else { damping };
        number + if row == column { on_diagonal } else { 0.0 }
    });
    let lower = Cholesky::new(symmetric)?.unpack();
    let inverse = lower.solve_lower_triangular(&DMatrix::identity(size, size))?;
    let mut upper = vec![0.0; size * size];
    for row in 0..size {
        for column in row..size {
            upper[row * size + column] = inverse[(size - 1 - row, size - 1 - column)] as f32;
        }
    }
    upper.iter().all(|number| number.is_finite()).then_some(upper)
}

#[cfg(test)]
mod tests {
    use super::inverse_factor;

    #[test]
    fn the_factor_is_that_of_the_inverse() {
        // H = [[2, 1], [1, 3]] and d = 0.01 * 2.5: U^T U (H + d 1) = 1, in the order 1, 0.
        let upper = inverse_factor(&[2.0, 1.0, 1.0, 3.0], &[1, 0]).unwrap();
        let damped = [[3.025, 1.0], [1.0, 2.025]];
        assert_eq!(upper[2], 0.0);
        let inverse = |row: usize, column: usize| (0..2).map(|k| upper[k * 2 + row] * upper[k * 2 + column]).sum();
        for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let product: f32 = (0..2)
                .map(|k| {
                    let part: f32 = inverse(row, k);
                    part * damped[k][column]
                })
                .sum();
            let expected = f32::from(u8::from(row == column));
            assert!((product - expected).abs() < 1e-5, "({row}, {column}) is {product}");
        }
    }

    #[test]
    fn what_is_not_positive_has_none() {
        assert!(inverse_factor(&[1.0, 2.0, 2.0, 1.0], &[0, 1]).is_none());
    }
}
