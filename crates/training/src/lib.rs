//! Tokens to batches to loss to update to checkpoint.
//!
//! [`learning::Trainer`] trains in memory; [`learning::train`] trains in a [`run`] folder, with evaluations, samples,
//! checkpoints and the metrics that a dashboard shows. What a run does is said by a [`config::Config`].
//!
//! ```
//! use burn::tensor::Device;
//! use kiln_data::shards::TokenFile;
//! use kiln_models::Tokenizer;
//! use kiln_settings::Source;
//! use kiln_training::config::Config;
//! use kiln_training::learning::Trainer;
//!
//! let text = "so much depends upon a red wheel barrow ".repeat(20);
//! let settings = "
//!     [tokenizer.character]
//!     [model.lstm]
//!     hidden = 8
//!     [optimizer.adamw]
//!     [schedule.constant]
//!     rate = 0.02
//!     [run]
//!     steps = 30
//!     batch = 2
//!     context = 8
//! ";
//! let config = Config::read_without_data(&Source::new("settings", settings.to_string()))?;
//! let tokenizer = Tokenizer::train(&config.tokenizer, &mut std::iter::once(Ok(text.clone())))?;
//! let model = config.model.init(tokenizer.vocabulary_size(), config.run.context, config.seed, &Device::flex());
//! let mut trainer = Trainer::new(&config, model, TokenFile::in_memory(&text, &tokenizer)?)?;
//! let first = trainer.update()?;
//! let last = trainer.updates(config.run.steps - 1)?;
//! assert!(last.loss < first.loss);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/train_in_memory.rs` goes on to a sample, `examples/own_schedule.rs` trains with a schedule of one's own.

pub mod comparison;
pub mod config;
pub mod estimate;
pub mod evaluation;
pub mod gradient_measurements;
pub mod learning;
pub mod misleading;
pub mod parts;
pub mod run;
mod running_mean;
pub mod start;
pub mod sweep;

pub use running_mean::RunningMean;
