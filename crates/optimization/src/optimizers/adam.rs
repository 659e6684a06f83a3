//! Adam.

use burn::tensor::Tensor;
use kiln_kernels::{AdamParameter, AdamStep, adam_step};
use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::config::{below_one, non_negative, positive};
use super::{Moving, Parameter, Rate, SlotNames, Slots, UpdateRule};

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

impl Default for AdamConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl AdamConfig {
    pub(super) fn validate(&self) -> Vec<Violation> {
        let decay = non_negative("weight-decay", self.weight_decay);
        below_one("betas", &self.betas).into_iter().chain(positive("epsilon", self.epsilon)).chain(decay).collect()
    }
}

/// Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, Algorithm 1) with the arithmetic and the L2
/// penalty of `torch.optim.Adam`.
///
/// The penalty goes through the moments: a weight with a large gradient is decayed less. With decay 0 this is
/// [`AdamwRule`](super::AdamwRule) with decay 0.
pub struct AdamRule {
    moments: Moments,
    weight_decay: f64,
}

impl AdamRule {
    /// The rule with the constants of `config`.
    pub fn new(config: &AdamConfig) -> Self {
        let moments = Moments { betas: config.betas, epsilon: config.epsilon };
        Self { moments, weight_decay: config.weight_decay }
    }
}

impl UpdateRule for AdamRule {
    /// With g_t the gradient plus lambda w_{t-1} (lambda = 0 for vectors), and eta the rate:
    ///
    /// m_t = beta1 m_{t-1} + (1 - beta1) g_t, v_t = beta2 v_{t-1} + (1 - beta2) g_t²,
    /// w_t = w_{t-1} - eta / (1 - beta1^t) m_t / (sqrt(v_t) / sqrt(1 - beta2^t) + epsilon).
    fn update(
        &self,
        parameter: Parameter<'_>,
        value: Tensor<1>,
        gradient: Tensor<1>,
        slots: &mut Slots,
        rate: &Rate,
    ) -> Tensor<1> {
        self.moments.update(Moving { parameter, value, gradient, slots }, rate, Decay::Penalty(self.weight_decay))
    }

    fn update_all(&self, moving: Vec<Moving<'_>>, scale: f64, rate: f64) -> Vec<Tensor<1>> {
        self.moments.update_all(moving, scale, rate, Decay::Penalty(self.weight_decay))
    }

    fn slot_names(&self, _parameter: Parameter<'_>) -> SlotNames {
        Moments::SLOTS
    }
}

/// The gradient with an L2 penalty for matrices: g + lambda w.
pub(super) fn penalised(parameter: Parameter<'_>, gradient: Tensor<1>, value: &Tensor<1>, lambda: f64) -> Tensor<1> {
    if parameter.role.is_matrix() && lambda != 0.0 { gradient.add(value.clone().mul_scalar(lambda)) } else { gradient }
}

/// Decoupled weight decay of matrices, (1 - eta lambda) w.
pub(super) fn decayed(parameter: Parameter<'_>, value: Tensor<1>, lambda: f64, rate: &Rate) -> Tensor<1> {
    if parameter.role.is_matrix() && lambda != 0.0 { rate.decayed(value, lambda) } else { value }
}

/// How weights decay; matrices only.
#[derive(Debug, Clone, Copy)]
pub(super) enum Decay {
    /// By a penalty in the gradient, g + lambda w.
    Penalty(f64),
    /// Beside it, (1 - eta lambda) w.
    Decoupled(f64),
}

/// The running means of Adam, which AdamW has too.
pub(super) struct Moments {
    pub(super) betas: [f64; 2],
    pub(super) epsilon: f64,
}

impl Moments {
    pub(super) const SLOTS: SlotNames = SlotNames::vectors(&[FIRST, SECOND]);

    /// w - eta / (1 - beta1^t) m_t / (sqrt(v_t) / sqrt(1 - beta2^t) + epsilon) of the decayed w, after both means took in the
    /// gradient, which may have a penalty.
    pub(super) fn update(&self, moving: Moving<'_>, rate: &Rate, decay: Decay) -> Tensor<1> {
        if let Rate::Same(eta) = *rate {
            return self.update_all(vec![moving], 1.0, eta, decay).remove(0);
        }
        let Moving { parameter, value, gradient, slots } = moving;
        let (value, gradient) = match decay {
            Decay::Penalty(lambda) => (value.clone(), penalised(parameter, gradient, &value, lambda)),
            Decay::Decoupled(lambda) => (decayed(parameter, value, lambda, rate), gradient),
        };
        value.sub(self.step(parameter.step, gradient, slots, rate))
    }

    /// As [`update`](Self::update) of many parameters in one pass, with gradients that are multiplied by `scale` first.
    pub(super) fn update_all(&self, moving: Vec<Moving<'_>>, scale: f64, rate: f64, decay: Decay) -> Vec<Tensor<1>> {
        let Some(t) = moving.first().map(|moving| moving.parameter.step as f64) else { return Vec::new() };
        let [beta1, beta2] = self.betas;
        let step = AdamStep {
            betas: self.betas,
            epsilon: self.epsilon,
            rate: rate / (1.0 - beta1.powf(t)),
            root_correction: (1.0 - beta2.powf(t)).sqrt(),
            gradient_scale: scale,
        };
        let taken = moving.into_iter().map(|Moving { parameter, value, gradient, slots }| {
            let moments = slots.take(FIRST).zip(slots.take(SECOND)).map(<[_; 2]>::from);
            let [shrink, penalty] = match decay {
                _ if !parameter.role.is_matrix() => [1.0, 0.0],
                Decay::Penalty(lambda) => [1.0, lambda],
                Decay::Decoupled(lambda) => [1.0 - rate * lambda, 0.0],
            };
            (slots, AdamParameter { value, gradient, moments, shrink, penalty })
        });
        let (all_slots, parameters): (Vec<_>, Vec<_>) = taken.unzip();
        let moved = adam_step(step, parameters).into_iter().zip(all_slots).map(|([value, first, second], slots)| {
            slots.put(FIRST, first);
            slots.put(SECOND, second);
            value
        });
        moved.collect()
    }

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

/// beta mean + (1 - beta) next, from a mean of 0 where there is none.
pub(super) fn running_mean(mean: Option<Tensor<1>>, next: Tensor<1>, beta: f64) -> Tensor<1> {
    let term = next.mul_scalar(1.0 - beta);
    match mean {
        Some(mean) => mean.mul_scalar(beta).add(term),
        None => term,
    }
}
