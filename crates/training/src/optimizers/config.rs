//! `[optimizer.*]`: which optimizer, with which constants.

use kiln_models::Violation;
use serde::{Deserialize, Serialize};

use super::{AdamRule, Optimizer, SgdRule};

/// The optimizer of a run: exactly one table under `[optimizer]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// AdamW, with decay decoupled from the gradient.
    Adamw(AdamConfig),
    /// Stochastic gradient descent, with or without momentum.
    Sgd(SgdConfig),
}

/// `[optimizer.adamw]`. Adam without decay is `weight-decay = 0.0`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay rates of the running means of the gradient and of its square, each in [0, 1). Default `[0.9, 0.999]`.
    pub betas: [f64; 2],
    /// Added to the root of the second moment, > 0. Default `1e-8`.
    pub epsilon: f64,
    /// Decoupled weight decay per unit of rate, on matrices only, >= 0. Default `0.01`.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.01 }
    }
}

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

impl OptimizerConfig {
    /// The optimizer, with no state yet.
    pub fn build(&self) -> Optimizer {
        match self {
            Self::Adamw(config) => Optimizer::new(AdamRule::new(config)),
            Self::Sgd(config) => Optimizer::new(SgdRule::new(config)),
        }
    }

    /// How many numbers of state one parameter needs.
    pub fn slots(&self) -> usize {
        match self {
            Self::Adamw(_) => 2,
            Self::Sgd(config) => usize::from(config.momentum > 0.0),
        }
    }

    /// Every broken rule, keys relative to `[optimizer]`.
    pub fn validate(&self) -> Vec<Violation> {
        match self {
            Self::Adamw(config) => config.validate().into_iter().map(|v| v.under("adamw")).collect(),
            Self::Sgd(config) => config.validate().into_iter().map(|v| v.under("sgd")).collect(),
        }
    }
}

impl AdamConfig {
    fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if let Some(beta) = self.betas.iter().find(|beta| !(0.0..1.0).contains(*beta)) {
            violations.push(Violation::new("betas", format!("each must be in [0, 1), is {beta}")));
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            violations.push(Violation::new("epsilon", format!("must be above 0, is {}", self.epsilon)));
        }
        violations.extend(non_negative("weight-decay", self.weight_decay));
        violations
    }
}

impl SgdConfig {
    fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if !(0.0..1.0).contains(&self.momentum) {
            violations.push(Violation::new("momentum", format!("must be in [0, 1), is {}", self.momentum)));
        }
        if self.nesterov && self.momentum == 0.0 {
            violations.push(
                Violation::new("nesterov", "needs a momentum above 0")
                    .with_help("set `momentum = 0.9`, or drop `nesterov`"),
            );
        }
        violations.extend(non_negative("weight-decay", self.weight_decay));
        violations
    }
}

fn non_negative(key: &str, value: f64) -> Option<Violation> {
    (!(value >= 0.0 && value.is_finite())).then(|| Violation::new(key, format!("must be 0 or more, is {value}")))
}
