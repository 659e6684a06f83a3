//! `[schedule.*]`: which learning-rate schedule.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::settings::{Follows, Settings};
use super::warm_up::WarmUp;
use super::{
    ConstantConfig, CosineConfig, CosineRestartsConfig, ErrorFloorConfig, ExponentialConfig, InverseSquareRootConfig,
    InverseTimeConfig, LinearConfig, NoamConfig, NonMonotoneConfig, OneCycleConfig, PiecewiseConfig, PolynomialConfig,
    ReduceOnPlateauConfig, Schedule, StepConfig, WarmupStableDecayConfig,
};

macro_rules! schedules {
    ($($(#[doc = $doc:literal])* $variant:ident($settings:ident) $name:literal,)*) => {
        /// The schedule of a run: exactly one table under `[schedule]`.
        ///
        /// # Examples
        /// ```
        /// use kiln_optimization::schedules::{CosineConfig, ScheduleConfig};
        ///
        /// let cosine = CosineConfig { rate: 1.0, final_rate: 0.0, warmup: 1, steps: None };
        /// let mut schedule = ScheduleConfig::Cosine(cosine).build(5);
        /// let rates: Vec<f64> = (0..5).map(|_| (schedule.next_rate() * 1000.0).round() / 1000.0).collect();
        /// assert_eq!(rates, [0.5, 1.0, 0.854, 0.5, 0.146]);
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub enum ScheduleConfig {
            $($(#[doc = $doc])* $variant($settings),)*
        }

        impl ScheduleConfig {
            /// One table of every schedule there is, each with the highest rate `rate` and a warm-up if it has one,
            /// for a run
            /// of `steps` updates (10 or more) within which its rate changes.
            pub fn examples(rate: f64, steps: u64) -> Vec<Self> {
                vec![$(Self::$variant(Settings::example(rate, steps)),)*]
            }

            fn settings(&self) -> (&'static str, &dyn Settings) {
                match self {
                    $(Self::$variant(settings) => ($name, settings),)*
                }
            }
        }
    };
}

schedules! {
    /// One rate.
    Constant(ConstantConfig) "constant",
    /// eta / t or eta / (1 + t / tau).
    InverseTime(InverseTimeConfig) "inverse-time",
    /// eta / sqrt(t) or eta / sqrt(1 + t / tau).
    InverseSquareRoot(InverseSquareRootConfig) "inverse-square-root",
    /// A factor at regular intervals.
    Step(StepConfig) "step",
    /// A factor every update.
    Exponential(ExponentialConfig) "exponential",
    /// A power of what is left of the run.
    Polynomial(PolynomialConfig) "polynomial",
    /// A straight line.
    Linear(LinearConfig) "linear",
    /// Half a cosine.
    Cosine(CosineConfig) "cosine",
    /// Half a cosine, again and again.
    CosineRestarts(CosineRestartsConfig) "cosine-restarts",
    /// Up and down once.
    OneCycle(OneCycleConfig) "one-cycle",
    /// The schedule of the first transformer.
    Noam(NoamConfig) "noam",
    /// Up, flat, down.
    WarmupStableDecay(WarmupStableDecayConfig) "warmup-stable-decay",
    /// Rates between given updates.
    Piecewise(PiecewiseConfig) "piecewise",
    /// Halved when the loss has come down to the error floor of the rate.
    ErrorFloor(ErrorFloorConfig) "error-floor",
    /// A factor when the loss hasn't improved for a while.
    ReduceOnPlateau(ReduceOnPlateauConfig) "reduce-on-plateau",
    /// A factor when a validation loss is worse than those of a while ago.
    NonMonotone(NonMonotoneConfig) "non-monotone",
}

impl ScheduleConfig {
    /// The schedule of a run of `steps` updates, before its first one.
    pub fn build(&self, steps: u64) -> Box<dyn Schedule> {
        let (name, settings) = self.settings();
        let (first_rate, schedule) = settings.build(steps);
        // Also without a warm-up, so that states have one form and a run can resume with another warm-up.
        Box::new(WarmUp::new(name, first_rate, settings.warmup(), schedule))
    }

    /// Its name in a configuration.
    pub fn name(&self) -> &'static str {
        self.settings().0
    }

    /// Every broken rule, keys relative to `[schedule]`, for a run of `steps` updates.
    pub fn validate(&self, steps: u64) -> Vec<Violation> {
        let (name, settings) = self.settings();
        settings.validate(steps).into_iter().map(|violation| violation.under(name)).collect()
    }

    /// What its rates follow.
    pub fn follows(&self) -> Follows {
        self.settings().1.follows()
    }

    /// Whether the rates depend on nothing but the number of the update.
    pub fn is_by_time(&self) -> bool {
        match self.follows() {
            Follows::Time | Follows::PowerOfTime => true,
            Follows::Losses => false,
        }
    }

    /// The rate if it is the same at every update: that of a constant schedule without a warm-up.
    pub fn constant_rate(&self) -> Option<f64> {
        match self {
            Self::Constant(ConstantConfig { rate, warmup: 0 }) => Some(*rate),
            _ => None,
        }
    }
}
