//! GGUF, the file of `llama.cpp` (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): a magic word and a
//! version, a table of typed values, the names, shapes, types and places of the tensors, then their values. It holds a
//! whole model: its sizes and its tokenizer are in the table.
//!
//! Numbers may be packed in blocks that share a scale. They are read as `f32`, to the bit what the reference makes of
//! them.

mod error;
mod header;
mod kind;
mod reader;
mod value;
mod writer;

pub use error::GgufError;
pub use reader::GgufReader;
pub use value::{GgufArray, GgufValue};
pub use writer::{GgufTensor, write_gguf};
