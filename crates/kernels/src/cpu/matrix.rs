//! Matrix products with the crate `gemm`, behind checked views.
//!
//! The only `unsafe` code of this crate but for a call in `memory.rs`: `gemm` takes pointers. A view's constructor
//! checks that every element lies in its slice, and a part of a view is a view.

#![allow(unsafe_code)]

use std::ops::Range;

use super::real::Real;

/// A matrix somewhere in a slice: element (i, j) is number `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A matrix to write into.
pub(crate) struct MatrixMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

fn check(length: usize, [rows, columns]: [usize; 2], [row_stride, column_stride]: [usize; 2]) {
    let inside = rows == 0 || columns == 0 || (rows - 1) * row_stride + (columns - 1) * column_stride < length;
    assert!(
        inside,
        "a {rows} x {columns} matrix with strides {row_stride}, {column_stride} is not in {length} numbers"
    );
}

impl<'a, T> Matrix<'a, T> {
    /// A matrix whose rows are `row_stride` numbers apart.
    ///
    /// # Panics
    /// When it reaches beyond the slice.
    pub(crate) fn strided(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        check(data.len(), [rows, columns], [row_stride, 1]);
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// A matrix whose rows follow one another.
    ///
    /// # Panics
    /// When it reaches beyond the slice.
    pub(crate) fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    pub(crate) fn transposed(self) -> Self {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        Self { data, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }

    /// Rows and columns.
    pub(crate) fn sizes(self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Some of its rows.
    pub(crate) fn rows(self, range: Range<usize>) -> Self {
        self.cut_rows(range.start).1.cut_rows(range.len()).0
    }

    /// Some of its columns.
    pub(crate) fn columns(self, range: Range<usize>) -> Self {
        self.cut_columns(range.start).1.cut_columns(range.len()).0
    }

    /// One row of a matrix that is not transposed.
    #[inline(always)]
    pub(crate) fn row(self, index: usize) -> &'a [T] {
        debug_assert!(self.column_stride == 1 || self.columns <= 1, "a transposed matrix has no rows in one piece");
        &self.data[index * self.row_stride..][..self.columns]
    }
}

impl<'a, T> MatrixMut<'a, T> {
    /// A matrix whose rows are `row_stride` numbers apart.
    ///
    /// # Panics
    /// When it reaches beyond the slice, or its rows overlap.
    pub(crate) fn strided(data: &'a mut [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        check(data.len(), [rows, columns], [row_stride, 1]);
        assert!(rows <= 1 || columns <= row_stride, "rows of a matrix that is written must not overlap");
        Self { data, rows, columns, row_stride }
    }

    /// A matrix whose rows follow one another.
    ///
    /// # Panics
    /// When it reaches beyond the slice.
    pub(crate) fn new(data: &'a mut [T], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows.
    pub(crate) fn height(&self) -> usize {
        self.rows
    }

    /// The same rows or some of them, for a shorter time.
    pub(crate) fn rows(&mut self, range: Range<usize>) -> MatrixMut<'_, T> {
        assert!(range.end <= self.rows, "row {} of {}", range.end, self.rows);
        let first = (range.start * self.row_stride).min(self.data.len());
        MatrixMut { data: &mut self.data[first..], rows: range.len(), ..*self }
    }

    #[inline(always)]
    pub(crate) fn row(&mut self, index: usize) -> &mut [T] {
        &mut self.data[index * self.row_stride..][..self.columns]
    }
}

/// `output = scale * lhs * rhs`, on this thread.
pub(crate) fn multiply<T: Real>(output: MatrixMut<'_, T>, lhs: Matrix<'_, T>, rhs: Matrix<'_, T>, scale: T) {
    product(Target::new(output, false), lhs, rhs, scale);
}

/// `output += scale * lhs * rhs`, on this thread.
pub(crate) fn multiply_add<T: Real>(output: MatrixMut<'_, T>, lhs: Matrix<'_, T>, rhs: Matrix<'_, T>, scale: T) {
    product(Target::new(output, true), lhs, rhs, scale);
}

/// `output = lhs * rhs`, or `output += lhs * rhs`, in as many parts as there are threads and work for.
pub(crate) fn multiply_in_parallel<T: Real>(
    output: MatrixMut<'_, T>,
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
    add: bool,
) {
    let parts = parts_of(output.rows, output.columns, lhs.columns);
    in_parts(Target::new(output, add), lhs, rhs, parts);
}

/// `lhs * rhs` as rows that follow one another, in as many parts as there are threads and work for.
pub(crate) fn product_in_parallel<T: Real>(lhs: Matrix<'_, T>, rhs: Matrix<'_, T>) -> Vec<T> {
    let (rows, columns) = (lhs.rows, rhs.columns);
    assert_eq!(lhs.columns, rhs.rows, "the inner sizes of a product must agree");
    if rows * columns * lhs.columns == 0 {
        return vec![T::ZERO; rows * columns];
    }
    // Not filled with zeros: what is only written needs no pass before.
    let mut output = Vec::with_capacity(rows * columns);
    let target = Target { pointer: output.as_mut_ptr(), rows, columns, row_stride: columns, add: false };
    in_parts(target, lhs, rhs, parts_of(rows, columns, lhs.columns));
    // SAFETY: the capacity is there; the parts of the target cover each element once, and a product that adds to
    // nothing writes all of its part, which is not empty, without reading it.
    unsafe { output.set_len(rows * columns) };
    output
}

/// In how many parts a product is best made.
fn parts_of(rows: usize, columns: usize, inner: usize) -> usize {
    // A product's arithmetic is as fast as a pass over a hundredth as many numbers, roughly.
    super::parallel::parts(rows, columns * inner / 64 + 1)
}

/// The output of a product as a pointer, so that it can be cut by columns too.
struct Target<T> {
    pointer: *mut T,
    rows: usize,
    columns: usize,
    row_stride: usize,
    add: bool,
}

// SAFETY: a target is made from an exclusive borrow or a new buffer, and is only cut into parts without a common
// element.
unsafe impl<T: Send> Send for Target<T> {}

impl<T> Target<T> {
    fn new(output: MatrixMut<'_, T>, add: bool) -> Self {
        let MatrixMut { data, rows, columns, row_stride } = output;
        Self { pointer: data.as_mut_ptr(), rows, columns, row_stride, add }
    }

    fn cut_rows(self, row: usize) -> (Self, Self) {
        assert!(row < self.rows);
        // SAFETY: row `row` exists, so its first element lies in the slice that the view was checked against.
        let pointer = unsafe { self.pointer.add(row * self.row_stride) };
        (Self { rows: row, ..self }, Self { pointer, rows: self.rows - row, ..self })
    }

    fn cut_columns(self, column: usize) -> (Self, Self) {
        assert!(column < self.columns);
        // SAFETY: as for rows.
        let pointer = unsafe { self.pointer.add(column) };
        (Self { columns: column, ..self }, Self { pointer, columns: self.columns - column, ..self })
    }
}

impl<'a, T> Matrix<'a, T> {
    fn cut_rows(self, row: usize) -> (Self, Self) {
        assert!(row <= self.rows, "row {row} of {}", self.rows);
        let data = &self.data[(row * self.row_stride).min(self.data.len())..];
        (Self { rows: row, ..self }, Self { data, rows: self.rows - row, ..self })
    }

    fn cut_columns(self, column: usize) -> (Self, Self) {
        assert!(column <= self.columns, "column {column} of {}", self.columns);
        let data = &self.data[(column * self.column_stride).min(self.data.len())..];
        (Self { columns: column, ..self }, Self { data, columns: self.columns - column, ..self })
    }
}

fn in_parts<T: Real>(output: Target<T>, lhs: Matrix<'_, T>, rhs: Matrix<'_, T>, parts: usize) {
    // The kernels work on blocks of up to 48 rows and 8 columns; smaller parts would leave them half empty.
    let first = parts / 2;
    let cut_at = |length: usize, block: usize| (length * first / parts.max(1)).next_multiple_of(block);
    let (row, column) = (cut_at(output.rows, 16), cut_at(output.columns, 16));
    if parts <= 1 || (row >= output.rows && column >= output.columns) {
        return product(output, lhs, rhs, T::ONE);
    }
    // The longer side is cut: then less of the other operand is read twice.
    if column >= output.columns || (output.rows >= output.columns && row < output.rows) {
        let (above, below) = output.cut_rows(row);
        let (lhs_above, lhs_below) = lhs.cut_rows(row);
        rayon::join(|| in_parts(above, lhs_above, rhs, first), || in_parts(below, lhs_below, rhs, parts - first));
    } else {
        let (left, right) = output.cut_columns(column);
        let (rhs_left, rhs_right) = rhs.cut_columns(column);
        rayon::join(|| in_parts(left, lhs, rhs_left, first), || in_parts(right, lhs, rhs_right, parts - first));
    }
}

fn product<T: Real>(output: Target<T>, lhs: Matrix<'_, T>, rhs: Matrix<'_, T>, scale: T) {
    let Target { pointer, rows, columns, row_stride, add } = output;
    assert_eq!(
        [rows, columns],
        [lhs.rows, rhs.columns],
        "the output of a product has the rows of one and the columns of the other"
    );
    assert_eq!(lhs.columns, rhs.rows, "the inner sizes of a product must agree");
    let stride = |stride: usize| stride as isize;
    // SAFETY: the views were checked when they were made, so that all elements of the three matrices lie in their
    // slices, and nothing else holds the output's. `gemm` reads the output only on request.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            lhs.columns,
            pointer,
            1,
            stride(row_stride),
            add,
            lhs.data.as_ptr(),
            stride(lhs.column_stride),
            stride(lhs.row_stride),
            rhs.data.as_ptr(),
            stride(rhs.column_stride),
            stride(rhs.row_stride),
            T::ONE,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
