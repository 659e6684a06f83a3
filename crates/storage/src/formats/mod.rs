//! Tensor files: a [source](TensorSource) gives the header at once and the tensors one by one, whatever the format.
//!
//! Kiln's own format is safetensors (<https://github.com/huggingface/safetensors>): eight bytes with the length of the
//! header, the header as JSON (name to type, shape and place, and a table of texts under `__metadata__`), then the raw
//! little-endian values. The other one is [GGUF](gguf). Reading trusts no number of a file: every length is compared
//! with the length of the file before memory is taken.

mod error;
pub mod gguf;
mod header;
mod number_types;
mod packed;
mod reader;
mod rearrange;
mod recipe;
mod source;
mod writer;

pub use error::TensorFileError;
pub(crate) use header::{FileHeader, Place};
pub(crate) use packed::PackedPlace;
pub use packed::{PackedTensor, add_packed};
pub use reader::{SafetensorsReader, tensors_from_safetensors};
pub use recipe::{Mapped, Part, Recipe, Step};
pub use source::{TensorFile, TensorInfo, TensorSource};
pub use writer::tensors_to_safetensors;
pub(crate) use writer::write_tensors;
