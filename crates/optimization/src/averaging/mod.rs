//! Averages of the weights over the steps of training.
//!
//! Training continues from the weights that the optimizer moves. Evaluations, samples and the saved model have the
//! average, once there is one.

mod config;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

pub use config::{AveragingConfig, ExponentialConfig, NonMonotoneConfig, PolyakConfig};

use kiln_kernels::GradientScale;
use kiln_parameters::{map, visit};

use crate::schedules::NonMonotoneTrigger;

/// The average of a run's weights w_1, w_2, ..., or none if none is configured.
///
/// With n the iterates in the average so far, the next one becomes a + s (w - a):
///
/// - `polyak`: s = 1 / (n + 1) from the step `start` on, the plain mean (Polyak and Juditsky, "Acceleration of
///   Stochastic
///   Approximation by Averaging", 1992), as `torch.optim.swa_utils.AveragedModel` computes it;
/// - `exponential`: s = 1 - d with decay d, from a = w_1, as with `torch.optim.swa_utils.get_ema_multi_avg_fn`. With
///   bias correction s = (1 - d) / (1 - d^(n + 1)): the mean of all iterates with weights d to the power of their age,
///   which is what Adam corrects its moments to;
/// - `non-monotone`: as `polyak` from the update at which [`NonMonotoneTrigger`] is triggered by a validation loss
///   (Merity et
///   al., 2018, Algorithm 1). Plain SGD with a constant rate belongs to it.
///
/// # Examples
/// The mean of the weights 1 and 2, from the first update on:
/// ```
/// use burn::module::{Module, Param};
/// use burn::tensor::{Device, Tensor};
/// use kiln_optimization::averaging::{Averaging, AveragingConfig, PolyakConfig};
///
/// #[derive(Module, Debug)]
/// struct Point {
///     at: Param<Tensor<1>>,
/// }
///
/// let point = |at: f32| Point { at: Param::from_tensor(Tensor::from_data([at], &Device::flex())) };
/// let mut averaging = Averaging::new(Some(&AveragingConfig::Polyak(PolyakConfig { start: 1 })));
/// averaging.observe_update(&point(1.0), 1, &1.0.into());
/// averaging.observe_update(&point(2.0), 2, &1.0.into());
/// let averaged = averaging.applied(point(2.0));
/// assert_eq!(averaged.at.val().into_data().iter::<f32>().collect::<Vec<_>>(), [1.5]);
/// ```
pub struct Averaging {
    config: Option<AveragingConfig>,
    trigger: Option<NonMonotoneTrigger>,
    /// How many iterates are in the average.
    count: u64,
    /// The average of every parameter, flattened, by path; empty while there is none.
    average: BTreeMap<String, Tensor<1>>,
}

/// The part of an average's state that is not weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AveragingState {
    kind: String,
    count: u64,
    trigger: Option<NonMonotoneTrigger>,
}

/// A saved average that the configuration does not resume.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoint was made with {saved} and cannot be resumed with {configured}")]
pub struct AveragingStateError {
    saved: String,
    configured: String,
}

impl Averaging {
    /// No iterate is in it yet.
    pub fn new(config: Option<&AveragingConfig>) -> Self {
        let trigger = match config {
            Some(AveragingConfig::NonMonotone(config)) => Some(NonMonotoneTrigger::new(config.patience)),
            _ => None,
        };
        Self { config: config.cloned(), trigger, count: 0, average: BTreeMap::new() }
    }

    /// Whether there is an average, so that the model to use is not the one that is trained.
    pub fn has_average(&self) -> bool {
        self.count > 0
    }

    /// Takes in the weights after the update `step`, counted from 1. If the device decided by `scale` that the update
    /// is not made, it leaves the average as it is, and [`Averaging::take_back`] the count.
    pub fn observe_update<M: Module>(&mut self, model: &M, step: u64, scale: &GradientScale) {
        let share = match &self.config {
            None => return,
            Some(AveragingConfig::Polyak(config)) if step < config.start => return,
            Some(AveragingConfig::NonMonotone(_)) if !self.has_average() => return,
            Some(AveragingConfig::Polyak(_) | AveragingConfig::NonMonotone(_)) => 1.0 / (self.count + 1) as f64,
            Some(AveragingConfig::Exponential(config)) => config.share(self.count),
        };
        self.take_in(model, share, scale);
    }

    /// How many iterates are in the average, to be given to [`Averaging::take_back`].
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Counts the iterates after `count` of them as not taken in: on the device they have changed nothing.
    pub fn take_back(&mut self, count: u64) {
        self.count = count;
        if count == 0 {
            self.average.clear();
        }
    }

    /// Takes in a validation loss, and the weights of the update before it, with which the average may begin.
    pub fn observe_validation<M: Module>(&mut self, model: &M, loss: f64) {
        let waits = !self.has_average();
        if waits && self.trigger.as_mut().is_some_and(|trigger| trigger.observe(loss)) {
            self.take_in(model, 1.0, &1.0.into());
        }
    }

    /// The model, which is without autodiff, with the average as its weights if there is one.
    pub fn applied<M: Module>(&self, model: M) -> M {
        if !self.has_average() {
            return model;
        }
        map(model, |parameter, value| self.average.get(&parameter.path).cloned().unwrap_or(value))
    }

    /// What has to be saved beside the average itself; `None` if none is configured.
    pub fn state(&self) -> Option<AveragingState> {
        let config = self.config.as_ref()?;
        Some(AveragingState { kind: config.name().to_owned(), count: self.count, trigger: self.trigger.clone() })
    }

    /// Resumes where `state` was taken; `averaged` is what [`Averaging::applied`] gave then. Without a state, which is
    /// a checkpoint made without averaging, the average begins with the next update.
    ///
    /// # Errors
    /// When the state is that of another kind of average.
    pub fn restore<M: Module>(
        &mut self,
        state: Option<AveragingState>,
        averaged: &M,
    ) -> Result<(), AveragingStateError> {
        let Some(state) = state else { return Ok(()) };
        let configured = self.config.as_ref().map(AveragingConfig::name);
        if configured != Some(state.kind.as_str()) {
            let words = |name: &str| format!("[averaging.{name}]");
            let configured = configured.map_or_else(|| "no averaging".to_owned(), words);
            return Err(AveragingStateError { saved: words(&state.kind), configured });
        }
        self.count = 0;
        if state.count > 0 {
            self.take_in(averaged, 1.0, &1.0.into());
        }
        self.count = state.count;
        let configured = self.trigger.as_ref().map(NonMonotoneTrigger::patience);
        self.trigger = state.trigger.zip(configured).map(|(trigger, patience)| trigger.with_patience(patience));
        Ok(())
    }

    /// Moves the average by `share` of the way to the model; the first iterate is the average.
    fn take_in<M: Module>(&mut self, model: &M, share: f64, scale: &GradientScale) {
        let average = &mut self.average;
        let first = self.count == 0;
        visit(model, |parameter, value| {
            let next = match average.remove(&parameter.path) {
                Some(mean) if !first => scale.chosen(mean.clone().add(value.sub(mean.clone()).mul_scalar(share)), mean),
                _ => value,
            };
            average.insert(parameter.path.clone(), next);
        });
        self.count += 1;
    }
}

impl ExponentialConfig {
    /// The share of the next iterate in an average of `count`.
    fn share(&self, count: u64) -> f64 {
        let fresh = 1.0 - self.decay;
        if self.bias_correction { fresh / (1.0 - self.decay.powf((count + 1) as f64)) } else { fresh }
    }
}
