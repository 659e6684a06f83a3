//! A run: its folder, its log, its checkpoints.

mod checkpoint;
mod comparison;
mod error;
mod faults;
mod folder;
mod history;
mod lock;
mod metrics;
mod record;
mod references;
mod removing;
mod saver;
mod snapshot;
mod spikes;
mod survey;
#[cfg(test)]
pub(crate) mod tests;

pub use checkpoint::{Best, Checkpoint, LoopState, ScheduleEntry};
pub use comparison::{Comparison, Difference};
pub use error::{CheckpointError, FolderError};
pub use faults::{Faults, Rollback};
pub use folder::{Resumed, RunDocuments, RunFolder, Saved};
pub use history::{HistoryEntry, history};
pub use lock::Trainer;
pub use metrics::{
    EvaluationEntry, Metrics, MetricsLog, RollbackEntry, SkipEntry, SpikeEntry, StepEntry, TranslationScores,
};
pub use record::{BURN_VERSION, RunRecord};
pub use references::References;
pub use removing::{Keep, Pruned, Removal, moved_checkpoints, prune, remove};
pub use saver::Saver;
pub use snapshot::Snapshot;
pub use spikes::SpikeWatch;
pub use survey::{CheckpointSurvey, RunState, RunSurvey};
