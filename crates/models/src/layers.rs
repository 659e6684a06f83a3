//! Building blocks that both families of models share.

mod embedding;
mod initializer;
mod loss;
mod projection;

pub use embedding::Embedding;
pub(crate) use initializer::Initializer;
pub(crate) use loss::losses_of_projection;
pub use projection::Projection;
