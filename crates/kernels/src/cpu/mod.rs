//! What the CPU bodies of all operations share: numbers, threads, matrix products.
//!
//! The bodies work on slices and know nothing of Burn. Loops are written so that the compiler vectorises them, and
//! [`simd`] compiles them for the widest instructions that the machine has, chosen at run time.

pub(crate) mod matrix;
pub(crate) mod parallel;
pub(crate) mod philox;
pub(crate) mod real;
pub(crate) mod reduce;
mod simd;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use matrix::{Matrix, MatrixMut, multiply, multiply_add, multiply_in_parallel, product_in_parallel};
pub use parallel::awake;
pub(crate) use parallel::{Joined, Rows, Split, for_rows, sum_of_rows};
pub(crate) use philox::philox;
pub(crate) use real::Real;
pub(crate) use simd::simd;
