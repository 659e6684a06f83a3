//! Muon for hidden matrices, AdamW for the rest.

use burn::tensor::Tensor;
use kiln_parameters::Role;
use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::terms::running_mean;
use super::{AdamRule, AdamwConfig, Moving, ParameterView, Rate, SlotNames, Slots, UpdateRule};

const MOMENTUM: &str = "momentum";

/// The polynomial of one Newton-Schulz step, a s + b s³ + c s⁵ for every singular value s (Jordan et al., 2024).
const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];

/// Newton-Schulz steps of an update.
const STEPS: usize = 5;

/// The smallest norm that a matrix is divided by.
const SMALLEST_NORM: f64 = 1e-7;

/// `[optimizer.muon]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MuonConfig {
    /// How much of the running mean of the gradient is kept, in [0, 1). Default `0.95`.
    pub momentum: f64,
    /// Whether the momentum looks ahead (Nesterov); needs `momentum > 0`. Default `true`.
    pub nesterov: bool,
    /// How the size of an update follows from the size of its matrix. Default `match-rms-adamw`.
    pub adjustment: MuonAdjustment,
    /// Decoupled weight decay per unit of rate, on all matrices, >= 0. Default `0.1`.
    pub weight_decay: f64,
    /// The rate of what AdamW moves, as a multiple of the schedule's rate, > 0. Default `1.0`.
    pub rest_rate: f64,
    /// `betas` of AdamW, each in [0, 1). Default `[0.9, 0.999]`.
    pub rest_betas: [f64; 2],
    /// `epsilon` of AdamW, > 0. Default `1e-8`.
    pub rest_epsilon: f64,
}

/// How the size of Muon's update follows from the size of its matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MuonAdjustment {
    /// sqrt(max(1, outputs / inputs)) (Jordan et al., 2024).
    Original,
    /// 0.2 sqrt(max(outputs, inputs)): the root mean square that AdamW's updates have, so that rates and decays found
    /// for AdamW can be used (Liu et al., "Muon is Scalable for LLM Training", 2025, equation 4).
    MatchRmsAdamw,
}

impl Default for MuonConfig {
    fn default() -> Self {
        Self {
            momentum: 0.95,
            nesterov: true,
            adjustment: MuonAdjustment::MatchRmsAdamw,
            weight_decay: 0.1,
            rest_rate: 1.0,
            rest_betas: [0.9, 0.999],
            rest_epsilon: 1e-8,
        }
    }
}

impl Settings for MuonConfig {
    fn rule(&self) -> Box<dyn UpdateRule> {
        Box::new(MuonRule::new(self))
    }

    fn is_elementwise(&self) -> bool {
        false
    }

    fn validate(&self) -> Vec<Violation> {
        let needs_momentum = (self.nesterov && self.momentum == 0.0).then(|| {
            Violation::new("nesterov", "needs a momentum above 0")
                .with_help("set `momentum = 0.95`, or `nesterov = false`")
        });
        let broken = [
            rules::below_one("momentum", &[self.momentum]),
            needs_momentum,
            rules::non_negative("weight-decay", self.weight_decay),
            rules::positive("rest-rate", self.rest_rate),
            rules::below_one("rest-betas", &self.rest_betas),
            rules::positive("rest-epsilon", self.rest_epsilon),
        ];
        broken.into_iter().flatten().collect()
    }
}

impl MuonAdjustment {
    /// The factor for a matrix `[inputs, outputs]`, which is how Kiln lays out the weights of y = x W. PyTorch's are
    /// `[outputs, inputs]`.
    fn factor(self, inputs: usize, outputs: usize) -> f64 {
        let (inputs, outputs) = (inputs as f64, outputs as f64);
        match self {
            Self::Original => (outputs / inputs).max(1.0).sqrt(),
            Self::MatchRmsAdamw => 0.2 * outputs.max(inputs).sqrt(),
        }
    }
}

/// Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
/// <https://kellerjordan.github.io/posts/muon/>) with decoupled decay, as `torch.optim.Muon`, for hidden matrices;
/// AdamW for embeddings, the head, biases and gains, as they advise. A fused matrix, as the gates of an LSTM, is one
/// matrix.
pub struct MuonRule {
    config: MuonConfig,
    rest: AdamRule,
}

impl MuonRule {
    /// The rule with the constants of `config`.
    pub fn new(config: &MuonConfig) -> Self {
        let rest = AdamRule::from(&AdamwConfig {
            betas: config.rest_betas,
            epsilon: config.rest_epsilon,
            weight_decay: config.weight_decay,
        });
        Self { config: config.clone(), rest }
    }

    /// B_t, or with Nesterov's look-ahead (1 - mu) G_t + mu B_t, after the mean took in the gradient.
    fn direction(&self, gradient: Tensor<1>, slots: &mut Slots) -> Tensor<1> {
        let mu = self.config.momentum;
        let b = running_mean(slots.take(MOMENTUM), gradient.clone(), mu);
        slots.put(MOMENTUM, b.clone());
        if self.config.nesterov { running_mean(Some(b), gradient, mu) } else { b }
    }
}

impl UpdateRule for MuonRule {
    /// For a hidden matrix `[in, out]` with gradient G_t, momentum mu, rate eta, decay lambda, B_0 = 0:
    ///
    /// B_t = mu B_{t-1} + (1 - mu) G_t, O_t = NS(B_t), or with Nesterov's look-ahead NS((1 - mu) G_t + mu B_t),
    /// W_t = (1 - eta lambda) W_{t-1} - eta s O_t, where s is the adjustment and NS five Newton-Schulz
    /// steps, which bring all singular values to about 1.
    ///
    /// All else as AdamW ([`AdamRule`]), with the rate times `rest-rate`.
    fn update(&self, moving: Moving<'_>, rate: &Rate) -> Tensor<1> {
        let (&[inputs, outputs], Role::HiddenMatrix) = (moving.parameter.shape, moving.parameter.role) else {
            return self.rest.update(moving, &rate.scaled(self.config.rest_rate));
        };
        let Moving { value, gradient, slots, .. } = moving;
        let direction = self.direction(gradient, slots).reshape([inputs, outputs]);
        let update = orthogonalised(direction).reshape([inputs * outputs]);
        let step = rate.scaled(self.config.adjustment.factor(inputs, outputs));
        rate.decayed(value, self.config.weight_decay).sub(step.times(update))
    }

    fn slot_names(&self, parameter: ParameterView<'_>) -> SlotNames {
        if parameter.shape.len() == 2 && parameter.role == Role::HiddenMatrix {
            SlotNames::vectors(&[MOMENTUM])
        } else {
            self.rest.slot_names(parameter)
        }
    }
}

/// The matrix with all its singular values brought to about 1: X_0 = G / |G|, then five times X = a X + (b A + c A²) X
/// with A = X Xᵀ. A tall matrix is transposed meanwhile, so that A is the smaller product.
pub(super) fn orthogonalised(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    let [a, b, c] = COEFFICIENTS;
    let wide = if rows > columns { matrix.transpose() } else { matrix };
    let norm = wide.clone().square().sum().sqrt().clamp_min(SMALLEST_NORM);
    let mut x = wide.div(norm.reshape([1, 1]));
    for _ in 0..STEPS {
        let gram = x.clone().matmul(x.clone().transpose());
        let polynomial = gram.clone().mul_scalar(b).add(gram.clone().matmul(gram).mul_scalar(c));
        x = x.clone().mul_scalar(a).add(polynomial.matmul(x));
    }
    if rows > columns { x.transpose() } else { x }
}
