//! Lion.

use burn::tensor::Tensor;
use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::terms::{decayed, running_mean};
use super::{Moving, ParameterView, Rate, SlotNames, UpdateRule};

const MOMENTUM: &str = "momentum";

/// `[optimizer.lion]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LionConfig {
    /// How much of the momentum goes into the direction, and how much of it is kept, each in [0, 1). Default `[0.9,
    /// 0.99]`.
    pub betas: [f64; 2],
    /// Decoupled weight decay per unit of rate, on matrices only, >= 0. Default `0.0`.
    pub weight_decay: f64,
}

impl Default for LionConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.99], weight_decay: 0.0 }
    }
}

impl Settings for LionConfig {
    fn rule(&self) -> Box<dyn UpdateRule> {
        Box::new(LionRule::new(self))
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn validate(&self) -> Vec<Violation> {
        let decay = rules::non_negative("weight-decay", self.weight_decay);
        rules::below_one("betas", &self.betas).into_iter().chain(decay).collect()
    }
}

/// Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, Algorithm 2).
///
/// Every number moves by the rate itself, up or down; the authors use rates 3 to 10 times smaller than AdamW's, and
/// decays larger by as much.
pub struct LionRule {
    betas: [f64; 2],
    weight_decay: f64,
}

impl LionRule {
    /// The rule with the constants of `config`.
    pub fn new(config: &LionConfig) -> Self {
        Self { betas: config.betas, weight_decay: config.weight_decay }
    }
}

impl UpdateRule for LionRule {
    /// For gradient g_t, rate eta and decay lambda (0 for vectors), m_0 = 0:
    ///
    /// c_t = beta1 m_{t-1} + (1 - beta1) g_t, w_t = (1 - eta lambda) w_{t-1} - eta sign(c_t),
    /// m_t = beta2 m_{t-1} + (1 - beta2) g_t.
    fn update(&self, moving: Moving<'_>, rate: &Rate) -> Tensor<1> {
        let Moving { parameter, value, gradient, slots } = moving;
        let [beta1, beta2] = self.betas;
        let m = slots.take(MOMENTUM);
        let c = running_mean(m.clone(), gradient.clone(), beta1);
        slots.put(MOMENTUM, running_mean(m, gradient, beta2));
        decayed(parameter, value, self.weight_decay, rate).sub(rate.times(c.sign()))
    }

    fn slot_names(&self, _parameter: ParameterView<'_>) -> SlotNames {
        SlotNames::vectors(&[MOMENTUM])
    }
}
