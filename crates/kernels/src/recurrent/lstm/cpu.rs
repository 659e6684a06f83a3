//! The LSTM's time loop and its gradient on the CPU.
//!
//! ```text
//! (i, f, o) = sigmoid(p_t + h_(t-1) R)     p_t = x_t W + b, projected inputs
//!        g  =    tanh(p_t + h_(t-1) R)
//!       c_t = f * c_(t-1) + i * g
//!       h_t = o * tanh(c_t)
//! ```
//!
//! Arrays are time-major; the columns of R and of the gates are four blocks of width H in the order i, f, o, g.

use super::super::steps::{Columns, Sizes, Steps, transposed, write_weight_gradient};
use crate::cpu::{Matrix, MatrixMut, Real, Rows, for_rows, multiply, multiply_add, simd};

/// The gates of a unit.
const GATES: usize = 4;

/// What the time loop reads beside its projected inputs.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a, T> {
    pub(crate) sizes: Sizes,
    /// R, `[H, 4 H]`.
    pub(crate) weight: &'a [T],
    /// h_0, `[B, H]`.
    pub(crate) hidden: &'a [T],
    /// c_0, `[B, H]`.
    pub(crate) cell: &'a [T],
}

/// What the forward pass left, which the backward pass reads.
#[derive(Clone, Copy)]
pub(crate) struct States<'a, T> {
    /// All h_t, `[T, B, H]`.
    pub(crate) outputs: &'a [T],
    /// All c_t, `[T, B, H]`.
    pub(crate) cells: &'a [T],
}

/// The gradients of what the states are used for.
#[derive(Clone, Copy)]
pub(crate) struct StateGradients<'a, T> {
    /// Of all h_t, `[T, B, H]`.
    pub(crate) outputs: &'a [T],
    /// Of the last c_t, `[B, H]`.
    pub(crate) last_cell: &'a [T],
}

/// The gradients of a layer's parameter and initial state.
pub(crate) struct LayerGradients<T> {
    /// Of R, `[H, 4 H]`.
    pub(crate) weight: Vec<T>,
    /// Of h_0, `[B, H]`.
    pub(crate) hidden: Vec<T>,
    /// Of c_0, `[B, H]`.
    pub(crate) cell: Vec<T>,
}

impl<T: Real> Layer<'_, T> {
    fn check(&self) {
        let sizes = self.sizes;
        sizes.check(GATES * sizes.width * sizes.width, &[self.weight.len()]);
        sizes.check(sizes.state(), &[self.hidden.len(), self.cell.len()]);
    }
}

/// Runs the time loop.
///
/// # Parameters
/// - `gates`: `[T, B, 4 H]`; the projected inputs p_t on entry, the activated gates i, f, o, g on exit.
/// - `outputs`: all h_t, `[T, B, H]`, written.
/// - `cells`: all c_t, `[T, B, H]`, written.
///
/// # Panics
/// If a slice's length does not match its shape.
pub(crate) fn forward<T: Real>(layer: Layer<'_, T>, gates: &mut [T], outputs: &mut [T], cells: &mut [T]) {
    let sizes @ Sizes { steps, rows, width } = layer.sizes;
    layer.check();
    sizes.check(GATES * sizes.sequence(), &[gates.len()]);
    sizes.check(sizes.sequence(), &[outputs.len(), cells.len()]);
    let weight = Matrix::new(layer.weight, width, GATES * width);
    let written =
        (Steps::new(gates, sizes, GATES * width), Steps::new(outputs, sizes, width), Steps::new(cells, sizes, width));
    for_rows(rows, sizes.work(GATES), written, |rows, (mut gates, mut outputs, mut cells)| {
        let (first_hidden, first_cell) = (sizes.part(layer.hidden, 0, &rows), sizes.part(layer.cell, 0, &rows));
        for step in 0..steps {
            let gates = gates.at(step);
            let (previous_hidden, output) = outputs.with_previous(step, first_hidden);
            let (previous_cell, cell) = cells.with_previous(step, first_cell);
            let sums = MatrixMut::new(gates, rows.len(), GATES * width);
            multiply_add(sums, Matrix::new(previous_hidden, rows.len(), width), weight, T::ONE);
            activate(width, gates, previous_cell, cell, output);
        }
    });
}

/// Activates the gates of a step and computes its states: `gates` is `[rows, 4 H]`, the others are `[rows, H]`.
pub(crate) fn activate<T: Real>(width: usize, gates: &mut [T], previous_cell: &[T], cell: &mut [T], output: &mut [T]) {
    let rows = gates.chunks_exact_mut(GATES * width).zip(previous_cell.chunks_exact(width));
    let states = cell.chunks_exact_mut(width).zip(output.chunks_exact_mut(width));
    for ((gates, previous_cell), (cell, output)) in rows.zip(states) {
        // Row by row: in a loop over rows, the compiler would ask once whether the blocks of all rows overlap, which
        // they do, and then not vectorise. A closure that is not inlined would miss the wide instructions.
        simd(
            #[inline(always)]
            || activate_row(gates, previous_cell, cell, output),
        );
    }
}

#[inline(always)]
fn activate_row<T: Real>(gates: &mut [T], previous_cell: &[T], cell: &mut [T], output: &mut [T]) {
    let width = cell.len();
    let [input_gate, forget_gate, output_gate, candidate] = blocks(gates, width);
    let (previous_cell, output) = (&previous_cell[..width], &mut output[..width]);
    for unit in 0..width {
        let (i, f) = (input_gate[unit].sigmoid(), forget_gate[unit].sigmoid());
        let (o, g) = (output_gate[unit].sigmoid(), candidate[unit].tanh());
        let c = f.mul_add(previous_cell[unit], i * g);
        (input_gate[unit], forget_gate[unit], output_gate[unit], candidate[unit]) = (i, f, o, g);
        (cell[unit], output[unit]) = (c, o * c.tanh());
    }
}

