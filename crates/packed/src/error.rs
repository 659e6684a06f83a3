//! What can be wrong with packed numbers.

use std::error::Error;
use std::fmt;

use crate::Format;

/// Why numbers cannot be packed, or bytes are not a matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackedError {
    /// A row isn't a whole number of blocks.
    Row {
        /// The format.
        format: Format,
        /// Numbers of a row.
        inputs: usize,
    },
    /// Another number of bytes than the rows take.
    Length {
        /// The bytes that they take.
        expected: usize,
        /// The bytes that there are.
        found: usize,
    },
    /// The format is one of floats, where whole numbers are asked for.
    Floats(Format),
    /// There is no memory for the matrix.
    Memory,
    /// Pieces of another width, or none.
    Pieces,
}

impl fmt::Display for PackedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row { format, inputs } => {
                let (name, block) = (format.name(), format.block());
                write!(f, "{name} packs {block} numbers at a time, and a row has {inputs}")
            }
            Self::Length { expected, found } => write!(f, "the matrix takes {expected} bytes, and there are {found}"),
            Self::Floats(format) => write!(f, "{} has no whole numbers", format.name()),
            Self::Memory => write!(f, "there is not enough memory for the matrix"),
            Self::Pieces => write!(f, "the pieces of a matrix must have rows of the same length"),
        }
    }
}

impl Error for PackedError {}
