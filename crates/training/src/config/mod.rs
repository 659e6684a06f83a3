//! The configuration file of a run: TOML in, one checked [`Config`] out, or all mistakes at once.
//!
//! ```toml
//! seed = 1337
//! [data.file]
//! paths = ["text.txt"]
//! [tokenizer.character]
//! [model.lstm]
//! hidden = 128
//! [optimizer.adamw]
//! [schedule.constant]
//! rate = 2e-3
//! [run]
//! steps = 1000
//! batch = 16
//! context = 64
//! ```
//!
//! Each section's type lives with the code that it configures, but for `[run]`, and checks its own values; rules
//! between sections are in `rules.rs`. How a file is read is `kiln-settings`'s affair.

mod changes;
mod differences;
mod finetuning;
mod reading;
mod rules;
mod run;
mod sections;
mod sweep;
#[cfg(test)]
mod tests;
mod words;

pub use changes::{Change, Meaning, RefusedChanges, changes};
pub use differences::{Difference, differences};
pub use finetuning::{DistillationConfig, DpoConfig, PreferenceConfig, RatesConfig, StartConfig, TrainOnlyConfig};
pub use reading::HINTS;
pub use run::{DEFAULT_PROMPT, DocumentState, OnSaveError, Precision, RunConfig};
pub use sections::Config;
pub use sweep::{Entrant, ONE_RUN, Search, Sweep, SweepRun, SweepSettings, settings_at_rate};
pub use words::explain as explain_word;
