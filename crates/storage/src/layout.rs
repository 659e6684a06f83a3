//! The folder of a run, described once: what is in it, and how each file is called.
//!
//! ```text
//! runs/<name>/
//!   config.toml  tokenizer.json  run.json  metrics.jsonl  history.jsonl
//!   reference.json  where preferences are learned
//!   best            the name of the checkpoint with the lowest validation loss
//!   lock            held by the process that trains
//!   checkpoints/step-00000500/
//!     manifest.json  model.safetensors  training.json  optimizer.safetensors
//!     training-weights.safetensors  recurrent-state.safetensors     where training needs them
//! ```
//!
//! The folder of a sweep, which a race is too, has `sweep.toml` instead of `config.toml`, and a run folder for each
//! entrant and seed; one that diverged has `diverged.json`.

use std::path::{Path, PathBuf};

/// The resolved configuration of a run, TOML. A folder that has it is a run.
pub const CONFIG_FILE: &str = "config.toml";
/// The entrants of a sweep or a race, TOML. A folder that has it is that of a sweep.
pub const SWEEP_FILE: &str = "sweep.toml";
/// The tokenizer of a run, JSON as Hugging Face has it.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// What it would take to repeat a run, JSON.
pub const RECORD_FILE: &str = "run.json";
/// Of preferences: the log-probabilities under the start model, JSON.
pub const REFERENCE_FILE: &str = "reference.json";
/// The log, an object a line.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// Each time that a run was started or resumed, an object a line.
pub const HISTORY_FILE: &str = "history.jsonl";
/// Names the checkpoint with the lowest validation loss. No file names the newest: that one is found by looking, since
/// a file can lie.
pub const BEST_FILE: &str = "best";
/// Locked by the process that trains; holds its number.
pub const LOCK_FILE: &str = "lock";
/// Where and why a run of a sweep diverged, JSON.
pub const DIVERGED_FILE: &str = "diverged.json";
/// The folder of the checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";

/// What a checkpoint consists of. A folder that has it is a checkpoint.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The weights. Python's `safetensors` opens the file as it is.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// Where the training loop was, JSON.
pub const TRAINING_STATE_FILE: &str = "training.json";
/// The state of the optimizer, by `parameter/slot`.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// The weights that training resumes from, where the saved model holds others, an average for instance.
pub const TRAINING_WEIGHTS_FILE: &str = "training-weights.safetensors";
/// The recurrent state after the last batch, where batches carry it.
pub const CARRIED_STATE_FILE: &str = "recurrent-state.safetensors";

/// Whether a folder is that of a run, also of one that was killed before it was complete.
pub fn is_run(folder: &Path) -> bool {
    [CHECKPOINTS, CONFIG_FILE, LOCK_FILE].iter().any(|name| folder.join(name).exists())
}

/// Whether a folder is that of a sweep.
pub fn is_sweep(folder: &Path) -> bool {
    folder.join(SWEEP_FILE).exists()
}

/// The folder of the checkpoint of `step` in a run.
pub fn checkpoint_folder(run: &Path, step: u64) -> PathBuf {
    run.join(CHECKPOINTS).join(checkpoint_name(step))
}

pub(crate) fn checkpoint_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// The step in the name of a checkpoint, only where it is written as [`checkpoint_name`] writes it.
pub(crate) fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (checkpoint_name(step) == name).then_some(step)
}
