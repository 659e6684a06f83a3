//! Checkpoint to state to sampler to text, one text at a time or several in a batch.
//!
//! ```
//! use burn::tensor::Device;
//! use kiln_inference::{Request, SamplerConfig, generate};
//! use kiln_models::{GruConfig, ModelConfig, Tokenizer, TokenizerConfig};
//!
//! // A model that knows nothing yet; `kiln_models::saved::SavedModel` opens a trained one.
//! let tokenizer = Tokenizer::train(&TokenizerConfig::Byte(Default::default()), &mut std::iter::empty())?;
//! let config = ModelConfig::Gru(GruConfig { layers: 1, hidden: 8, ..GruConfig::default() });
//! let model = config.init(tokenizer.vocabulary_size(), 16, 1, &Device::flex());
//!
//! let sampler = SamplerConfig { temperature: 0.8, top_k: Some(50), seed: 1, ..SamplerConfig::default() };
//! let request = Request { sampler, ..Request::new("Once", 10) };
//! let mut tokens = Vec::new();
//! for piece in generate(&model, &tokenizer, &request)? {
//!     tokens.push(piece?.token);
//! }
//! assert_eq!(tokens.len(), 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A run, sampled from and scored:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use burn::tensor::Device;
//! use kiln_inference::{Request, generate, score};
//! use kiln_models::saved::{SavedModel, Which};
//!
//! let saved = SavedModel::open(Path::new("runs/quickstart"), Which::Best, &Device::flex())?;
//! for piece in generate(&saved.model, &saved.tokenizer, &Request::new("Once", 50))? {
//!     print!("{}", piece?.text);
//! }
//! let tokens = saved.tokenizer.encode("Once upon a time")?;
//! for token in score(&saved.model, saved.tokenizer.vocabulary_size(), &tokens, 0, 0)? {
//!     println!("{:?} {:?}", saved.tokenizer.decode(&[token.token]), token.log_probability);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod few_shot;
mod generate;
mod grammar;
mod json_lines;
mod sampler;
mod score;
mod tasks;
mod translation;

pub use few_shot::{Example, FewShot, FewShotError, FewShotPrompt, SHOT_TEMPLATE, read_examples};
pub use generate::{
    Batch, Beams, Contrast, Draft, Finish, Found, GenerateError, Generation, Guesses, Memory, Piece, Request, generate,
    generate_after, generate_batch, generate_batch_after, generate_contrasted, generate_remembering, search,
};
pub use grammar::{Grammar, GrammarError};
pub use json_lines::JsonLinesError;
pub use sampler::{Candidate, Dry, History, InvalidSampler, Mirostat, SampleError, Sampler, SamplerConfig, Xtc};
pub use score::{ScoreError, TokenScore, score};
pub use tasks::{
    Answer, ChoiceSummary, Outcome, PreparedTasks, Proportion, Question, QuestionError, QuestionKind, TaskError,
    TaskModel, TaskSource, TaskSummary, Tasks,
};
pub use translation::{Translation, TranslationError, Translator, Writing, corpus_bleu, corpus_chrf};
