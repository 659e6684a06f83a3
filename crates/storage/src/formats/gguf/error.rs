//! What can be wrong with a GGUF file.

use std::io;

use super::super::error::TensorFileError;

/// Why a file is not a GGUF file that can be read, or values cannot become one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// Other bytes at its beginning.
    #[error("it does not begin with `GGUF`")]
    Magic,
    /// A version that isn't read.
    #[error("it is GGUF version {0}, and versions 2 and 3 are read, with the lowest byte first")]
    Version(u32),
    /// The file ends within its header.
    #[error("it ends within its header, which is at least {needed} bytes long: the file is cut off, or not one")]
    CutOff {
        /// Bytes that the header takes at least.
        needed: u64,
    },
    /// A value of the header that contradicts others or the length of the file.
    #[error("its header is not valid: {0}")]
    Header(String),
    /// Numbers packed in a form that isn't read.
    #[error("the tensor `{tensor}` has the type {found}, and {known} are read")]
    UnknownType {
        /// The tensor.
        tensor: String,
        /// What the file says.
        found: String,
        /// What is read.
        known: String,
    },
    /// A tensor that cannot be written.
    #[error("the tensor `{tensor}` cannot be written: {problem}")]
    Unfit {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        problem: String,
    },
    /// Another source of tensors fails.
    #[error(transparent)]
    Source(#[from] TensorFileError),
    /// Reading or writing failed on the way.
    #[error("{0}")]
    Io(#[from] io::Error),
}
