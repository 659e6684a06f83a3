//! Samples: features and targets.

mod config;
mod csv;
mod generated;
mod samples;

pub use config::DataConfig;
pub use csv::CsvConfig;
pub use generated::GeneratedConfig;
pub use samples::{Samples, Targets};
