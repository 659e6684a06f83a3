//! AdamW.

use burn::tensor::Tensor;
use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::adam::{Decay, Moments};
use super::config::{below_one, non_negative, positive};
use super::{Moving, Parameter, Rate, SlotNames, Slots, UpdateRule};

/// `[optimizer.adamw]`. Adam without decay is `weight-decay = 0.0`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdamwConfig {
    /// Decay rates of the running means of the gradient and of its square, each in [0, 1). Default `[0.9, 0.999]`.
    pub betas: [f64; 2],
    /// Added to the root of the second moment, > 0. Default `1e-8`.
    pub epsilon: f64,
    /// Decoupled weight decay per unit of rate, on matrices only, >= 0. Default `0.01`.
    pub weight_decay: f64,
}

impl Default for AdamwConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.01 }
    }
}

impl AdamwConfig {
    pub(super) fn validate(&self) -> Vec<Violation> {
        let decay = non_negative("weight-decay", self.weight_decay);
        below_one("betas", &self.betas).into_iter().chain(positive("epsilon", self.epsilon)).chain(decay).collect()
    }
}

/// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, Algorithm 2), with the moments of Adam
/// (Kingma and Ba, 2015, Algorithm 1) and the arithmetic of `torch.optim.AdamW`.
pub struct AdamwRule {
    moments: Moments,
    weight_decay: f64,
}

impl AdamwRule {
    /// The rule with the constants of `config`.
    pub fn new(config: &AdamwConfig) -> Self {
        let moments = Moments { betas: config.betas, epsilon: config.epsilon };
        Self { moments, weight_decay: config.weight_decay }
    }
}

impl UpdateRule for AdamwRule {
    /// For gradient g_t, rate eta and decay lambda (0 for vectors):
    ///
    /// m_t = beta1 m_{t-1} + (1 - beta1) g_t, v_t = beta2 v_{t-1} + (1 - beta2) g_t²,
    /// w_t = (1 - eta lambda) w_{t-1} - eta / (1 - beta1^t) m_t / (sqrt(v_t) / sqrt(1 - beta2^t) + epsilon).
    fn update(
        &self,
        parameter: Parameter<'_>,
        value: Tensor<1>,
        gradient: Tensor<1>,
        slots: &mut Slots,
        rate: &Rate,
    ) -> Tensor<1> {
        self.moments.update(Moving { parameter, value, gradient, slots }, rate, Decay::Decoupled(self.weight_decay))
    }

    fn update_all(&self, moving: Vec<Moving<'_>>, scale: f64, rate: f64) -> Vec<Tensor<1>> {
        self.moments.update_all(moving, scale, rate, Decay::Decoupled(self.weight_decay))
    }

    fn slot_names(&self, _parameter: Parameter<'_>) -> SlotNames {
        Moments::SLOTS
    }
}
