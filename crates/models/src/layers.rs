//! Building blocks that both families of models share.

mod embedding;
mod initial;
mod loss;
mod projection;

pub use embedding::Embedding;
pub(crate) use initial::{constant, normal, uniform};
pub(crate) use loss::losses_of_projection;
pub use projection::Projection;
