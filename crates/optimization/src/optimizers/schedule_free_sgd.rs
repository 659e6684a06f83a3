//! Schedule-free stochastic gradient descent.

use burn::tensor::Tensor;
use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

use super::schedule_free::{Interpolation, SLOTS};
use super::settings::Settings;
use super::terms::penalised;
use super::{Moving, ParameterView, Rate, SlotNames, Slots, UpdateRule};

/// `[optimizer.schedule-free-sgd]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ScheduleFreeSgdConfig {
    /// Where between the moving point and the mean the gradients are taken, in (0, 1); it does what momentum does.
    /// Default `0.9`.
    pub momentum: f64,
    /// L2 penalty added to the gradient, on matrices only, >= 0. Default `0.0`.
    pub weight_decay: f64,
}

impl Default for ScheduleFreeSgdConfig {
    fn default() -> Self {
        Self { momentum: 0.9, weight_decay: 0.0 }
    }
}

impl Settings for ScheduleFreeSgdConfig {
    fn rule(&self) -> Box<dyn UpdateRule> {
        Box::new(ScheduleFreeSgdRule::new(self))
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn validate(&self) -> Vec<Violation> {
        let decay = rules::non_negative("weight-decay", self.weight_decay);
        rules::inside_unit("momentum", self.momentum).into_iter().chain(decay).collect()
    }
}

/// Schedule-free SGD (Defazio et al., "The Road Less Scheduled", 2024, equations 3 to 5), with the arithmetic of the
/// authors' `SGDScheduleFree` with r = 0; a warm-up is the schedule's.
pub struct ScheduleFreeSgdRule {
    interpolation: Interpolation,
    weight_decay: f64,
}

impl ScheduleFreeSgdRule {
    /// The rule with the constants of `config`.
    pub fn new(config: &ScheduleFreeSgdConfig) -> Self {
        let interpolation = Interpolation { momentum: config.momentum };
        Self { interpolation, weight_decay: config.weight_decay }
    }
}

impl UpdateRule for ScheduleFreeSgdRule {
    /// One step of the iteration above along g_t + lambda y_{t-1} (lambda = 0 for vectors), the gradient taken at y.
    fn update(&self, moving: Moving<'_>, rate: &Rate) -> Tensor<1> {
        let Moving { parameter, value, gradient, slots } = moving;
        let direction = penalised(parameter, gradient, &value, self.weight_decay);
        self.interpolation.advance(value, direction, slots, rate)
    }

    fn slot_names(&self, _parameter: ParameterView<'_>) -> SlotNames {
        SLOTS
    }

    fn has_evaluation_weights(&self) -> bool {
        true
    }

    fn evaluation_weights(&self, value: Tensor<1>, slots: &Slots) -> Tensor<1> {
        self.interpolation.average(value, slots)
    }
}
