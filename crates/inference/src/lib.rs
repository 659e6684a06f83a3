//! Checkpoint to state to sampler to text, one text at a time or several in a batch.

mod chat;
mod generate;
mod sampler;
mod score;

pub use chat::{ChatError, ChatFormat, Message};
pub use generate::{
    Batch, Finish, GenerateError, Generation, Memory, Piece, Request, generate, generate_after, generate_batch,
    generate_remembering,
};
pub use sampler::{Candidate, InvalidSampler, SampleError, Sampler, SamplerConfig};
pub use score::{ScoreError, TokenScore, score};
