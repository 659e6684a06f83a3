//! RMSprop.

use burn::tensor::Tensor;
use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::terms::{penalised, running_mean};
use super::{Moving, ParameterView, Rate, SlotNames, Slots, UpdateRule};

const MEAN: &str = "mean_gradient";
const SQUARE: &str = "mean_square";
const VELOCITY: &str = "velocity";

/// `[optimizer.rmsprop]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RmspropConfig {
    /// How much of the running mean of the squared gradient is kept, in [0, 1). Default `0.99`.
    pub decay: f64,
    /// Added to the root of that mean, > 0. Default `1e-8`.
    pub epsilon: f64,
    /// Momentum of the scaled gradient, in [0, 1). Default `0.0`.
    pub momentum: f64,
    /// Whether the gradient is scaled by its deviation instead of its root mean square. Default `false`.
    pub centered: bool,
    /// L2 penalty added to the gradient, on matrices only, >= 0. Default `0.0`.
    pub weight_decay: f64,
}

impl Default for RmspropConfig {
    fn default() -> Self {
        Self { decay: 0.99, epsilon: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }
}

impl Settings for RmspropConfig {
    fn rule(&self) -> Box<dyn UpdateRule> {
        Box::new(RmspropRule::new(self))
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn validate(&self) -> Vec<Violation> {
        let broken = [
            rules::below_one("decay", &[self.decay]),
            rules::positive("epsilon", self.epsilon),
            rules::below_one("momentum", &[self.momentum]),
            rules::non_negative("weight-decay", self.weight_decay),
        ];
        broken.into_iter().flatten().collect()
    }
}

/// RMSprop (Tieleman and Hinton, "Lecture 6.5 - rmsprop", COURSERA: Neural Networks for Machine Learning, 2012),
/// centered after Graves, "Generating Sequences With Recurrent Neural Networks", 2013, equations 38 to 41, with the
/// arithmetic of `torch.optim.RMSprop`.
pub struct RmspropRule {
    config: RmspropConfig,
}

impl RmspropRule {
    /// The rule with the constants of `config`.
    pub fn new(config: &RmspropConfig) -> Self {
        Self { config: config.clone() }
    }

    /// sqrt(v_t) + epsilon, centered sqrt(v_t - m_t²) + epsilon, after the means took in the gradient.
    fn denominator(&self, gradient: &Tensor<1>, slots: &mut Slots) -> Tensor<1> {
        let decay = self.config.decay;
        let v = running_mean(slots.take(SQUARE), gradient.clone().square(), decay);
        slots.put(SQUARE, v.clone());
        let spread = if self.config.centered {
            let m = running_mean(slots.take(MEAN), gradient.clone(), decay);
            slots.put(MEAN, m.clone());
            // A variance is not negative, but the rounded difference of a gradient that stands still can be.
            v.sub(m.square()).clamp_min(0.0)
        } else {
            v
        };
        spread.sqrt().add_scalar(self.config.epsilon)
    }
}

impl UpdateRule for RmspropRule {
    /// With g_t the gradient plus lambda w_{t-1} (lambda = 0 for vectors), alpha the decay, mu the momentum, eta the
    /// rate:
    ///
    /// v_t = alpha v_{t-1} + (1 - alpha) g_t², m_t = alpha m_{t-1} + (1 - alpha) g_t,
    /// d_t = sqrt(v_t) + epsilon, or centered sqrt(v_t - m_t²) + epsilon,
    /// b_t = mu b_{t-1} + g_t / d_t, w_t = w_{t-1} - eta b_t.
    fn update(&self, moving: Moving<'_>, rate: &Rate) -> Tensor<1> {
        let Moving { parameter, value, gradient, slots } = moving;
        let g = penalised(parameter, gradient, &value, self.config.weight_decay);
        let denominator = self.denominator(&g, slots);
        let scaled = g.div(denominator);
        if self.config.momentum == 0.0 {
            return value.sub(rate.times(scaled));
        }
        let b = match slots.take(VELOCITY) {
            Some(b) => b.mul_scalar(self.config.momentum).add(scaled),
            None => scaled,
        };
        slots.put(VELOCITY, b.clone());
        value.sub(rate.times(b))
    }

    fn slot_names(&self, _parameter: ParameterView<'_>) -> SlotNames {
        SlotNames::vectors(match (self.config.centered, self.config.momentum > 0.0) {
            (false, false) => &[SQUARE],
            (false, true) => &[SQUARE, VELOCITY],
            (true, false) => &[SQUARE, MEAN],
            (true, true) => &[SQUARE, MEAN, VELOCITY],
        })
        .with_never_negative(&[SQUARE])
    }
}
