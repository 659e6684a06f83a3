//! Text to batches of tokens: the corpus and its splits, token files, and which windows are read in which order.
//!
//! [`corpus`] finds the text and cuts it into two splits, [`shards`] encodes each into a file of tokens, and
//! [`batches`] says which windows of a file make up each batch. [`cache`] is where downloads and token files are.

pub mod batches;
pub mod cache;
pub mod corpus;
mod lock;
pub mod shards;
