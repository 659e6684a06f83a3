//! A run: its settings, its folder, its log, its checkpoints.

mod checkpoint;
mod config;
mod folder;
mod metrics;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use checkpoint::TRAINING_WEIGHTS;
pub use checkpoint::{Best, Checkpoint, CheckpointError, LoopState, ScheduleEntry};
pub use config::RunConfig;
pub use folder::{FolderError, RunDocuments, RunFolder};
pub use metrics::{EvaluationEntry, Metrics, MetricsLog, StepEntry};
pub use record::RunRecord;
