//! Checkpoint to state to sampler to text.

mod generate;
mod sampler;

pub use generate::{Finish, GenerateError, Generation, Piece, Request, generate, generate_after};
pub use sampler::{Candidate, InvalidSampler, SampleError, Sampler, SamplerConfig};
