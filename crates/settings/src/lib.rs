//! A TOML file to one checked value, or to all of its mistakes at once, each with its line, its column and what to
//! write instead. The value is any type with a derived `Deserialize`; there is no second list of its keys.
//!
//! ```rust
//! use kiln_settings::{Source, Violation, read, rules};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Bakery {
//!     loaves: u64,
//!     oven: Oven,
//! }
//!
//! #[derive(Deserialize)]
//! #[serde(rename_all = "kebab-case", deny_unknown_fields)]
//! enum Oven {
//!     Gas { flame: f64 },
//!     Electric { watts: u32 },
//! }
//!
//! fn validate(bakery: &Bakery) -> Vec<Violation> {
//!     rules::whole_at_least("loaves", 1, bakery.loaves).into_iter().collect()
//! }
//!
//! let source = Source::new("bakery.toml", "loaves = 0\n[oven.gas]\nflame = \"2\"\nfan = true\n");
//! let errors = read(&source, &[], validate).err().expect("there are three mistakes");
//! assert_eq!(errors.to_string(), "\
//! bakery.toml:1:10: `loaves` must be 1 or more, is 0
//! bakery.toml:3:9: `oven.gas.flame` must be a number, is the text \"2\"
//!   help: write `flame = 2`
//! bakery.toml:4:1: unknown key `fan` in [oven.gas]
//!   help: [oven.gas] takes `flame`");
//! ```
//!
//! `read_source` reads a file from disk and refuses what isn't one: folders, pipes, devices, and anything above 64 KiB.
//! An `Override` sets a single key, as by an option `--set oven.gas.flame=3`, and goes through the same checks.
//!
//! ## How mistakes look
//!
//! - **All at once.** A value of the wrong type, an unknown key, a missing key and a broken rule in one file are four
//!   problems, sorted by place. What only follows from another mistake is left out.
//! - **With a place.** A problem is a span of bytes; `position_of` makes it a line and a column, and any renderer of
//!   source code can draw it.
//! - **With advice.** Unknown keys come with the nearest known one ("did you mean"), with the tables that have such a
//!   key, and with the keys that this table takes; missing ones with what to write.
//! - **A choice is a table of its own name.** An enum is `[oven.gas]` or `[oven.electric]`; two of them, or none, is a
//!   mistake at the second header or at the place where one is missing.
//! - **An override may choose again.** `--set oven.electric.watts=5` replaces the file's `[oven.gas]`; `replaced` says
//!   which tables made room, to be shown to the user. A lone text stands for a list of one.
//! - **Hints say what types cannot.** `read_with` takes a list of which tables exclude one another without an enum, and
//!   what the words of other programs are called here.
//! - **Rules are functions.** `validate` runs on the typed value and names dotted keys; the reader finds the line.
//!   `rules` holds those that most settings need.
//!
//! ## Beside plain serde and `toml`
//!
//! | | serde and `toml` | here |
//! |---|---|---|
//! | mistakes in one go | the first | all, up to a hundred |
//! | place of a wrong value | yes | yes |
//! | place of a broken rule | no: the value doesn't know where it was | yes |
//! | unknown keys | with `deny_unknown_fields`, the list of known ones | the nearest one, and where else it is known |
//! | keys set beside the file | merge tables by hand | `Override`, through the same checks |
//! | which keys a type has | no | `Schema::of` |
//! | `flatten`, `untagged`, `tag = "..."` | yes | not in the schema, so mistakes inside get less advice |
//! | dates | yes | no |
//! | speed | one pass | a pass for each missing key, and one for each variant to find the schema: milliseconds |
//!
//! ## The schema
//!
//! `Schema::of::<T>()` runs `T::deserialize` on a deserializer that records what it is asked for (the fields of each
//! struct, the variants of each enum, the type of each scalar) and answers with dummies, once for each variant of each
//! choice. That is how the keys in a "did you mean" are those of the structs themselves, and how a test can compare a
//! list in the documentation with the code. The limits are in the documentation of `Schema::of`: no `flatten`, and no
//! type that holds itself.
//!
//! `cargo run --example mistakes` and `cargo run --example schema` show both.
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
