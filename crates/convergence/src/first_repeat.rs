//! The path of one repeat, beside the mean of all: stairs of a rate, and a way through the plane.

use burn::tensor::Tensor;

use crate::device::numbers;
use crate::problem::Problem;
use crate::{Arithmetic, LabError};

/// Weights are kept for this many updates at most.
const MOST_PLACES: u64 = 2000;

/// What the first repeat of a curve does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FirstRepeat {
    /// F(w_t) - F* at each evaluation of the path.
    pub errors: Vec<f64>,
    /// The rate of each update, where repeats have rates of their own; empty where all have the same.
    pub rates: Vec<f64>,
    /// w_0, w_1, ... of its first updates, where F is a quadratic in two dimensions.
    pub places: Vec<[f64; 2]>,
}

impl FirstRepeat {
    /// Keeps the weights after t updates, a row for each repeat, if they are two.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn pass(&mut self, problem: &dyn Problem, weights: &Tensor<2>, t: u64) -> Result<(), LabError> {
        if problem.dimension() == 2 && problem.model().is_some() && t <= MOST_PLACES {
            let first = numbers(weights.clone().narrow(0, 0, 1).reshape([2]))?;
            self.places.extend(<[f64; 2]>::try_from(first).ok());
        }
        Ok(())
    }
}

/// A quadratic in two dimensions: F(w) - F* = (w - w*)ᵀ H (w - w*) / 2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plane {
    /// w*.
    pub minimizer: [f64; 2],
    /// H, symmetric.
    pub hessian: [[f64; 2]; 2],
}

impl Plane {
    /// The plane of a problem, if it is one; H from three gradients, which is exact for a quadratic.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn of(problem: &dyn Problem, arithmetic: &Arithmetic) -> Result<Option<Self>, LabError> {
        let Some(known) = problem.constants().filter(|_| problem.model().is_some()) else { return Ok(None) };
        let &[x, y] = &known.minimizer[..] else { return Ok(None) };
        let places = arithmetic.tensor(vec![x, y, x + 1.0, y, x, y + 1.0], [3, 2]);
        let gradients = numbers(problem.gradient(places).reshape([6]))?;
        let [[a, b], [c, d]] = [2, 4].map(|row| [0, 1].map(|column| gradients[row + column] - gradients[column]));
        Ok(Some(Self { minimizer: [x, y], hessian: [[a, 0.5 * (b + c)], [0.5 * (b + c), d]] }))
    }
}
