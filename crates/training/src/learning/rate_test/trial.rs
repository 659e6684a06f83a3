//! Trying a rate: a short training with it.

use kiln_data::shards::TokenFile;
use kiln_models::LanguageModel;
use kiln_optimization::schedules::{CosineConfig, ScheduleConfig};

use crate::config::Config;
use crate::evaluation::{Plan, evaluate};
use crate::learning::{TrainError, Trainer};

/// A training of a few steps, nothing of which is kept: the rate falls along a cosine to a tenth, after a warm-up of a
/// twentieth of the steps, as in the trainings that the rule of the range test was measured against.
pub struct RateTrial<'a> {
    /// The configuration of the run; its schedule, its average and its number of steps are not used.
    pub config: &'a Config,
    /// The model with its first weights, without autodiff.
    pub model: LanguageModel,
    /// The training split.
    pub train: TokenFile,
    /// The validation split.
    pub validation: TokenFile,
    /// The highest rate.
    pub rate: f64,
    /// Updates.
    pub steps: u64,
}

/// Trains and evaluates: the validation loss, infinite if the training diverged; `None` if `proceed`, which is asked at
/// each step, says no.
///
/// # Errors
/// When a text is too short, or the data or the device fails.
pub fn try_rate(trial: RateTrial<'_>, proceed: &mut dyn FnMut(u64) -> bool) -> Result<Option<f64>, TrainError> {
    let RateTrial { config, model, train, validation, rate, steps } = trial;
    let mut config = Config { averaging: None, ..config.clone() };
    config.schedule =
        ScheduleConfig::Cosine(CosineConfig { rate, final_rate: rate / 10.0, warmup: steps / 20, steps: None });
    config.run.steps = steps;
    let carries_state = config.run.carries_state(&model);
    let plan = Plan::of_run(&config, &validation, carries_state)?;
    let mut trainer = Trainer::new(&config, model, train)?;
    for step in 1..=steps {
        match trainer.update() {
            Ok(_) => {}
            Err(TrainError::Diverged(_)) => return Ok(Some(f64::INFINITY)),
            Err(error) => return Err(error),
        }
        if !proceed(step) {
            return Ok(None);
        }
    }
    let evaluation = evaluate(&trainer.model(), &validation, &plan, &mut |_| proceed(steps))?;
    // A loss that is no number is worse than any.
    Ok(evaluation.map(|evaluation| if evaluation.loss.is_finite() { evaluation.loss } else { f64::INFINITY }))
}