/// The four blocks of a row of gates.
#[inline(always)]
fn blocks<T>(gates: &mut [T], width: usize) -> [&mut [T]; GATES] {
    let (first, second) = gates[..GATES * width].split_at_mut(2 * width);
    let ((input, forget), (output, candidate)) = (first.split_at_mut(width), second.split_at_mut(width));
    [input, forget, output, candidate]
}

/// The gradients of everything that [`forward`] read, by the chain rule backwards in time:
///
/// ```text
/// dh_t     = (gradient of the output h_t) + da_(t+1) R^T      da = gradient of the gates before activation
/// dc_t     = dc_(t+1) * f_(t+1) + dh_t * o * (1 - tanh(c_t)^2)
/// da_t     = (dc_t * g * i (1 - i), dc_t * c_(t-1) * f (1 - f), dh_t * tanh(c_t) * o (1 - o), dc_t * i * (1 - g^2))
/// dR       = sum over t of h_(t-1)^T da_t
/// ```
///
/// # Parameters
/// - `gates`: `[T, B, 4 H]`; the activated gates on entry, on exit the gradient of the projected inputs, which is da.
///
/// # Panics
/// If a slice's length does not match its shape.
pub(crate) fn backward<T: Real>(
    layer: Layer<'_, T>,
    states: States<'_, T>,
    gradients: StateGradients<'_, T>,
    gates: &mut [T],
) -> LayerGradients<T> {
    let sizes @ Sizes { steps, rows, width } = layer.sizes;
    layer.check();
    sizes.check(GATES * sizes.sequence(), &[gates.len()]);
    sizes.check(sizes.sequence(), &[states.outputs.len(), states.cells.len(), gradients.outputs.len()]);
    let transposed = transposed(layer.weight, width, GATES * width);
    let transposed = Matrix::new(&transposed, GATES * width, width);
    let mut hidden = vec![T::ZERO; sizes.state()];
    let mut cell = gradients.last_cell.to_vec();
    sizes.check(sizes.state(), &[cell.len()]);
    let written = (Steps::new(gates, sizes, GATES * width), Rows::new(&mut hidden, width), Rows::new(&mut cell, width));
    for_rows(rows, sizes.work(GATES), written, |rows, (mut gates, hidden, cell)| {
        for step in (0..steps).rev() {
            let gates = gates.at(step);
            let previous_cell = sizes.part_before(layer.cell, states.cells, step, &rows);
            let [cell_here, gradient] =
                [states.cells, gradients.outputs].map(|sequence| sizes.part(sequence, step, &rows));
            differentiate(width, gates, [previous_cell, cell_here], [gradient, hidden.data], cell.data);
            let sums = Matrix::new(gates, rows.len(), GATES * width);
            multiply(MatrixMut::new(hidden.data, rows.len(), width), sums, transposed, T::ONE);
        }
    });
    let columns = Columns { count: GATES * width, stride: GATES * width };
    let mut weight = vec![T::ZERO; width * GATES * width];
    write_weight_gradient(sizes, [layer.hidden, states.outputs], (gates, columns), (&mut weight, GATES * width));
    LayerGradients { weight, hidden, cell }
}

/// Turns the activated gates of a step `[rows, 4 H]` into the gradients of their sums, and the gradient of c_t that the
/// following step left, `[rows, H]`, into that of c_(t-1).
///
/// `cells` are c_(t-1) and c_t; `hidden_gradients` are two parts of the gradient of h_t; `[rows, H]` each.
fn differentiate<T: Real>(
    width: usize,
    gates: &mut [T],
    [previous_cell, cell]: [&[T]; 2],
    hidden_gradients: [&[T]; 2],
    cell_gradient: &mut [T],
) {
    let rows = gates.chunks_exact_mut(GATES * width).zip(cell_gradient.chunks_exact_mut(width));
    let cells = previous_cell.chunks_exact(width).zip(cell.chunks_exact(width));
    let [here, later] = hidden_gradients.map(|gradient| gradient.chunks_exact(width));
    for (((gates, cell_gradient), (previous_cell, cell)), (here, later)) in rows.zip(cells).zip(here.zip(later)) {
        // Row by row, as in `activate`.
        simd(
            #[inline(always)]
            || differentiate_row(gates, [previous_cell, cell, here, later], cell_gradient),
        );
    }
}

#[inline(always)]
fn differentiate_row<T: Real>(gates: &mut [T], read: [&[T]; 4], cell_gradient: &mut [T]) {
    let width = cell_gradient.len();
    let [input_gate, forget_gate, output_gate, candidate] = blocks(gates, width);
    let [previous_cell, cell, here, later] = read.map(|row| &row[..width]);
    for unit in 0..width {
        let (i, f, o, g) = (input_gate[unit], forget_gate[unit], output_gate[unit], candidate[unit]);
        let dh = here[unit] + later[unit];
        let squashed = cell[unit].tanh();
        let dc = cell_gradient[unit] + dh * o * (T::ONE - squashed * squashed);
        input_gate[unit] = dc * g * i * (T::ONE - i);
        forget_gate[unit] = dc * previous_cell[unit] * f * (T::ONE - f);
        output_gate[unit] = dh * squashed * o * (T::ONE - o);
        candidate[unit] = dc * i * (T::ONE - g * g);
        cell_gradient[unit] = dc * f;
    }
}
