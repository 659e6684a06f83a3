//! What can be wrong with a tensor file. Nothing here knows where the file is.

use std::io;

/// The name under which safetensors keeps its table of texts: no tensor may have it.
pub(super) const RESERVED_NAME: &str = "__metadata__";
/// Longest header that is read: a hundred and sixty bytes for each of as many tensors as are read.
pub(super) const LONGEST_HEADER: u64 = 8 << 20;

/// Why bytes are not a safetensors file, or tensors cannot become one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFileError {
    /// The file ends before its header does.
    #[error("its header claims {claimed} bytes, and the file has {length}")]
    HeaderBeyondEnd {
        /// The length that the first eight bytes declare.
        claimed: u64,
        /// The length of the file.
        length: u64,
    },
    /// The header is longer than any that is read.
    #[error("its header claims {claimed} bytes, and at most {LONGEST_HEADER} are read")]
    HeaderTooLong {
        /// The length that the first eight bytes declare.
        claimed: u64,
    },
    /// The file has fewer than the eight bytes that every such file begins with.
    #[error("it has {length} bytes, too few for a safetensors file")]
    TooShort {
        /// The length of the file.
        length: u64,
    },
    /// The header isn't JSON, or its names, shapes and places contradict each other or the values.
    #[error("its header is not valid: {0}")]
    Header(String),
    /// The tensors end before the file does, or beyond it.
    #[error("its header describes {described} bytes, and the file has {length}")]
    Length {
        /// Header and tensors as the header describes them.
        described: u64,
        /// The length of the file.
        length: u64,
    },
    /// A type of number that Burn or the format doesn't have.
    #[error("the tensor `{tensor}` has the type {found}, which cannot be kept in both Burn and safetensors")]
    UnknownType {
        /// The name of the tensor.
        tensor: String,
        /// The type as its side calls it.
        found: String,
    },
    /// A tensor has the one name that the format keeps for itself.
    #[error("no tensor may be named `{RESERVED_NAME}`")]
    ReservedName,
    /// There is no tensor of this name.
    #[error("it has no tensor `{0}`")]
    Missing(String),
    /// A tensor cannot be made of others as it was asked for.
    #[error("the tensor `{tensor}` cannot be made: {problem}")]
    Recipe {
        /// The tensor that was to be made.
        tensor: String,
        /// What is wrong.
        problem: String,
    },
    /// The bytes of a matrix cannot be kept as they are.
    #[error("{0}")]
    Packed(#[from] kiln_packed::PackedError),
    /// Reading or writing failed on the way.
    #[error("{0}")]
    Io(#[from] io::Error),
}
