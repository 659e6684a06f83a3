//! Stochastic gradient descent with momentum.

use burn::tensor::Tensor;
use kiln_kernels::{GradientScale, SgdParameter, SgdStep, sgd_step};
use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::terms::penalised;
use super::{Moving, ParameterView, Rate, SlotNames, UpdateRule};

const VELOCITY: &str = "velocity";

/// `[optimizer.sgd]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SgdConfig {
    /// Momentum in [0, 1). Default `0.0`.
    pub momentum: f64,
    /// Whether the momentum looks ahead (Nesterov); needs `momentum > 0`. Default `false`.
    pub nesterov: bool,
    /// L2 penalty added to the gradient, on matrices only, >= 0. Default `0.0`.
    pub weight_decay: f64,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self { momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

impl Settings for SgdConfig {
    fn rule(&self) -> Box<dyn UpdateRule> {
        Box::new(SgdRule::new(self))
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn validate(&self) -> Vec<Violation> {
        let mut violations: Vec<_> = rules::below_one("momentum", &[self.momentum]).into_iter().collect();
        if self.nesterov && self.momentum == 0.0 {
            violations.push(
                Violation::new("nesterov", "needs a momentum above 0")
                    .with_help("set `momentum = 0.9`, or drop `nesterov`"),
            );
        }
        violations.extend(rules::non_negative("weight-decay", self.weight_decay));
        violations
    }
}

/// Stochastic gradient descent as `torch.optim.SGD` defines it, with dampening 0; momentum after Sutskever et al., "On
/// the importance of initialization and momentum in deep learning", 2013.
pub struct SgdRule {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
}

impl SgdRule {
    /// The rule with the constants of `config`.
    pub fn new(config: &SgdConfig) -> Self {
        Self { momentum: config.momentum, nesterov: config.nesterov, weight_decay: config.weight_decay }
    }
}

impl UpdateRule for SgdRule {
    /// With g_t the gradient plus lambda w_{t-1} (lambda = 0 for vectors), mu the momentum and eta the rate:
    ///
    /// b_1 = g_1, b_t = mu b_{t-1} + g_t; w_t = w_{t-1} - eta b_t, or with Nesterov's look-ahead
    /// w_t = w_{t-1} - eta (g_t + mu b_t).
    fn update(&self, moving: Moving<'_>, rate: &Rate) -> Tensor<1> {
        if let Rate::Same(rate) = *rate {
            return self.update_all(vec![moving], &1.0.into(), rate).remove(0);
        }
        let Moving { parameter, value, gradient, slots } = moving;
        let g = penalised(parameter, gradient, &value, self.weight_decay);
        if self.momentum == 0.0 {
            return value.sub(rate.times(g));
        }
        let b = match slots.take(VELOCITY) {
            Some(b) => b.mul_scalar(self.momentum).add(g.clone()),
            None => g.clone(),
        };
        slots.put(VELOCITY, b.clone());
        let direction = if self.nesterov { g.add(b.mul_scalar(self.momentum)) } else { b };
        value.sub(rate.times(direction))
    }

    fn update_all(&self, moving: Vec<Moving<'_>>, scale: &GradientScale, rate: f64) -> Vec<Tensor<1>> {
        let Self { momentum, nesterov, .. } = *self;
        let step = SgdStep { rate, momentum, nesterov };
        let taken = moving.into_iter().map(|Moving { parameter, value, gradient, slots }| {
            let weight_decay = if parameter.role.is_matrix() { self.weight_decay } else { 0.0 };
            let velocity = slots.take(VELOCITY);
            (slots, SgdParameter { value, gradient, velocity, weight_decay })
        });
        let (all_slots, parameters): (Vec<_>, Vec<_>) = taken.unzip();
        let moved = sgd_step(step, scale, parameters).into_iter().zip(all_slots).map(|((value, velocity), slots)| {
            if let Some(velocity) = velocity {
                slots.put(VELOCITY, velocity);
            }
            value
        });
        moved.collect()
    }

    fn slot_names(&self, _parameter: ParameterView<'_>) -> SlotNames {
        if self.momentum == 0.0 { SlotNames::NONE } else { SlotNames::vectors(&[VELOCITY]) }
    }
}
