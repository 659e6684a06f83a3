//! Checkpoint to state to sampler to text, one text at a time or several in a batch.

mod generate;
mod sampler;

pub use generate::{
    Batch, Finish, GenerateError, Generation, Piece, Request, generate, generate_after, generate_batch,
};
pub use sampler::{Candidate, InvalidSampler, SampleError, Sampler, SamplerConfig};
