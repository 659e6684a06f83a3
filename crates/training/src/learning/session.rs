//! What a session of training is given, and what it gives back.

use std::time::Duration;

use kiln_data::shards::TokenFile;
use kiln_models::LanguageModel;
use kiln_optimization::schedules::Schedule;

use super::{Observer, Stop, Teacher};
use crate::config::Config;
use crate::evaluation::Evaluation;
use crate::run::{Checkpoint, RunFolder};

/// What is trained, on what, and where it starts.
pub struct Session<'a> {
    /// The configuration of the run; its data was prepared, and its model made, by the caller.
    pub config: &'a Config,
    /// The model, on its device, without autodiff. With a checkpoint to resume it has that checkpoint's saved weights,
    /// even if they are an average: the weights to continue from are in the checkpoint then.
    pub model: LanguageModel,
    /// What is learned from beside the text, as `[distillation]` says; none without it.
    pub teacher: Option<Teacher>,
    /// The training split.
    pub train: TokenFile,
    /// The validation split.
    pub validation: TokenFile,
    /// The folder of the run, locked.
    pub folder: RunFolder,
    /// A schedule of one's own, before its first update, in the place of that of `[schedule]`. What its
    /// [`state`](Schedule::state) gives is saved with every checkpoint, and [restored](Schedule::restore) from the one
    /// that is resumed.
    pub schedule: Option<Box<dyn Schedule>>,
    /// Where to resume; `None` starts at step 0.
    pub resume: Option<Checkpoint>,
    /// Follows the run.
    pub observer: Box<dyn Observer>,
    /// The step after which the run is to stop, as if it had been interrupted there.
    pub stop_after: Option<u64>,
}

/// How a session ended.
pub struct Outcome {
    /// The trained model, without autodiff, as it was saved: with averaged weights if there are any.
    pub model: LanguageModel,
    /// Why it stopped.
    pub stop: Stop,
    /// Updates made in all sessions of the run.
    pub step: u64,
    /// The last evaluation since the start or resumption, if there was one.
    pub evaluation: Option<Evaluation>,
    /// How long training waited for saving: while numbers were copied, and while the previous checkpoint was still
    /// being written.
    pub saving: Duration,
}
