//! The GRU's time loop and its gradient on the CPU.
//!
//! ```text
//! (r, z) = sigmoid(p_t + h_(t-1) R)        p_t = x_t W + b, projected inputs
//!     q  = h_(t-1) R_n + d                 the candidate's inner product
//!     n  = tanh(p_t + r * q)
//!   h_t  = n + z * (h_(t-1) - n)
//! ```
//!
//! Arrays are time-major; the columns of R and of the gates are three blocks of width H in the order r, z, n.

use super::super::steps::{Columns, Sizes, Steps, column_sums, transposed, write_weight_gradient};
use crate::cpu::{Matrix, MatrixMut, Real, Rows, for_rows, multiply_add, simd};

/// The gates of a unit, the candidate among them.
const GATES: usize = 3;

/// What the time loop reads beside its projected inputs.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a, T> {
    pub(crate) sizes: Sizes,
    /// R, `[H, 3 H]`.
    pub(crate) weight: &'a [T],
    /// d, `[H]`.
    pub(crate) hidden_bias: &'a [T],
    /// h_0, `[B, H]`.
    pub(crate) hidden: &'a [T],
}

/// The gradients of a layer's parameters and initial state.
pub(crate) struct LayerGradients<T> {
    /// Of R, `[H, 3 H]`.
    pub(crate) weight: Vec<T>,
    /// Of d, `[H]`.
    pub(crate) hidden_bias: Vec<T>,
    /// Of h_0, `[B, H]`.
    pub(crate) hidden: Vec<T>,
}

impl<T: Real> Layer<'_, T> {
    fn check(&self) {
        let sizes = self.sizes;
        sizes.check(GATES * sizes.width * sizes.width, &[self.weight.len()]);
        sizes.check(sizes.width, &[self.hidden_bias.len()]);
        sizes.check(sizes.state(), &[self.hidden.len()]);
    }
}

/// Runs the time loop.
///
/// # Parameters
/// - `gates`: `[T, B, 3 H]`; the projected inputs p_t on entry, the activated r, z, n on exit.
/// - `inner`: all q_t, `[T, B, H]`, written; only the gradient needs them.
/// - `outputs`: all h_t, `[T, B, H]`, written.
///
/// # Panics
/// If a slice's length does not match its shape.
pub(crate) fn forward<T: Real>(layer: Layer<'_, T>, gates: &mut [T], inner: &mut [T], outputs: &mut [T]) {
    let sizes @ Sizes { steps, rows, width } = layer.sizes;
    layer.check();
    sizes.check(GATES * sizes.sequence(), &[gates.len()]);
    sizes.check(sizes.sequence(), &[inner.len(), outputs.len()]);
    let gate_weight = Matrix::strided(layer.weight, width, 2 * width, GATES * width);
    let candidate_weight = Matrix::strided(&layer.weight[2 * width..], width, width, GATES * width);
    let written =
        (Steps::new(gates, sizes, GATES * width), Steps::new(inner, sizes, width), Steps::new(outputs, sizes, width));
    for_rows(rows, sizes.work(GATES), written, |rows, (mut gates, mut inner, mut outputs)| {
        let first_hidden = sizes.part(layer.hidden, 0, &rows);
        for step in 0..steps {
            let (gates, inner) = (gates.at(step), inner.at(step));
            let (previous, output) = outputs.with_previous(step, first_hidden);
            let hidden = Matrix::new(previous, rows.len(), width);
            inner.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(layer.hidden_bias));
            let sums = MatrixMut::strided(gates, rows.len(), 2 * width, GATES * width);
            multiply_add(sums, hidden, gate_weight, T::ONE);
            multiply_add(MatrixMut::new(inner, rows.len(), width), hidden, candidate_weight, T::ONE);
            activate(width, gates, [inner, previous], output);
        }
    });
}

/// Activates the gates of a step and computes its state: `gates` is `[rows, 3 H]`, the others are `[rows, H]`.
pub(crate) fn activate<T: Real>(width: usize, gates: &mut [T], [inner, previous]: [&[T]; 2], output: &mut [T]) {
    let rows = gates.chunks_exact_mut(GATES * width).zip(output.chunks_exact_mut(width));
    let read = inner.chunks_exact(width).zip(previous.chunks_exact(width));
    for ((gates, output), (inner, previous)) in rows.zip(read) {
        // Row by row: in a loop over rows, the compiler would ask once whether the blocks of all rows overlap, which
        // they do, and then not vectorise. A closure that is not inlined would miss the wide instructions.
        simd(
            #[inline(always)]
            || activate_row(gates, [inner, previous], output),
        );
    }
}

#[inline(always)]
fn activate_row<T: Real>(gates: &mut [T], read: [&[T]; 2], output: &mut [T]) {
    let width = output.len();
    let [reset_gate, update_gate, candidate] = blocks(gates, width);
    let [inner, previous] = read.map(|row| &row[..width]);
    for unit in 0..width {
        let (r, z) = (reset_gate[unit].sigmoid(), update_gate[unit].sigmoid());
        let n = r.mul_add(inner[unit], candidate[unit]).tanh();
        (reset_gate[unit], update_gate[unit], candidate[unit]) = (r, z, n);
        output[unit] = z.mul_add(previous[unit] - n, n);
    }
}

/// The three blocks of a row of gates.
#[inline(always)]
fn blocks<T>(gates: &mut [T], width: usize) -> [&mut [T]; GATES] {
    let (reset, others) = gates[..GATES * width].split_at_mut(width);
    let (update, candidate) = others.split_at_mut(width);
    [reset, update, candidate]
}

