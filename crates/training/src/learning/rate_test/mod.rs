//! The learning-rate range test: which rates a model can be trained with, found by trying them.
//!
//! Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, section 3.3: while the rate grows from a small
//! to a large one, the loss first stays, then falls, then rises. Here it grows exponentially and the loss is smoothed,
//! as in fastai's variant. Which rate is read off it is a rule of our own (`rule.rs`), measured against trainings with
//! many rates in `docs/find-rate.md`.

mod findings;
mod range;
mod rule;
#[cfg(test)]
mod tests;
mod trial;

use kiln_data::shards::TokenFile;
use kiln_models::LanguageModel;

pub use findings::{RateFindings, RatePoint, RateStop, Recorder};
pub use range::RateRange;
pub use rule::RateRule;
pub use trial::{RateTrial, try_rate};

use self::range::Rise;
use super::TrainError;
use super::gradients::Measure;
use super::update::{Step, Updater};
use crate::config::Config;

/// What a range test trains, and with which rates. Nothing of it is kept.
pub struct RateTest<'a> {
    /// The configuration of the run; its schedule, its average and its number of steps are not used.
    pub config: &'a Config,
    /// The model with its first weights, without autodiff.
    pub model: LanguageModel,
    /// The training split.
    pub train: TokenFile,
    /// The rates.
    pub range: RateRange,
}

/// Makes the updates of a range test until the loss has risen, is no longer finite, the last rate is reached, or
/// `proceed`, which is shown every point, says no.
///
/// # Errors
/// When the text is too short, or the data or the device fails. A loss that is not finite is a finding, not an error.
pub fn find_rate(test: RateTest<'_>, proceed: &mut dyn FnMut(&RatePoint) -> bool) -> Result<RateFindings, TrainError> {
    let RateTest { config, model, train, range } = test;
    let config = Config { averaging: None, ..config.clone() };
    let mut updater = Updater::new(&config, model, train)?;
    updater.schedule = Box::new(Rise::new(range));
    let mut recorder = Recorder::new(range, RateRule::of(&config.optimizer));
    // The loss that a rate leads to is that of the update after it, so that there is one more of those than rates.
    for step in 1..=range.steps + 1 {
        let first_batch = (step - 1) * updater.accumulate;
        let loss = match updater.update(step, first_batch, Measure::default())? {
            Step::Made(update) => update.loss,
            Step::Skipped(fault) => fault.value,
        };
        if !recorder.add(loss) || !recorder.last().is_none_or(&mut *proceed) {
            break;
        }
    }
    Ok(recorder.finish())
}
