//! What the CPU bodies of all operations share: numbers, threads, matrix products.
//!
//! The bodies work on slices and know nothing of Burn. Loops are written so that the compiler vectorises them, and
//! [`simd`] compiles them for the widest instructions that the machine has, chosen at run time.

pub(crate) mod matrix;
pub(crate) mod parallel;
pub(crate) mod philox;
pub(crate) mod real;
pub(crate) mod reduce;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use matrix::{Matrix, MatrixMut, multiply, multiply_add, multiply_in_parallel, product_in_parallel};
pub(crate) use parallel::{Joined, Rows, Split, for_rows, sum_of_rows};
pub(crate) use philox::philox;
pub(crate) use real::Real;

/// Runs `body` with the widest vector instructions of this machine.
///
/// The body is compiled once for each set of instructions, and only what is inlined into it: closures given here are marked
/// `#[inline(always)]`, and so is all that they call. Otherwise it runs without vectors, many times slower.
#[inline(always)]
pub(crate) fn simd<Output>(body: impl FnOnce() -> Output) -> Output {
    pulp::Arch::new().dispatch(body)
}
