//! Schedule-free AdamW.

use burn::tensor::Tensor;
use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

use super::schedule_free::{BASE, Interpolation, NUMBERS};
use super::settings::Settings;
use super::terms::{penalised, running_mean};
use super::{Moving, ParameterView, Rate, SlotNames, Slots, UpdateRule};

const SECOND: &str = "second_moment";

/// `[optimizer.schedule-free-adamw]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ScheduleFreeAdamwConfig {
    /// Where between the moving point and the mean the gradients are taken, in (0, 1), and how much of the running mean
    /// of the squared gradient is kept, in [0, 1). Default `[0.9, 0.999]`.
    pub betas: [f64; 2],
    /// Added to the root of the second moment, > 0. Default `1e-8`.
    pub epsilon: f64,
    /// Decay per unit of rate, on matrices only, >= 0. Default `0.0`.
    pub weight_decay: f64,
}

impl Default for ScheduleFreeAdamwConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl Settings for ScheduleFreeAdamwConfig {
    fn rule(&self) -> Box<dyn UpdateRule> {
        Box::new(ScheduleFreeAdamwRule::new(self))
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn validate(&self) -> Vec<Violation> {
        let [momentum, decay] = self.betas;
        let broken = [
            rules::inside_unit("betas", momentum).or_else(|| rules::below_one("betas", &[decay])),
            rules::positive("epsilon", self.epsilon),
            rules::non_negative("weight-decay", self.weight_decay),
        ];
        broken.into_iter().flatten().collect()
    }
}

/// Schedule-free AdamW (Defazio et al., "The Road Less Scheduled", 2024, Algorithm 1), with the arithmetic of the
/// authors' `AdamWScheduleFree` with r = 0; a warm-up is the schedule's.
pub struct ScheduleFreeAdamwRule {
    interpolation: Interpolation,
    config: ScheduleFreeAdamwConfig,
}

impl ScheduleFreeAdamwRule {
    /// The rule with the constants of `config`.
    pub fn new(config: &ScheduleFreeAdamwConfig) -> Self {
        Self { interpolation: Interpolation { momentum: config.betas[0] }, config: config.clone() }
    }
}

impl UpdateRule for ScheduleFreeAdamwRule {
    /// For the gradient g_t at y_{t-1} and decay lambda (0 for vectors):
    ///
    /// v_t = beta2 v_{t-1} + (1 - beta2) g_t², d_t = g_t / (sqrt(v_t / (1 - beta2^t)) + epsilon) + lambda y_{t-1},
    /// and one step of the iteration above along d_t.
    fn update(&self, moving: Moving<'_>, rate: &Rate) -> Tensor<1> {
        let Moving { parameter, value, gradient, slots } = moving;
        let beta = self.config.betas[1];
        let v = running_mean(slots.take(SECOND), gradient.clone().square(), beta);
        slots.put(SECOND, v.clone());
        let correction = 1.0 - beta.powf(parameter.step as f64);
        let denominator = v.div_scalar(correction).sqrt().add_scalar(self.config.epsilon);
        let direction = penalised(parameter, gradient.div(denominator), &value, self.config.weight_decay);
        self.interpolation.advance(value, direction, slots, rate)
    }

    fn slot_names(&self, _parameter: ParameterView<'_>) -> SlotNames {
        SlotNames { numbers: NUMBERS, ..SlotNames::vectors(&[BASE, SECOND]) }
    }

    fn has_evaluation_weights(&self) -> bool {
        true
    }

    fn evaluation_weights(&self, value: Tensor<1>, slots: &Slots) -> Tensor<1> {
        self.interpolation.average(value, slots)
    }
}
