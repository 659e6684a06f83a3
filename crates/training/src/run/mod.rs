//! A run: its settings, its folder, its log, its checkpoints.

mod checkpoint;
mod comparison;
mod config;
mod faults;
mod folder;
mod history;
mod metrics;
mod record;
mod saver;
mod snapshot;
mod survey;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use checkpoint::TRAINING_WEIGHTS;
pub use checkpoint::{Best, Checkpoint, CheckpointError, LoopState, ScheduleEntry};
pub use comparison::{Comparison, Difference};
pub use config::{OnSaveError, RunConfig};
pub use faults::{Faults, Rollback};
pub use folder::{FolderError, RunDocuments, RunFolder};
pub use history::{HistoryEntry, history};
pub use metrics::{EvaluationEntry, Metrics, MetricsLog, RollbackEntry, SkipEntry, StepEntry};
pub use record::RunRecord;
pub use saver::{Saved, Saver};
pub use snapshot::Snapshot;
pub use survey::{CheckpointSurvey, RunState, RunSurvey, Trainer};