/// The gradients of everything that [`forward`] read, by the chain rule backwards in time:
///
/// ```text
/// dh_t = (gradient of the output h_t) + dh_(t+1) * z_(t+1) + (dr, dz)_(t+1) R_rz^T + dq_(t+1) R_n^T
/// dn_t = dh_t * (1 - z) * (1 - n^2)             before activation, as dr and dz
/// dz_t = dh_t * (h_(t-1) - n) * z (1 - z)
/// dr_t = dn_t * q_t * r (1 - r)
/// dq_t = dn_t * r
/// dR   = sum over t of h_(t-1)^T (dr, dz, dq)_t
/// dd   = sum over t and rows of dq_t
/// ```
///
/// # Parameters
/// - `outputs`: all h_t, `[T, B, H]`.
/// - `gradient`: that of all h_t, `[T, B, H]`.
/// - `gates`: `[T, B, 3 H]`; the activated r, z, n on entry, on exit the gradient of the projected inputs,
///   (dr, dz, dn).
/// - `inner`: `[T, B, H]`; all q_t on entry, dq_t on exit.
///
/// # Panics
/// If a slice's length does not match its shape.
pub(crate) fn backward<T: Real>(
    layer: Layer<'_, T>,
    [outputs, gradient]: [&[T]; 2],
    gates: &mut [T],
    inner: &mut [T],
) -> LayerGradients<T> {
    let sizes @ Sizes { width, .. } = layer.sizes;
    layer.check();
    sizes.check(GATES * sizes.sequence(), &[gates.len()]);
    sizes.check(sizes.sequence(), &[outputs.len(), gradient.len(), inner.len()]);
    let hidden = backward_in_time(layer, [outputs, gradient], gates, inner);
    let mut weight = vec![T::ZERO; width * GATES * width];
    let states = [layer.hidden, outputs];
    let columns = Columns { count: 2 * width, stride: GATES * width };
    write_weight_gradient(sizes, states, (gates, columns), (&mut weight, GATES * width));
    let columns = Columns { count: width, stride: width };
    write_weight_gradient(sizes, states, (inner, columns), (&mut weight[2 * width..], GATES * width));
    LayerGradients { weight, hidden_bias: column_sums(inner, width), hidden }
}

/// The part of [`backward`] that goes through the steps; its result is the gradient of h_0, `[B, H]`.
fn backward_in_time<T: Real>(
    layer: Layer<'_, T>,
    [outputs, gradient]: [&[T]; 2],
    gates: &mut [T],
    inner: &mut [T],
) -> Vec<T> {
    let sizes @ Sizes { steps, rows, width } = layer.sizes;
    let transposed = transposed(layer.weight, width, GATES * width);
    let gate_weight = Matrix::new(&transposed, 2 * width, width);
    let candidate_weight = Matrix::new(&transposed[2 * width * width..], width, width);
    let mut hidden = vec![T::ZERO; sizes.state()];
    let written =
        (Steps::new(gates, sizes, GATES * width), Steps::new(inner, sizes, width), Rows::new(&mut hidden, width));
    for_rows(rows, sizes.work(GATES), written, |rows, (mut gates, mut inner, hidden)| {
        for step in (0..steps).rev() {
            let (gates, inner) = (gates.at(step), inner.at(step));
            let previous = sizes.part_before(layer.hidden, outputs, step, &rows);
            differentiate(width, gates, inner, [previous, sizes.part(gradient, step, &rows)], hidden.data);
            let sums = Matrix::strided(gates, rows.len(), 2 * width, GATES * width);
            multiply_add(MatrixMut::new(hidden.data, rows.len(), width), sums, gate_weight, T::ONE);
            let sums = Matrix::new(inner, rows.len(), width);
            multiply_add(MatrixMut::new(hidden.data, rows.len(), width), sums, candidate_weight, T::ONE);
        }
    });
    hidden
}

/// Turns the activated gates of a step `[rows, 3 H]` into the gradients of their sums, `inner` into the gradient dq,
/// and the gradient of h_t that the following step left, `hidden_gradient`, into what h_(t-1) gets by the update gate
/// alone; `[rows, H]` each, like h_(t-1) and the gradient of the output h_t, which are read.
fn differentiate<T: Real>(
    width: usize,
    gates: &mut [T],
    inner: &mut [T],
    [previous, gradient]: [&[T]; 2],
    hidden_gradient: &mut [T],
) {
    let rows = gates.chunks_exact_mut(GATES * width).zip(inner.chunks_exact_mut(width));
    let read = previous.chunks_exact(width).zip(gradient.chunks_exact(width));
    let written = rows.zip(hidden_gradient.chunks_exact_mut(width));
    for (((gates, inner), hidden_gradient), (previous, gradient)) in written.zip(read) {
        // Row by row, as in `activate`.
        simd(
            #[inline(always)]
            || differentiate_row(gates, inner, [previous, gradient], hidden_gradient),
        );
    }
}

#[inline(always)]
fn differentiate_row<T: Real>(gates: &mut [T], inner: &mut [T], read: [&[T]; 2], hidden_gradient: &mut [T]) {
    let width = hidden_gradient.len();
    let [reset_gate, update_gate, candidate] = blocks(gates, width);
    let ([previous, gradient], inner) = (read.map(|row| &row[..width]), &mut inner[..width]);
    for unit in 0..width {
        let (r, z, n) = (reset_gate[unit], update_gate[unit], candidate[unit]);
        let dh = gradient[unit] + hidden_gradient[unit];
        let dn = dh * (T::ONE - z) * (T::ONE - n * n);
        update_gate[unit] = dh * (previous[unit] - n) * z * (T::ONE - z);
        reset_gate[unit] = dn * inner[unit] * r * (T::ONE - r);
        candidate[unit] = dn;
        inner[unit] = dn * r;
        hidden_gradient[unit] = dh * z;
    }
}
