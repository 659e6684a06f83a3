//! A run: its settings, its folder, its log, its checkpoints.

mod checkpoint;
mod config;
mod exact;
mod folder;
mod metrics;
mod record;
#[cfg(test)]
mod tests;

pub use checkpoint::{Best, Checkpoint, CheckpointError, LoopState, ScheduleEntry};
pub use config::RunConfig;
pub(crate) use exact::exact_number;
pub use folder::{FolderError, RunDocuments, RunFolder};
pub use metrics::{EvaluationEntry, MetricsLog, StepEntry};
pub use record::RunRecord;
