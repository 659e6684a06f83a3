//! Stochastic gradient descent with momentum.

use burn::tensor::Tensor;

use super::{Parameter, SgdConfig, Slots, UpdateRule};

const VELOCITY: &str = "velocity";

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
    fn update(
        &self,
        parameter: Parameter<'_>,
        value: Tensor<1>,
        gradient: Tensor<1>,
        slots: &mut Slots,
        rate: f64,
    ) -> Tensor<1> {
        let g = if parameter.is_matrix() && self.weight_decay != 0.0 {
            gradient.add(value.clone().mul_scalar(self.weight_decay))
        } else {
            gradient
        };
        if self.momentum == 0.0 {
            return value.sub(g.mul_scalar(rate));
        }
        let b = match slots.remove(VELOCITY) {
            Some(b) => b.mul_scalar(self.momentum).add(g.clone()),
            None => g.clone(),
        };
        slots.insert(VELOCITY.to_string(), b.clone());
        let direction = if self.nesterov { g.add(b.mul_scalar(self.momentum)) } else { b };
        value.sub(direction.mul_scalar(rate))
    }

    fn slot_names(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &[VELOCITY] }
    }
}
