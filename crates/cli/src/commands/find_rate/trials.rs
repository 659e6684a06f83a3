//! Trainings with a few rates around the suggestion, to see which is the best.

use burn::train::Interrupter;
use kiln_data::shards::PreparedData;
use kiln_training::config::Config;
use kiln_training::learning::{RateTrial, try_rate};
use serde::Serialize;

use crate::beginnings;
use crate::device::Chosen;
use crate::terminal::progress_bar;

/// From one rate to the next. Of the cases that the rule was measured on, this spacing left the least loss.
const FACTOR: f64 = 2.0;

/// A rate and what a short training with it came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Trial {
    pub(super) rate: f64,
    /// Validation loss; none if it diverged.
    pub(super) loss: Option<f64>,
}

impl Trial {
    fn rank(&self) -> f64 {
        self.loss.unwrap_or(f64::INFINITY)
    }
}

/// Trains with half of a rate, with it, and with twice as much; `None` if it was interrupted.
pub(super) fn try_around(
    rate: f64,
    steps: u64,
    config: &Config,
    data: &PreparedData,
    chosen: &Chosen,
    interrupter: &Interrupter,
) -> anyhow::Result<Option<Vec<Trial>>> {
    let mut trials = Vec::new();
    for rate in [rate / FACTOR, rate, rate * FACTOR] {
        let trial = RateTrial {
            config,
            model: beginnings::begun_model(config, data, chosen)?,
            train: data.train.clone(),
            validation: data.validation.clone(),
            rate,
            steps,
        };
        let bar = progress_bar(steps, "{msg} [{bar:30}] {pos}/{len} steps {eta}");
        bar.set_message(format!("rate {rate:.1e}"));
        let loss = try_rate(trial, &mut |step| {
            bar.set_position(step);
            !interrupter.should_stop()
        })?;
        bar.finish_and_clear();
        let Some(loss) = loss else { return Ok(None) };
        trials.push(Trial { rate, loss: loss.is_finite().then_some(loss) });
    }
    Ok(Some(trials))
}

/// The one with the lowest loss.
pub(super) fn best(trials: &[Trial]) -> Option<&Trial> {
    trials.iter().min_by(|a, b| a.rank().total_cmp(&b.rank())).filter(|trial| trial.loss.is_some())
}
