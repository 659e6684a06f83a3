//! What problems are made of: features with a target each.

use nalgebra::{DMatrix, DVector};

/// n samples of d features with a target each.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// X, `[n, d]`.
    pub features: DMatrix<f64>,
    /// y, `[n]`; for classes -1 and 1.
    pub targets: DVector<f64>,
}

/// What the targets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Targets {
    /// Numbers.
    Numbers,
    /// Two classes, -1 and 1.
    Classes,
}
