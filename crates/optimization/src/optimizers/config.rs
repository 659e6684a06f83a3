//! `[optimizer.*]`: which optimizer, with which constants.

use kiln_parameters::{PartCount, Role};
use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use kiln_kernels::EIGHT_BIT_BLOCK;

use super::eight_bits::{self, EightBitState};
use super::settings::Settings;
use super::{
    AdamConfig, AdamwConfig, LionConfig, MuonConfig, Optimizer, ParameterView, RmspropConfig, ScheduleFreeAdamwConfig,
    ScheduleFreeSgdConfig, SgdConfig, UpdateRule,
};

/// How the vectors of an optimizer's state are kept between two updates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateBits {
    /// In single precision.
    #[default]
    #[serde(rename = "f32")]
    ThirtyTwo,
    /// Those of hidden matrices, heads and adapters in 8 bits a number and a scale for each 256.
    #[serde(rename = "8-bit")]
    Eight,
}

macro_rules! optimizers {
    ($($(#[doc = $doc:literal])* $variant:ident($settings:ident) $name:literal,)*) => {
        /// The optimizer of a run: exactly one table under `[optimizer]`.
        ///
        /// # Examples
        /// ```
        /// use kiln_optimization::optimizers::{OptimizerConfig, SgdConfig};
        ///
        /// let config = OptimizerConfig::Sgd(SgdConfig { momentum: 1.5, ..SgdConfig::default() });
        /// let [violation] = &config.validate()[..] else { panic!("one rule is broken") };
        /// assert_eq!(violation.key, "sgd.momentum");
        /// assert_eq!(violation.message, "must be in [0, 1), is 1.5");
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub enum OptimizerConfig {
            $($(#[doc = $doc])* $variant($settings),)*
        }

        impl OptimizerConfig {
            fn settings(&self) -> (&'static str, &dyn Settings) {
                match self {
                    $(Self::$variant(settings) => ($name, settings),)*
                }
            }
        }
    };
}

optimizers! {
    /// AdamW, with decay decoupled from the gradient.
    Adamw(AdamwConfig) "adamw",
    /// Stochastic gradient descent, with or without momentum.
    Sgd(SgdConfig) "sgd",
    /// Adam, with decay as a penalty in the gradient.
    Adam(AdamConfig) "adam",
    /// RMSprop.
    Rmsprop(RmspropConfig) "rmsprop",
    /// Lion.
    Lion(LionConfig) "lion",
    /// Muon for hidden matrices, AdamW for the rest.
    Muon(MuonConfig) "muon",
    /// Stochastic gradient descent with averaging in place of a schedule.
    ScheduleFreeSgd(ScheduleFreeSgdConfig) "schedule-free-sgd",
    /// AdamW with averaging in place of a schedule.
    ScheduleFreeAdamw(ScheduleFreeAdamwConfig) "schedule-free-adamw",
}

impl OptimizerConfig {
    /// The optimizer of a module, with no state yet.
    pub fn build(&self) -> Optimizer {
        Optimizer::new(self.rule())
    }

    /// The same with a state of this many bits a number.
    pub fn build_with(&self, state: StateBits) -> Optimizer {
        match state {
            StateBits::ThirtyTwo => self.build(),
            StateBits::Eight => Optimizer::new(Box::new(EightBitState::new(self.rule()))),
        }
    }

    /// The rule alone, which moves single vectors too.
    pub fn rule(&self) -> Box<dyn UpdateRule> {
        self.settings().1.rule()
    }

    /// The name of the table: `adamw`, `sgd`, ...
    pub fn name(&self) -> &'static str {
        self.settings().0
    }

    /// Whether it moves each number by itself, so that it can move any vector; Muon sees matrices.
    pub fn is_elementwise(&self) -> bool {
        self.settings().1.is_elementwise()
    }

    /// Bytes of state that the parameters of a model need, whose parts are these. The few numbers that a rule keeps of
    /// a whole parameter are not counted.
    pub fn state_bytes(&self, parts: &[PartCount], bits: StateBits) -> u64 {
        let rule = self.rule();
        let bytes = |role: Role, count: u64| {
            let shape: &[usize] = if role.is_matrix() { &[1, 1] } else { &[1] };
            let slots = rule.slot_names(ParameterView { path: "", shape, role, step: 1 }).vectors.len() as u64;
            let numbers = count.saturating_mul(slots);
            match bits {
                StateBits::Eight if eight_bits::packs(role) => {
                    numbers.saturating_add(numbers.div_ceil(EIGHT_BIT_BLOCK as u64).saturating_mul(4))
                }
                _ => numbers.saturating_mul(4),
            }
        };
        let roles = parts.iter().flat_map(|part| &part.roles);
        roles.map(|(role, count)| bytes(*role, *count)).fold(0, u64::saturating_add)
    }

    /// Every broken rule, keys relative to `[optimizer]`.
    pub fn validate(&self) -> Vec<Violation> {
        let (name, settings) = self.settings();
        settings.validate().into_iter().map(|violation| violation.under(name)).collect()
    }
}
