//! Up, flat, down.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::{RateByTime, half_cosine};
use super::rules;

/// `[schedule.warmup-stable-decay]` (Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with
/// Scalable
/// Training Strategies", 2024; the decay's shapes after Hägele et al., "Scaling Laws and Compute-Optimal Training
/// Beyond Fixed
/// Training Durations", 2024).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WarmupStableDecayConfig {
    /// The rate of the flat part, > 0.
    pub rate: f64,
    /// The rate at the end and after it, in [0, rate]. Default `0.0`.
    #[serde(default)]
    pub final_rate: f64,
    /// The part of the updates after the warm-up, the last ones, in which the rate falls, in (0, 1]. Default `0.2`.
    #[serde(default = "default_decay_fraction")]
    pub decay_fraction: f64,
    /// How it falls: `linear`, `square-root` or `cosine`. Default `linear`.
    #[serde(default)]
    pub shape: DecayShape,
    /// Updates over which the rate rises linearly to `rate`. Default `0`.
    #[serde(default)]
    pub warmup: u64,
    /// The update at which `final-rate` is reached, above `warmup`. Default: `run.steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

/// What is left of the difference between two rates after the fraction x of a decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecayShape {
    /// 1 - x.
    #[default]
    Linear,
    /// 1 - sqrt(x).
    SquareRoot,
    /// (1 + cos(pi x)) / 2.
    Cosine,
}

fn default_decay_fraction() -> f64 {
    0.2
}

impl DecayShape {
    fn left(self, x: f64) -> f64 {
        match self {
            Self::Linear => 1.0 - x,
            Self::SquareRoot => 1.0 - x.sqrt(),
            Self::Cosine => half_cosine(1.0, 0.0, x),
        }
    }
}

impl RateByTime for WarmupStableDecayConfig {
    const IS_A_POWER: bool = false;

    fn example(rate: f64, steps: u64) -> Self {
        let (final_rate, decay_fraction) = (rate / 10.0, default_decay_fraction());
        Self { rate, final_rate, decay_fraction, shape: DecayShape::SquareRoot, warmup: steps / 20, steps: None }
    }

    /// With t from 0 after the warm-up, T updates, the last D = f T of which decay, and x = min(1, (t - (T - D)) / D):
    /// eta_t = eta for t < T - D, then eta_T + (eta - eta_T) left(x).
    fn rate_at(&self, t: u64, updates: u64) -> f64 {
        let (t, updates) = (t as f64, updates as f64);
        let decaying = self.decay_fraction * updates;
        let x = (t - (updates - decaying)) / decaying;
        self.final_rate + (self.rate - self.final_rate) * self.shape.left(x.clamp(0.0, 1.0))
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn last_step(&self) -> Option<u64> {
        self.steps
    }

    fn validate(&self, steps: u64) -> Vec<Violation> {
        let mut violations = rules::decay(self.rate, self.final_rate, self.warmup, self.steps.unwrap_or(steps));
        if !(self.decay_fraction > 0.0 && self.decay_fraction <= 1.0) {
            violations.push(
                Violation::new("decay-fraction", format!("must be above 0, up to 1, is {}", self.decay_fraction))
                    .with_help("0.2 decays over the last fifth"),
            );
        }
        violations
    }
}
