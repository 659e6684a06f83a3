//! What runs that are compared need beside their folders: how far each is trained, and where one diverged.

mod diverged;
mod halving;

pub use diverged::{Diverged, DivergedError};
pub use halving::Halving;
