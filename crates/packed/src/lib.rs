//! Matrices of packed numbers, as files of models hold them: single and half precision, and blocks of whole numbers
//! that share a scale. They are unpacked, packed, and multiplied as they lie, so that a product reads as many bytes as
//! the file has.
//!
//! The formats are those of GGUF (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>). Products with whole
//! numbers pack their inputs too, to 8 bits, as `llama.cpp` does: sums of a block are then exact, and results agree
//! with it but for the order in which the blocks are added.
//!
//! ```
//! use kiln_packed::{Format, Inputs, PackedMatrix};
//!
//! // Two outputs of 32 inputs each.
//! let numbers: Vec<f32> = (0..64).map(|index| (index % 5) as f32 - 2.0).collect();
//! let matrix = PackedMatrix::pack(Format::Q8_0, 32, &numbers)?;
//! let inputs = Inputs::new(&matrix, &[0.5; 32]);
//! let mut products = [0.0; 2];
//! matrix.multiply(&inputs, 0..2, &mut products);
//! assert!((products[0] + 1.5).abs() < 0.02, "0.5 times the sum of the first row, which is -3");
//! # Ok::<(), kiln_packed::PackedError>(())
//! ```

mod error;
mod format;
mod grid;
mod inputs;
mod isa;
mod matrix;
mod pack;
mod product;
mod unpack;

#[cfg(test)]
mod tests;

pub use error::PackedError;
pub use format::Format;
pub use grid::Grid;
pub use inputs::Inputs;
pub use matrix::{PackedMatrix, Piece};
pub use pack::pack;
pub use unpack::{unpack, widen};
