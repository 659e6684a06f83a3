//! Text to batches of tokens: the corpus and its splits, token files, and which windows are read in which order.
//!
//! [`corpus`] finds the text and cuts it into two splits, [`shards`] encodes each into a file of tokens, and
//! [`batches`] says which windows of a file make up each batch. [`cache`] is where downloads and token files are.
//!
//! ```
//! use kiln_data::batches::{BatchOrder, Windows};
//! use kiln_data::shards::TokenFile;
//! use kiln_models::{Tokenizer, TokenizerConfig};
//!
//! let tokenizer = Tokenizer::train(&TokenizerConfig::Byte(Default::default()), &mut std::iter::empty())?;
//! let tokens = TokenFile::in_memory("abcdefghi", &tokenizer)?;
//! // Two windows of three tokens each, shuffled by the seed 1.
//! let order = BatchOrder::new(tokens, Windows::Shuffled, 2, 3, 1)?;
//! let batch = order.read(0)?;
//! assert_eq!(batch.inputs.len(), 6);
//! // What is to be predicted is what follows.
//! assert!(batch.inputs.iter().zip(&batch.targets).all(|(input, target)| target - input == 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod batches;
pub mod cache;
pub mod corpus;
mod lock;
pub mod shards;
