//! `[optimizer.*]`: which optimizer, with which constants.

use kiln_parameters::{PartCount, Role};
use kiln_settings::Violation;
pub(super) use kiln_settings::positive;
use serde::{Deserialize, Serialize};

use super::{
    AdamConfig, AdamRule, AdamwConfig, AdamwRule, LionConfig, LionRule, MuonConfig, MuonRule, Optimizer, Parameter,
    RmspropConfig, RmspropRule, ScheduleFreeAdamwConfig, ScheduleFreeAdamwRule, ScheduleFreeSgdConfig,
    ScheduleFreeSgdRule, SgdConfig, SgdRule, UpdateRule,
};

/// The optimizer of a run: exactly one table under `[optimizer]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// AdamW, with decay decoupled from the gradient.
    Adamw(AdamwConfig),
    /// Stochastic gradient descent, with or without momentum.
    Sgd(SgdConfig),
    /// Adam, with decay as a penalty in the gradient.
    Adam(AdamConfig),
    /// RMSprop.
    Rmsprop(RmspropConfig),
    /// Lion.
    Lion(LionConfig),
    /// Muon for hidden matrices, AdamW for the rest.
    Muon(MuonConfig),
    /// Stochastic gradient descent with averaging in place of a schedule.
    ScheduleFreeSgd(ScheduleFreeSgdConfig),
    /// AdamW with averaging in place of a schedule.
    ScheduleFreeAdamw(ScheduleFreeAdamwConfig),
}

impl OptimizerConfig {
    /// The optimizer of a module, with no state yet.
    pub fn build(&self) -> Optimizer {
        Optimizer::new(self.rule())
    }

    /// The rule alone, for who moves single vectors.
    pub fn rule(&self) -> Box<dyn UpdateRule> {
        match self {
            Self::Adamw(config) => Box::new(AdamwRule::new(config)),
            Self::Sgd(config) => Box::new(SgdRule::new(config)),
            Self::Adam(config) => Box::new(AdamRule::new(config)),
            Self::Rmsprop(config) => Box::new(RmspropRule::new(config)),
            Self::Lion(config) => Box::new(LionRule::new(config)),
            Self::Muon(config) => Box::new(MuonRule::new(config)),
            Self::ScheduleFreeSgd(config) => Box::new(ScheduleFreeSgdRule::new(config)),
            Self::ScheduleFreeAdamw(config) => Box::new(ScheduleFreeAdamwRule::new(config)),
        }
    }

    /// The name of the table: `adamw`, `sgd`, ...
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adamw(_) => "adamw",
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
            Self::Rmsprop(_) => "rmsprop",
            Self::Lion(_) => "lion",
            Self::Muon(_) => "muon",
            Self::ScheduleFreeSgd(_) => "schedule-free-sgd",
            Self::ScheduleFreeAdamw(_) => "schedule-free-adamw",
        }
    }

    /// Whether it moves each number by itself, so that it can move any vector; Muon sees matrices.
    pub fn is_elementwise(&self) -> bool {
        !matches!(self, Self::Muon(_))
    }

    /// How many numbers of state the parameters of a model need, whose parts are these. The few numbers that a rule keeps
    /// of a whole parameter are not counted.
    pub fn state_numbers(&self, parts: &[PartCount]) -> u64 {
        let rule = self.rule();
        let slots = |role: Role| {
            let shape: &[usize] = if role.is_matrix() { &[1, 1] } else { &[1] };
            rule.slot_names(Parameter { path: "", shape, role, step: 1 }).vectors.len() as u64
        };
        let of_part = |part: &PartCount| {
            let numbers = part.roles.iter().map(|(role, count)| count.saturating_mul(slots(*role)));
            numbers.fold(0, u64::saturating_add)
        };
        parts.iter().map(of_part).fold(0, u64::saturating_add)
    }

    /// Every broken rule, keys relative to `[optimizer]`.
    pub fn validate(&self) -> Vec<Violation> {
        let violations = match self {
            Self::Adamw(config) => config.validate(),
            Self::Sgd(config) => config.validate(),
            Self::Adam(config) => config.validate(),
            Self::Rmsprop(config) => config.validate(),
            Self::Lion(config) => config.validate(),
            Self::Muon(config) => config.validate(),
            Self::ScheduleFreeSgd(config) => config.validate(),
            Self::ScheduleFreeAdamw(config) => config.validate(),
        };
        violations.into_iter().map(|violation| violation.under(self.name())).collect()
    }
}

/// A rule broken by the first value that is not in [0, 1).
pub(super) fn below_one(key: &str, values: &[f64]) -> Option<Violation> {
    let wrong = values.iter().find(|value| !(0.0..1.0).contains(*value))?;
    let which = if values.len() > 1 { "each must" } else { "must" };
    Some(Violation::new(key, format!("{which} be in [0, 1), is {wrong}")))
}

pub(super) fn inside_unit(key: &str, value: f64) -> Option<Violation> {
    (!(value > 0.0 && value < 1.0)).then(|| Violation::new(key, format!("must be above 0 and below 1, is {value}")))
}

pub(super) fn non_negative(key: &str, value: f64) -> Option<Violation> {
    (!(value >= 0.0 && value.is_finite())).then(|| Violation::new(key, format!("must be 0 or more, is {value}")))
}
