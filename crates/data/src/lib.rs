//! Text to batches of tokens: the corpus and its splits, token files, and which windows are read in which order.

pub mod batches;
pub mod corpus;
pub mod shards;
