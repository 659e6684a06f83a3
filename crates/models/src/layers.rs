//! Building blocks that both families of models share.

mod embedding;
mod head;
mod initializer;
mod loss;
mod projection;

pub use embedding::Embedding;
pub use head::Head;
pub(crate) use initializer::Initializer;
use loss::losses_of_projection;
pub use projection::Projection;
