#![doc = include_str!("../README.md")]
//!
//! # How it is made
//! text -> tree with places (`document`) -> overrides -> typed value, every mistake noted (`reader`) -> broken rules
//! ([`Violation`]) -> problems with places (`problem`).

mod access;
mod checked;
mod document;
mod failure;
pub mod files;
mod hints;
mod holes;
mod mistakes;
mod problem;
mod reader;
pub mod rules;
mod schema;
mod setting;
mod source;
mod suggestion;
#[cfg(test)]
mod tests;
mod tree;
mod violation;

pub use checked::{read, read_with, replaced};
pub use document::key_span;
pub use hints::{Hints, Replaced};
pub use problem::{ConfigErrors, Origin, Override, Problem, Source};
pub use schema::{Entry, Kind, Schema, join};
pub use setting::Setting;
pub use source::{ConfigFileError, MOST_BYTES, read_source};
pub use suggestion::nearest;
pub use tree::Tree;
pub use violation::Violation;
