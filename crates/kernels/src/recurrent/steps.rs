//! What the recurrent layers' time loops share: arrays cut into steps and then into rows, and the recurrent weight's
//! gradient.
//!
//! The rows of a batch are independent of one another, so every thread runs the whole time loop for its own rows. No
//! thread waits for another one within the sequence, and each step is one small product with the recurrent weight.
//! The number of threads changes no bit as long as each has several rows; a single row's product sums in another order.

use std::ops::Range;

use crate::cpu::parallel::Split;
use crate::cpu::{Matrix, MatrixMut, Real, Rows, for_rows, multiply_in_parallel};

/// The sizes of a sequence of hidden states, `[steps, rows, width]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// T.
    pub(crate) steps: usize,
    /// B, the batch.
    pub(crate) rows: usize,
    /// H.
    pub(crate) width: usize,
}

impl Sizes {
    /// The numbers in a state `[B, H]`.
    pub(super) fn state(self) -> usize {
        self.rows * self.width
    }

    /// The numbers in a sequence of states `[T, B, H]`.
    pub(super) fn sequence(self) -> usize {
        self.steps * self.state()
    }

    /// What a row of the time loop is worth in numbers read and written, with `gates` blocks of width H a step: its
    /// products as `multiply_in_parallel` counts them, and the activations, each of which costs as much as a few.
    pub(super) fn work(self, gates: usize) -> usize {
        self.steps * gates * self.width * (self.width / 64 + 4)
    }

    /// The numbers of `rows` in step `step` of a sequence of states `[T, B, H]`.
    pub(super) fn part<'a, T>(self, sequence: &'a [T], step: usize, rows: &Range<usize>) -> &'a [T] {
        let start = step * self.rows;
        &sequence[(start + rows.start) * self.width..(start + rows.end) * self.width]
    }

    /// The numbers of `rows` in the state before step `step`: the initial state or that of the step before.
    pub(super) fn part_before<'a, T>(
        self,
        initial: &'a [T],
        sequence: &'a [T],
        step: usize,
        rows: &Range<usize>,
    ) -> &'a [T] {
        if step == 0 { self.part(initial, 0, rows) } else { self.part(sequence, step - 1, rows) }
    }

    /// # Panics
    /// If an array's length does not match its shape.
    pub(super) fn check(self, expected: usize, arrays: &[usize]) {
        assert!(arrays.iter().all(|length| *length == expected), "lengths {arrays:?} must be {expected} for {self:?}");
    }
}

/// An array `[T, B, width]` to write into, step by step; cut at a row, every step is.
pub(super) struct Steps<'a, T> {
    steps: Vec<&'a mut [T]>,
    width: usize,
}

impl<'a, T> Steps<'a, T> {
    pub(super) fn new(mut data: &'a mut [T], sizes: Sizes, width: usize) -> Self {
        let mut steps = Vec::with_capacity(sizes.steps);
        for _ in 0..sizes.steps {
            let (step, others) = data.split_at_mut(sizes.rows * width);
            steps.push(step);
            data = others;
        }
        Self { steps, width }
    }

    pub(super) fn at(&mut self, step: usize) -> &mut [T] {
        self.steps[step]
    }

    /// The step before `step`, or `initial` before the first one, and the step itself.
    pub(super) fn with_previous<'b>(&'b mut self, step: usize, initial: &'b [T]) -> (&'b [T], &'b mut [T]) {
        let (before, after) = self.steps.split_at_mut(step);
        (before.last().map_or(initial, |previous| &**previous), &mut *after[0])
    }

    /// The step itself, and the one after it if there is one.
    pub(super) fn with_next(&mut self, step: usize) -> (&mut [T], Option<&[T]>) {
        let (before, after) = self.steps.split_at_mut(step + 1);
        (&mut *before[step], after.first().map(|next| &**next))
    }
}

impl<T: Send> Split for Steps<'_, T> {
    fn split(self, row: usize) -> (Self, Self) {
        let at = row * self.width;
        let (before, after) = self.steps.into_iter().map(|step| step.split_at_mut(at)).unzip();
        (Self { steps: before, width: self.width }, Self { steps: after, width: self.width })
    }
}

/// The transpose `[columns, rows]` of a matrix `[rows, columns]` whose rows follow one another.
///
/// A step's product with a transposed view would gather the whole weight again; the backward loops copy it once
/// instead.
pub(super) fn transposed<T: Real>(matrix: &[T], rows: usize, columns: usize) -> Vec<T> {
    /// Numbers of one line of the cache: each is read and written whole.
    const BLOCK: usize = 16;
    let mut output = vec![T::ZERO; rows * columns];
    for_rows(columns, 2 * rows, Rows::new(&mut output, rows), |range, part| {
        for first_row in (0..rows).step_by(BLOCK) {
            let block = first_row..(first_row + BLOCK).min(rows);
            for (output, column) in part.data.chunks_exact_mut(rows).zip(range.clone()) {
                let values = matrix[first_row * columns..].iter().skip(column).step_by(columns);
                output[block.clone()].iter_mut().zip(values).for_each(|(output, value)| *output = *value);
            }
        }
    });
    output
}

/// Columns of matrices of different widths: `count` columns of a matrix whose rows are `stride` numbers apart.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub(super) count: usize,
    pub(super) stride: usize,
}

/// Writes the sum over steps and rows of h_(t-1)^T d_t, `[H, columns]`, into columns of a recurrent weight's gradient.
///
/// # Parameters
/// - `initial`: h_0, `[B, H]`.
/// - `outputs`: all h_t, `[T, B, H]`.
/// - `gradient`: all d_t, columns of a matrix of T B rows.
/// - `weight_gradient`: columns of a matrix of H rows that are `weight_stride` numbers apart.
pub(super) fn write_weight_gradient<T: Real>(
    sizes: Sizes,
    [initial, outputs]: [&[T]; 2],
    (gradient, columns): (&[T], Columns),
    (weight_gradient, weight_stride): (&mut [T], usize),
) {
    let Sizes { steps, rows, width } = sizes;
    let mut add_product = |states: &[T], gradient: &[T], count: usize, add: bool| {
        let states = Matrix::new(states, count, width).transposed();
        let gradient = Matrix::strided(gradient, count, columns.count, columns.stride);
        let output = MatrixMut::strided(weight_gradient, width, columns.count, weight_stride);
        multiply_in_parallel(output, states, gradient, add);
    };
    add_product(initial, gradient, rows, false);
    if steps > 1 {
        add_product(outputs, &gradient[rows * columns.stride..], (steps - 1) * rows, true);
    }
}

/// The sum over the rows of a matrix `[rows, width]`. Threads share the columns, so that their number changes no bit.
pub(super) fn column_sums<T: Real>(matrix: &[T], width: usize) -> Vec<T> {
    let mut sums = vec![T::ZERO; width];
    for_rows(width, matrix.len() / width.max(1), Rows::new(&mut sums, 1), |columns, sums| {
        for row in matrix.chunks_exact(width) {
            sums.data.iter_mut().zip(&row[columns.clone()]).for_each(|(sum, value)| *sum += *value);
        }
    });
    sums
}
