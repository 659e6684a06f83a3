//! A TOML file to one checked value, or to all of its mistakes at once, each with its place.
//!
//! text -> tree with places (`document`) -> overrides -> typed value, every mistake noted (`reader`) -> broken rules
//! ([`Violation`]) -> problems with places (`problem`).

mod access;
mod checked;
mod document;
mod failure;
mod file;
pub mod files;
mod holes;
mod mistakes;
mod problem;
mod reader;
mod rules;
mod schema;
mod suggestion;
#[cfg(test)]
mod tests;
mod violation;

pub use checked::read;
pub use document::key_span;
pub use file::{ConfigFileError, read_source};
pub use problem::{ConfigErrors, Origin, Override, Problem, Source};
pub use rules::{positive, probability, size};
pub use schema::{Entry, Kind, Schema, join};
pub use violation::Violation;
