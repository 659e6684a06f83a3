//! Adam.

use burn::tensor::Tensor;
use kiln_kernels::{AdamStep, adam_step};
use kiln_models::Violation;
use serde::{Deserialize, Serialize};

use super::config::{below_one, non_negative, positive};
use super::{Parameter, Rate, SlotNames, Slots, UpdateRule};

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
        let g = penalised(parameter, gradient, &value, self.weight_decay);
        self.moments.update(parameter.step, value, g, slots, rate)
    }

    fn slot_names(&self, _parameter: Parameter<'_>) -> SlotNames {
        Moments::SLOTS
    }
}

/// The gradient with an L2 penalty for matrices: g + lambda w.
pub(super) fn penalised(parameter: Parameter<'_>, gradient: Tensor<1>, value: &Tensor<1>, lambda: f64) -> Tensor<1> {
    if parameter.is_matrix() && lambda != 0.0 { gradient.add(value.clone().mul_scalar(lambda)) } else { gradient }
}

/// The running means of Adam, which AdamW has too.
pub(super) struct Moments {
    pub(super) betas: [f64; 2],
    pub(super) epsilon: f64,
}

impl Moments {
    pub(super) const SLOTS: SlotNames = SlotNames::vectors(&[FIRST, SECOND]);

    /// w - eta / (1 - beta1^t) m_t / (sqrt(v_t) / sqrt(1 - beta2^t) + epsilon), after both means took in the gradient.
    pub(super) fn update(
        &self,
        t: u64,
        value: Tensor<1>,
        gradient: Tensor<1>,
        slots: &mut Slots,
        rate: &Rate,
    ) -> Tensor<1> {
        self.decayed_update(t, value, gradient, slots, rate, 0.0)
    }

    /// As [`update`](Self::update), of (1 - eta decay) w.
    pub(super) fn decayed_update(
        &self,
        t: u64,
        value: Tensor<1>,
        gradient: Tensor<1>,
        slots: &mut Slots,
        rate: &Rate,
        decay: f64,
    ) -> Tensor<1> {
        let Rate::Same(eta) = *rate else {
            let value = if decay == 0.0 { value } else { rate.decayed(value, decay) };
            return value.sub(self.step(t, gradient, slots, rate));
        };
        let [beta1, beta2] = self.betas;
        let step = AdamStep {
            betas: self.betas,
            epsilon: self.epsilon,
            rate: eta / (1.0 - beta1.powf(t as f64)),
            root_correction: (1.0 - beta2.powf(t as f64)).sqrt(),
            shrink: 1.0 - eta * decay,
        };
        let moments = slots.take(FIRST).zip(slots.take(SECOND)).map(<[_; 2]>::from);
        let [value, first, second] = adam_step(step, value, gradient, moments);
        slots.put(FIRST, first);
        slots.put(SECOND, second);
        value
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
