//! Adam and AdamW: one rule, with the decay inside the gradient or beside it.

use burn::tensor::Tensor;
use kiln_kernels::{AdamParameter, AdamStep, GradientScale, adam_step};
use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::terms::{Decay, decayed, penalised, running_mean};
use super::{Moving, ParameterView, Rate, SlotNames, Slots, UpdateRule};

const FIRST: &str = "first_moment";
const SECOND: &str = "second_moment";

/// `[optimizer.adam]`: Adam, whose decay is a penalty in the gradient. AdamW, whose decay is not, is another optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay rates of the running means of the gradient and of its square, each in [0, 1). Default `[0.9, 0.999]`.
    pub betas: [f64; 2],
    /// Added to the root of the second moment, > 0. Default `1e-8`.
    pub epsilon: f64,
    /// L2 penalty added to the gradient before its moments are taken, on matrices only, >= 0. Default `0.0`.
    pub weight_decay: f64,
}

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

impl Default for AdamConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl Default for AdamwConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.01 }
    }
}

impl Settings for AdamConfig {
    fn rule(&self) -> Box<dyn UpdateRule> {
        Box::new(AdamRule::from(self))
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn validate(&self) -> Vec<Violation> {
        violations(&self.betas, self.epsilon, self.weight_decay)
    }
}

impl Settings for AdamwConfig {
    fn rule(&self) -> Box<dyn UpdateRule> {
        Box::new(AdamRule::from(self))
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn validate(&self) -> Vec<Violation> {
        violations(&self.betas, self.epsilon, self.weight_decay)
    }
}

fn violations(betas: &[f64], epsilon: f64, weight_decay: f64) -> Vec<Violation> {
    let broken = [
        rules::below_one("betas", betas),
        rules::positive("epsilon", epsilon),
        rules::non_negative("weight-decay", weight_decay),
    ];
    broken.into_iter().flatten().collect()
}

/// Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, Algorithm 1) with one of two decays, and
/// the arithmetic of `torch.optim.Adam` and `torch.optim.AdamW`.
///
/// Adam's penalty goes through the moments: a weight with a large gradient is decayed less. AdamW (Loshchilov and
/// Hutter, "Decoupled Weight Decay Regularization", 2019, Algorithm 2) decays beside them. Without decay the two are
/// the same.
pub struct AdamRule {
    betas: [f64; 2],
    epsilon: f64,
    decay: Decay,
}

impl From<&AdamConfig> for AdamRule {
    fn from(config: &AdamConfig) -> Self {
        Self { betas: config.betas, epsilon: config.epsilon, decay: Decay::Penalty(config.weight_decay) }
    }
}

impl From<&AdamwConfig> for AdamRule {
    fn from(config: &AdamwConfig) -> Self {
        Self { betas: config.betas, epsilon: config.epsilon, decay: Decay::Decoupled(config.weight_decay) }
    }
}

impl UpdateRule for AdamRule {
    /// With eta the rate, lambda the decay (0 for vectors), and g_t the gradient, plus lambda w_{t-1} if the decay is a
    /// penalty:
    ///
    /// m_t = beta1 m_{t-1} + (1 - beta1) g_t, v_t = beta2 v_{t-1} + (1 - beta2) g_t²,
    /// w_t = s w_{t-1} - eta / (1 - beta1^t) m_t / (sqrt(v_t) / sqrt(1 - beta2^t) + epsilon),
    ///
    /// where s is 1 - eta lambda if the decay is decoupled, else 1.
    fn update(&self, moving: Moving<'_>, rate: &Rate) -> Tensor<1> {
        if let Rate::Same(eta) = *rate {
            return self.update_all(vec![moving], &1.0.into(), eta).remove(0);
        }
        let Moving { parameter, value, gradient, slots } = moving;
        let (value, gradient) = match self.decay {
            Decay::Penalty(lambda) => (value.clone(), penalised(parameter, gradient, &value, lambda)),
            Decay::Decoupled(lambda) => (decayed(parameter, value, lambda, rate), gradient),
        };
        value.sub(self.step(parameter.step, gradient, slots, rate))
    }

    fn update_all(&self, moving: Vec<Moving<'_>>, scale: &GradientScale, rate: f64) -> Vec<Tensor<1>> {
        let Some(t) = moving.first().map(|moving| moving.parameter.step as f64) else { return Vec::new() };
        let [beta1, beta2] = self.betas;
        let step = AdamStep {
            betas: self.betas,
            epsilon: self.epsilon,
            rate: rate / (1.0 - beta1.powf(t)),
            root_correction: (1.0 - beta2.powf(t)).sqrt(),
        };
        let taken = moving.into_iter().map(|Moving { parameter, value, gradient, slots }| {
            let moments = slots.take(FIRST).zip(slots.take(SECOND)).map(<[_; 2]>::from);
            let [shrink, penalty] = match self.decay {
                _ if !parameter.role.is_matrix() => [1.0, 0.0],
                Decay::Penalty(lambda) => [1.0, lambda],
                Decay::Decoupled(lambda) => [1.0 - rate * lambda, 0.0],
            };
            (slots, AdamParameter { value, gradient, moments, shrink, penalty })
        });
        let (all_slots, parameters): (Vec<_>, Vec<_>) = taken.unzip();
        let moved =
            adam_step(step, scale, parameters).into_iter().zip(all_slots).map(|([value, first, second], slots)| {
                slots.put(FIRST, first);
                slots.put(SECOND, second);
                value
            });
        moved.collect()
    }

    fn slot_names(&self, _parameter: ParameterView<'_>) -> SlotNames {
        SlotNames::vectors(&[FIRST, SECOND]).with_never_negative(&[SECOND])
    }
}

impl AdamRule {
    /// With one rate for each element, what the value moves by.
    fn step(&self, t: u64, gradient: Tensor<1>, slots: &mut Slots, rate: &Rate) -> Tensor<1> {
        let [beta1, beta2] = self.betas;
        let t = t as f64;
        let v = running_mean(slots.take(SECOND), gradient.clone().square(), beta2);
        let m = running_mean(slots.take(FIRST), gradient, beta1);
        let root = (1.0 - beta2.powf(t)).sqrt();
        let denominator = v.clone().sqrt().div_scalar(root).add_scalar(self.epsilon);
        let direction = m.clone().div(denominator);
        slots.put(FIRST, m);
        slots.put(SECOND, v);
        rate.over(1.0 - beta1.powf(t)).times(direction)
    }
}
