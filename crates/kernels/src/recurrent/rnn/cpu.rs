//! The Elman network's time loop and its gradient on the CPU: h_t = phi(p_t + h_(t-1) V), where p_t = x_t U + c are the
//! projected inputs and phi is tanh or the rectifier. Arrays are time-major.

use super::super::steps::{Columns, Sizes, Steps, transposed, write_weight_gradient};
use crate::cpu::{Matrix, MatrixMut, Real, Rows, for_rows, multiply, multiply_add, simd};

/// phi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The hyperbolic tangent.
    Tanh,
    /// The rectifier, max(x, 0).
    Relu,
}

/// What the time loop reads beside its projected inputs.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a, T> {
    pub(crate) sizes: Sizes,
    pub(crate) activation: Activation,
    /// V, `[H, H]`.
    pub(crate) weight: &'a [T],
    /// h_0, `[B, H]`.
    pub(crate) hidden: &'a [T],
}

/// The gradients of a layer's parameter and initial state.
pub(crate) struct LayerGradients<T> {
    /// Of V, `[H, H]`.
    pub(crate) weight: Vec<T>,
    /// Of h_0, `[B, H]`.
    pub(crate) hidden: Vec<T>,
}

impl<T: Real> Layer<'_, T> {
    fn check(&self) {
        let sizes = self.sizes;
        sizes.check(sizes.width * sizes.width, &[self.weight.len()]);
        sizes.check(sizes.state(), &[self.hidden.len()]);
    }
}

/// Runs the time loop in place: `outputs`, `[T, B, H]`, holds the projected inputs p_t on entry and all h_t on exit.
///
/// # Panics
/// If a slice's length does not match its shape.
pub(crate) fn forward<T: Real>(layer: Layer<'_, T>, outputs: &mut [T]) {
    let sizes @ Sizes { steps, rows, width } = layer.sizes;
    layer.check();
    sizes.check(sizes.sequence(), &[outputs.len()]);
    let weight = Matrix::new(layer.weight, width, width);
    for_rows(rows, sizes.work(1), Steps::new(outputs, sizes, width), |rows, mut outputs| {
        let first_hidden = sizes.part(layer.hidden, 0, &rows);
        for step in 0..steps {
            let (previous, output) = outputs.with_previous(step, first_hidden);
            let hidden = Matrix::new(previous, rows.len(), width);
            multiply_add(MatrixMut::new(output, rows.len(), width), hidden, weight, T::ONE);
            activate(layer.activation, output);
        }
    });
}

pub(crate) fn activate<T: Real>(activation: Activation, sums: &mut [T]) {
    simd(
        #[inline(always)]
        || match activation {
            Activation::Tanh => sums.iter_mut().for_each(|sum| *sum = sum.tanh()),
            Activation::Relu => sums.iter_mut().for_each(|sum| *sum = sum.larger(T::ZERO)),
        },
    );
}

/// The gradients of everything that [`forward`] read, by the chain rule backwards in time:
///
/// ```text
/// da_t = ((gradient of the output h_t) + da_(t+1) V^T) * phi'      phi' = 1 - h_t^2, or 1 where h_t > 0
/// dV   = sum over t of h_(t-1)^T da_t
/// ```
///
/// # Parameters
/// - `outputs`: all h_t, `[T, B, H]`.
/// - `gradient`: `[T, B, H]`; that of all h_t on entry, on exit that of the projected inputs, da.
///
/// # Panics
/// If a slice's length does not match its shape.
pub(crate) fn backward<T: Real>(layer: Layer<'_, T>, outputs: &[T], gradient: &mut [T]) -> LayerGradients<T> {
    let sizes @ Sizes { steps, rows, width } = layer.sizes;
    layer.check();
    sizes.check(sizes.sequence(), &[outputs.len(), gradient.len()]);
    let transposed = transposed(layer.weight, width, width);
    let transposed = Matrix::new(&transposed, width, width);
    let mut hidden = vec![T::ZERO; sizes.state()];
    let written = (Steps::new(gradient, sizes, width), Rows::new(&mut hidden, width));
    for_rows(rows, sizes.work(1), written, |rows, (mut gradient, hidden)| {
        for step in (0..steps).rev() {
            let (here, next) = gradient.with_next(step);
            if let Some(next) = next {
                let next = Matrix::new(next, rows.len(), width);
                multiply_add(MatrixMut::new(here, rows.len(), width), next, transposed, T::ONE);
            }
            differentiate(layer.activation, here, sizes.part(outputs, step, &rows));
        }
        let first = Matrix::new(gradient.at(0), rows.len(), width);
        multiply(MatrixMut::new(hidden.data, rows.len(), width), first, transposed, T::ONE);
    });
    let mut weight = vec![T::ZERO; width * width];
    let columns = Columns { count: width, stride: width };
    write_weight_gradient(sizes, [layer.hidden, outputs], (gradient, columns), (&mut weight, width));
    LayerGradients { weight, hidden }
}

/// Multiplies the gradient of a step's outputs by phi'.
fn differentiate<T: Real>(activation: Activation, gradient: &mut [T], outputs: &[T]) {
    simd(
        #[inline(always)]
        || {
            let pairs = gradient.iter_mut().zip(outputs);
            match activation {
                Activation::Tanh => pairs.for_each(|(gradient, h)| *gradient *= T::ONE - *h * *h),
                Activation::Relu => {
                    pairs.for_each(|(gradient, h)| *gradient = if *h > T::ZERO { *gradient } else { T::ZERO })
                }
            }
        },
    );
}
