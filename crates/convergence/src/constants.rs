//! The constants that the theorems speak of.

use nalgebra::{DMatrix, DVector, Dyn, SymmetricEigen};

/// What is known of a problem F.
#[derive(Debug, Clone, PartialEq)]
pub struct Constants {
    /// c: F is strongly convex with this constant, the smallest eigenvalue of its Hessian anywhere (or a bound below
    /// it). Where the Hessian of least squares is singular, the smallest eigenvalue that isn't 0, the constant of the
    /// Polyak-Lojasiewicz condition.
    pub strong_convexity: f64,
    /// L: the gradient of F is Lipschitz continuous with this constant, the largest eigenvalue (or a bound above it).
    pub smoothness: f64,
    /// How F curves.
    pub convexity: Convexity,
    /// w*, where F is smallest; where it is in several places, the one nearest to 0.
    pub minimizer: Vec<f64>,
    /// F* = F(w*).
    pub minimum: f64,
    /// |grad F(w*)| / c, which bounds the distance of the computed w* from the true one; F* is then within c/2 of its
    /// square.
    pub minimizer_error: f64,
    /// |w_0 - w*|.
    pub start_distance: f64,
    /// sigma².
    pub variance: Variance,
    /// sigma*², the same at w*.
    pub noise_at_minimum: f64,
    /// n, the samples that F is a mean over; `None` where noise is added instead.
    pub samples: Option<usize>,
    /// Each single sample's loss is strongly convex with this constant, which may be 0.
    pub sample_convexity: f64,
    /// L_max: the gradient of each single sample's loss is Lipschitz continuous with this constant.
    pub sample_smoothness: f64,
}

/// How F curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convexity {
    /// Strongly convex.
    Strong,
    /// The same, with one Hessian everywhere.
    Quadratic,
    /// One Hessian everywhere, which is singular: F has many minima, and gradients lie in the directions in which it
    /// curves. There |grad F|² >= 2 c (F - F*), the Polyak-Lojasiewicz condition, of which the theorems make use.
    Singular,
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

/// Eigenvalues come with an error of some units in the last place of the largest: those below this part of it are 0.
pub(crate) const ZERO: f64 = 1e-12;

/// Solves a symmetric system that may be singular, in the directions in which it isn't.
pub(crate) fn solve_singular(eigen: &SymmetricEigen<f64, Dyn>, right: &DVector<f64>) -> DVector<f64> {
    let least = ZERO * eigen.eigenvalues.max();
    let mut along = eigen.eigenvectors.tr_mul(right);
    for (entry, eigenvalue) in along.iter_mut().zip(eigen.eigenvalues.iter()) {
        *entry = if *eigenvalue > least { *entry / eigenvalue } else { 0.0 };
    }
    &eigen.eigenvectors * along
}

/// Solves a symmetric positive definite system, with one step of iterative refinement.
pub(crate) fn solve(matrix: &DMatrix<f64>, right: &DVector<f64>) -> Option<DVector<f64>> {
    let factors = matrix.clone().cholesky()?;
    let solution = factors.solve(right);
    let residual = right - matrix * &solution;
    Some(&solution + factors.solve(&residual))
}
