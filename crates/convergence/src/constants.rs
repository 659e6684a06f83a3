//! The constants that the theorems speak of.

use nalgebra::{DMatrix, DVector};

use crate::LabError;

/// What is known of a problem F.
#[derive(Debug, Clone, PartialEq)]
pub struct Constants {
    /// c: F is strongly convex with this constant, the smallest eigenvalue of its Hessian anywhere (or a bound below
    /// it).
    pub strong_convexity: f64,
    /// L: the gradient of F is Lipschitz continuous with this constant, the largest eigenvalue (or a bound above it).
    pub smoothness: f64,
    /// w*, where F is smallest.
    pub minimizer: Vec<f64>,
    /// F* = F(w*).
    pub minimum: f64,
    /// |grad F(w*)| / c, which bounds the distance of the computed w* from the true one; F* is then within c/2 of its
    /// square.
    pub minimizer_error: f64,
    /// sigma².
    pub variance: Variance,
}

/// sigma² = E |g - grad F|², the variance of the gradient at a single sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Variance {
    /// The same everywhere and known: the theorem's assumption holds to the letter.
    Exact(f64),
    /// Differs from place to place. What stands for it is the largest value met on the paths of a curve, an estimate.
    Sampled,
}

impl Constants {
    /// L / c.
    pub fn condition(&self) -> f64 {
        self.smoothness / self.strong_convexity
    }
}

/// A matrix that is symmetric but for its last digits, without them.
pub(crate) fn symmetric(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    (matrix + matrix.transpose()) * 0.5
}

/// Smallest and largest eigenvalue of a symmetric matrix.
pub(crate) fn extreme_eigenvalues(matrix: &DMatrix<f64>) -> (f64, f64) {
    let eigenvalues = matrix.clone().symmetric_eigenvalues();
    (eigenvalues.min(), eigenvalues.max())
}

/// The same, for a Hessian that must not be singular.
///
/// # Errors
/// When its smallest eigenvalue is 0 to the precision of the arithmetic.
pub(crate) fn regular(hessian: &DMatrix<f64>) -> Result<(f64, f64), LabError> {
    let (smallest, largest) = extreme_eigenvalues(hessian);
    // Eigenvalues come with an error of some units in the last place of the largest.
    if smallest.is_finite() && smallest > 1e-12 * largest {
        return Ok((smallest, largest));
    }
    Err(LabError::Singular { smallest, largest })
}

/// Solves a symmetric positive definite system, with one step of iterative refinement.
pub(crate) fn solve(matrix: &DMatrix<f64>, right: &DVector<f64>) -> Option<DVector<f64>> {
    let factors = matrix.clone().cholesky()?;
    let solution = factors.solve(right);
    let residual = right - matrix * &solution;
    Some(&solution + factors.solve(&residual))
}
