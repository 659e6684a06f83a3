//! The learning-rate range test: which rates a model can be trained with, found by trying them.
//!
//! Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, section 3.3: while the rate grows from a small to a
//! large one, the loss first stays, then falls, then rises. Here it grows exponentially and the loss is smoothed, as in
//! fastai's variant.

mod findings;
mod range;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn::train::Interrupter;
use kiln_models::LanguageModel;

pub use findings::{RateFindings, RatePoint, RateStop, Recorder};
pub use range::RateRange;

use self::range::Rise;
use super::loader::TrainingLoader;
use super::model::TrainingModel;
use super::update::{Measure, Step, UpdateParts, Updater};
use super::{TrainError, carries_state};
use crate::config::RunConfig;
use kiln_data::batches::BatchOrder;
use kiln_data::shards::TokenFile;
use kiln_optimization::averaging::Averaging;
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::SharedSchedule;

/// What a range test trains, and with which rates. Nothing of it is kept.
pub struct RateTest<'a> {
    /// The seed of the data order and of dropout.
    pub seed: u64,
    /// The model with its first weights, without autodiff.
    pub model: LanguageModel,
    /// `[run]`: batches, windows, accumulation and clipping are those of the run.
    pub run: &'a RunConfig,
    /// `[optimizer]`.
    pub optimizer: &'a OptimizerConfig,
    /// The training split.
    pub train: TokenFile,
    /// The rates.
    pub range: RateRange,
}

/// Makes the updates of a range test until the loss has risen, is no longer finite, the last rate is reached, or `proceed`,
/// which is shown every point, says no.
///
/// # Errors
/// When the text is too short, or the data or the device fails. A loss that is not finite is a finding, not an error.
pub fn find_rate(test: RateTest<'_>, proceed: &mut dyn FnMut(&RatePoint) -> bool) -> Result<RateFindings, TrainError> {
    let RateTest { seed, model, run, optimizer, train, range } = test;
    let order = Arc::new(BatchOrder::new(train, run.windows, run.batch, run.context, seed)?);
    // The loss that a rate leads to is that of the update after it, so that there is one more of those than rates.
    let updates = range.steps + 1;
    let loader = TrainingLoader::new(order, 0, updates.saturating_mul(run.accumulate as u64));
    let parts = UpdateParts {
        seed,
        accumulate: run.accumulate,
        clip_norm: run.clip_norm,
        optimizer: optimizer.build(),
        averaging: Averaging::new(None),
        schedule: SharedSchedule::new(Box::new(Rise::new(range))),
        carried: None,
        carries_state: carries_state(&model, run),
        interrupter: Interrupter::new(),
    };
    let mut updater = Updater::new(TrainingModel { language_model: model }.train(), parts);
    let mut recorder = Recorder::new(range);
    let mut batches = loader.iter();
    for step in 1..=updates {
        let loss = match updater.update(step, &mut *batches, Measure::default())? {
            Step::Made(update) => update.loss,
            Step::Skipped(fault) => fault.value,
            // Nobody stops it there.
            Step::Abandoned => break,
        };
        if !recorder.add(loss) || !recorder.last().is_none_or(&mut *proceed) {
            break;
        }
    }
    Ok(recorder.finish())
}
