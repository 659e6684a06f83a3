//! The sharpness of F along a path: the largest eigenvalue of its Hessian.

use burn::tensor::Tensor;

use crate::device::numbers;
use crate::problem::Problem;
use crate::{Arithmetic, LabError};

/// Products with the Hessian that a measurement takes at most.
const MOST_PRODUCTS: usize = 200;

/// A product that changes the eigenvalue by less than this part of it is the last.
const SETTLED: f64 = 1e-7;

/// The eigenvalue of the Hessian that is largest in size, by power iteration (von Mises and Pollaczek-Geiringer 1929).
/// A product of the Hessian with a direction v of length 1 is the difference of two gradients,
/// (grad F(w + h v) - grad F(w - h v)) / (2 h) with h = 1e-5 max(1, |w|), which is exact but for the third derivative
/// of F and rounding. Each measurement begins with the direction that the one before ended with.
pub(crate) struct Sharpness<'a> {
    problem: &'a dyn Problem,
    arithmetic: &'a Arithmetic,
    direction: Vec<f64>,
}

impl<'a> Sharpness<'a> {
    pub(crate) fn new(problem: &'a dyn Problem, arithmetic: &'a Arithmetic) -> Self {
        // No eigenvector of a problem is orthogonal to it but by chance.
        let direction = (0..problem.dimension()).map(|index| 1.0 + 0.1 * (index as f64 * 1.7).sin()).collect();
        Self { problem, arithmetic, direction: unit(direction) }
    }

    /// The sharpness at `weights`, `[1, d]`.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn at(&mut self, weights: &Tensor<2>) -> Result<f64, LabError> {
        let weights = numbers(weights.clone().reshape([self.direction.len()]))?;
        let step = 1e-5 * weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt().max(1.0);
        let mut eigenvalue = 0.0;
        for _ in 0..MOST_PRODUCTS {
            let product = self.product(&weights, step)?;
            let next: f64 = product.iter().zip(&self.direction).map(|(product, direction)| product * direction).sum();
            self.direction = unit(product);
            let is_settled = (next - eigenvalue).abs() <= SETTLED * next.abs();
            eigenvalue = next;
            if is_settled {
                break;
            }
        }
        Ok(eigenvalue)
    }

    fn product(&self, weights: &[f64], step: f64) -> Result<Vec<f64>, LabError> {
        let d = weights.len();
        let moved = |sign: f64| weights.iter().zip(&self.direction).map(move |(weight, v)| weight + sign * step * v);
        let points = self.arithmetic.tensor(moved(1.0).chain(moved(-1.0)).collect(), [2, d]);
        let gradients = numbers(self.problem.gradient(points).reshape([2 * d]))?;
        let (ahead, behind) = gradients.split_at(d);
        Ok(ahead.iter().zip(behind).map(|(ahead, behind)| (ahead - behind) / (2.0 * step)).collect())
    }
}

/// The direction of `values`; that of the first axis where there is none.
fn unit(mut values: Vec<f64>) -> Vec<f64> {
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length > 0.0 && length.is_finite() {
        values.iter_mut().for_each(|value| *value /= length);
    } else {
        values.fill(0.0);
        values.iter_mut().take(1).for_each(|value| *value = 1.0);
    }
    values
}
