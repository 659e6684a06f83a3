//! AdamW.

use burn::tensor::Tensor;

use super::{AdamConfig, Parameter, Slots, UpdateRule};

const FIRST: &str = "first_moment";
const SECOND: &str = "second_moment";

/// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, Algorithm 2), with the moments of Adam
/// (Kingma and Ba, 2015, Algorithm 1) and the arithmetic of `torch.optim.AdamW`.
pub struct AdamRule {
    betas: [f64; 2],
    epsilon: f64,
    weight_decay: f64,
}

impl AdamRule {
    /// The rule with the constants of `config`.
    pub fn new(config: &AdamConfig) -> Self {
        Self { betas: config.betas, epsilon: config.epsilon, weight_decay: config.weight_decay }
    }
}

impl UpdateRule for AdamRule {
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
        rate: f64,
    ) -> Tensor<1> {
        let [beta1, beta2] = self.betas;
        let first_term = gradient.clone().mul_scalar(1.0 - beta1);
        let second_term = gradient.square().mul_scalar(1.0 - beta2);
        let m = match slots.remove(FIRST) {
            Some(m) => m.mul_scalar(beta1).add(first_term),
            None => first_term,
        };
        let v = match slots.remove(SECOND) {
            Some(v) => v.mul_scalar(beta2).add(second_term),
            None => second_term,
        };
        let t = parameter.step as f64;
        let step_size = rate / (1.0 - beta1.powf(t));
        let root = (1.0 - beta2.powf(t)).sqrt();
        let denominator = v.clone().sqrt().div_scalar(root).add_scalar(self.epsilon);
        let move_by = m.clone().div(denominator).mul_scalar(step_size);
        slots.insert(FIRST.to_string(), m);
        slots.insert(SECOND.to_string(), v);
        let decayed = if parameter.is_matrix() && self.weight_decay != 0.0 {
            value.mul_scalar(1.0 - rate * self.weight_decay)
        } else {
            value
        };
        decayed.sub(move_by)
    }

    fn slot_names(&self) -> &'static [&'static str] {
        &[FIRST, SECOND]
    }
}
