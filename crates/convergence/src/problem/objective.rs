//! What an objective gives: its value, its gradients, and what theory needs to know of it.

use burn::tensor::Tensor;

use super::Draws;
use crate::exact::Model;
use crate::{Constants, Footprint};

/// An objective F over vectors of d weights. Points are rows of `[R, d]`.
pub trait Problem {
    /// d.
    fn dimension(&self) -> usize;

    /// n, the samples that F is a mean over; `None` where noise is added to the gradient instead.
    fn samples(&self) -> Option<usize>;

    /// What a sample takes of memory.
    fn footprint(&self) -> Footprint {
        Footprint { drawn: self.dimension(), evaluated: 1 }
    }

    /// Where every descent starts, `[d]`.
    fn start(&self) -> Vec<f64>;

    /// What the theorems need to know; `None` where no theorem holds.
    fn constants(&self) -> Option<&Constants>;

    /// L, where it is known though F is not convex; F is then never below 0.
    fn smoothness(&self) -> Option<f64> {
        None
    }

    /// F(w) - F* of each row, `[R, d]` -> `[R]`; F(w) itself where F* is not known.
    fn excess(&self, weights: Tensor<2>) -> Tensor<1>;

    /// The gradient of F at each row, `[R, d]` -> `[R, d]`.
    fn gradient(&self, weights: Tensor<2>) -> Tensor<2>;

    /// The gradient of a mini-batch of `batch` samples, drawn for each row by itself, and its loss, above F* where
    /// that is known.
    fn sampled(&self, weights: Tensor<2>, batch: usize, draws: &mut Draws) -> Sampled;

    /// sigma² at each row, E |g - grad F|² of a single sample, `[R, d]` -> `[R]`; `None` where no theorem asks for it.
    fn variance(&self, weights: Tensor<2>) -> Option<Tensor<1>>;

    /// The spectrum of the Hessian at w*, where it is known.
    fn spectrum(&self) -> Option<&[f64]> {
        None
    }

    /// What expectations are computed from exactly, where they can be.
    fn model(&self) -> Option<Model<'_>> {
        None
    }

    /// A sentence about it.
    fn describe(&self) -> String;
}

/// What mini-batches give.
pub struct Sampled {
    /// `[R, d]`.
    pub gradient: Tensor<2>,
    /// `[R]`.
    pub loss: Tensor<1>,
}
