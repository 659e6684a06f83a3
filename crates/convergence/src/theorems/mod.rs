//! What the theory says must happen.
//!
//! F is strongly convex with constant c and its gradient Lipschitz continuous with constant L; a mini-batch of b
//! samples gives an unbiased gradient of variance sigma² / b. [`BoundChoice`] says which of several theorems a curve is
//! held against.

mod convex;
mod lecture;
mod noise_at_minimum;
mod power;
mod reshuffled;
mod sharp;

use kiln_optimization::schedules::ScheduleConfig;
use serde::{Deserialize, Serialize};

use crate::config::Sampling;
use crate::exact::{Model, Momentum};
use crate::{Constants, CurveConfig};

pub(crate) use lecture::floor_per_rate;
pub(crate) use power::power;

/// Which theorem a curve is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoundChoice {
    /// The lecture's: (1 - eta c)^t and the floor of the largest sigma².
    #[default]
    Lecture,
    /// The sharpest known for the method, which also covers rates up to 2 / L, momentum, averaging and reshuffling.
    Sharp,
    /// That whose floor comes from the noise at the minimum alone.
    NoiseAtMinimum,
    /// That which knows of no c.
    Convex,
}

/// A theorem, with what it says for a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Theorem {
    /// The full gradient at a constant rate eta <= 1 / L: F(w_t) - F* <= (1 - eta c)^t (F(w_0) - F*).
    FullGradient {
        /// 1 - eta c.
        factor: f64,
    },
    /// Mini-batches at a constant rate eta <= 1 / L (Theorem 4.6):
    /// E F(w_t) - F* <= (1 - eta c)^t (F(w_0) - F* - floor) + floor with floor = eta L sigma² / (2 c b).
    ConstantRate {
        /// 1 - eta c.
        factor: f64,
        /// eta L sigma² / (2 c b).
        floor: f64,
    },
    /// Rates beta / (gamma + t), t from 0, with beta > 1 / c and beta / gamma <= 1 / L (Theorem 4.7): E F(w_t) - F* <=
    /// nu / (gamma + t) with nu = max(beta² L sigma² / (2 b (beta c - 1)), gamma (F(w_0) - F*)).
    DecreasingRate {
        /// nu.
        numerator: f64,
        /// gamma.
        offset: f64,
    },
    /// A constant rate eta < 2 / L: E F(w_t) - F* <= rho^t (F(w_0) - F* - floor) + floor with
    /// rho = max((1 - eta c)², (1 - eta L)²) (Taylor, Hendrickx and Glineur 2018) and
    /// floor = eta² L sigma² / (2 b (1 - rho)), which is 0 without noise.
    Sharp {
        /// rho.
        factor: f64,
        /// The floor.
        floor: f64,
    },
    /// Momentum mu, on a quadratic with (1 - q)² <= eta c and eta L <= (1 + q)² for q = sqrt(mu):
    /// F(w_t) - F* <= (q^t (1 + (1 + q) t))² (F(w_0) - F*).
    HeavyBall {
        /// q.
        root: f64,
    },
    /// Nesterov's look-ahead with mu = (1 - q) / (1 + q) for q = sqrt(eta c), eta <= 1 / L, on a quadratic:
    /// F(w_t) - F* <= ((1 - q)^t (1 + q t / (1 + q)))² (F(w_0) - F*).
    NesterovQuadratic {
        /// q.
        root: f64,
    },
    /// The same on any F: F(w_t) - F* <= 2 (1 - q)^t (F(w_0) - F*) / (q + q²), w_t being where gradients are taken.
    Nesterov {
        /// q.
        root: f64,
    },
    /// The mean of w_0, ..., w_t under a constant rate eta <= 1 / L, on a quadratic with noise that is the same
    /// everywhere: E F - F* <= bias / (t + 1)² + noise / (t + 1) with bias = |H^(-1/2) (w_0 - w*)|² / (2 eta²) and
    /// noise = tr(H⁻¹ S) / (2 b), S the covariance of a single sample's gradient.
    Averaged {
        /// |H^(-1/2) (w_0 - w*)|² / (2 eta²).
        bias: f64,
        /// tr(H⁻¹ S) / (2 b).
        noise: f64,
    },
    /// Mini-batches at a constant rate eta <= 1 / (2 (L + (L_max - L) / b)): E F(w_t) - F* <=
    /// L / 2 (1 - eta c)^t |w_0 - w*|² + (1 - (1 - eta c)^t) floor with floor = eta L sigma*² / (c b).
    NoiseAtMinimum {
        /// 1 - eta c.
        factor: f64,
        /// L |w_0 - w*|² / 2.
        start: f64,
        /// eta L sigma*² / (c b).
        floor: f64,
    },
    /// Mini-batches reshuffled epoch by epoch, m updates each, at a constant rate: at the end of epoch k
    /// E F - F* <= L / 2 factor^k |w_0 - w*|² + (1 - factor^k) floor. The factor is (1 - eta mu)^m where each sample's
    /// loss is strongly convex with constant mu, or 1 - eta c m where m eta L_max <= 0.618; the floor is of the order
    /// eta².
    Reshuffled {
        /// Of an epoch.
        factor: f64,
        /// L |w_0 - w*|² / 2.
        start: f64,
        /// The floor.
        floor: f64,
        /// m.
        epoch: u64,
    },
    /// The full gradient with Polyak's step: F(w_t) - F* <= L / 2 (1 - 3 c / (4 L))^t |w_0 - w*|².
    PolyakStep {
        /// 1 - 3 c / (4 L).
        factor: f64,
        /// L |w_0 - w*|² / 2.
        start: f64,
    },
    /// The full gradient at a constant rate eta <= 1 / L on any convex F: F(w_t) - F* <= |w_0 - w*|² / (2 eta t), and
    /// never more than at the start.
    Convex {
        /// |w_0 - w*|² / (2 eta).
        numerator: f64,
    },
    /// The same with Nesterov's growing momentum: F(w_t) - F* <= 2 |w_0 - w*|² / (eta (t + 1)²).
    Accelerated {
        /// 2 |w_0 - w*|² / eta.
        numerator: f64,
    },
}

/// A theorem for a curve that starts at some error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// The theorem.
    pub theorem: Theorem,
    /// F(w_0) - F*.
    pub start: f64,
}

/// What theorems are given.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The problem's constants; `None` where F is not convex.
    pub constants: Option<&'a Constants>,
    /// sigma².
    pub variance: f64,
    /// F(w_0) - F*.
    pub start: f64,
    /// What expectations are computed from, where they can be.
    pub model: Option<Model<'a>>,
}

impl Bound {
    /// The bound of `curve` by the theorem of `choice`, or why it is silent.
    ///
    /// # Errors
    /// The reason, as a clause.
    pub fn of(curve: &CurveConfig, choice: BoundChoice, known: &Known<'_>) -> Result<Self, String> {
        let constants = known.constants.ok_or("F is not convex")?;
        let is_reshuffled = curve.batch.is_some() && curve.sampling == Sampling::Reshuffled;
        let theorem = match choice {
            BoundChoice::Sharp if is_reshuffled => reshuffled::theorem(curve, constants),
            _ if is_reshuffled => {
                Err("the theorem is about samples drawn with replacement; `bound = \"sharp\"` has one for these".into())
            }
            BoundChoice::Lecture => lecture::theorem(curve, constants, known),
            BoundChoice::Sharp => sharp::theorem(curve, constants, known),
            BoundChoice::NoiseAtMinimum => noise_at_minimum::theorem(curve, constants),
            BoundChoice::Convex => convex::theorem(curve, constants),
        };
        let bound = Self { theorem: theorem?, start: known.start };
        // With a time constant or an average of rates that are out of all proportion.
        let is_finite = bound.at(0).is_finite() && bound.at(1).is_finite();
        if is_finite { Ok(bound) } else { Err("its numbers leave the range of double precision".into()) }
    }

    /// The floor of the theorem, if it has one.
    pub fn floor(&self) -> Option<f64> {
        match self.theorem {
            Theorem::ConstantRate { floor, .. }
            | Theorem::NoiseAtMinimum { floor, .. }
            | Theorem::Reshuffled { floor, .. } => Some(floor),
            Theorem::Sharp { floor, .. } => Some(floor).filter(|floor| *floor > 0.0),
            _ => None,
        }
    }

    /// Whether sigma² is in it, which may be an estimate.
    pub fn takes_variance(&self) -> bool {
        matches!(self.theorem, Theorem::ConstantRate { .. } | Theorem::DecreasingRate { .. } | Theorem::Sharp { .. })
    }

    /// Whether it says something of the error after t updates.
    pub fn covers(&self, t: u64) -> bool {
        match self.theorem {
            Theorem::Reshuffled { epoch, .. } => t.is_multiple_of(epoch),
            _ => true,
        }
    }

    /// The bound after t updates; where it covers others alone, that of the last of those.
    pub fn at(&self, t: u64) -> f64 {
        let kept = |factor: f64| factor.powi(i32::try_from(t).unwrap_or(i32::MAX));
        let updates = t as f64;
        match self.theorem {
            Theorem::FullGradient { factor } => kept(factor) * self.start,
            // The same, without the difference of two numbers of which one may be far larger.
            Theorem::ConstantRate { factor, floor } | Theorem::Sharp { factor, floor } => {
                kept(factor) * self.start + (1.0 - kept(factor)) * floor
            }
            Theorem::DecreasingRate { numerator, offset } => numerator / (offset + updates),
            Theorem::HeavyBall { root } => (kept(root) * (1.0 + (1.0 + root) * updates)).powi(2) * self.start,
            Theorem::NesterovQuadratic { root } => {
                (kept(1.0 - root) * (1.0 + root * updates / (1.0 + root))).powi(2) * self.start
            }
            Theorem::Nesterov { root } => 2.0 * kept(1.0 - root) * self.start / (root + root * root),
            Theorem::Averaged { bias, noise } => (bias / (updates + 1.0) + noise) / (updates + 1.0),
            Theorem::NoiseAtMinimum { factor, start, floor } => kept(factor) * start + (1.0 - kept(factor)) * floor,
            Theorem::Reshuffled { factor, start, floor, epoch } => {
                let kept = factor.powi(i32::try_from(t / epoch).unwrap_or(i32::MAX));
                kept * start + (1.0 - kept) * floor
            }
            Theorem::PolyakStep { factor, start } => kept(factor) * start,
            Theorem::Accelerated { numerator } => numerator / (updates + 1.0).powi(2),
            Theorem::Convex { numerator } => self.start.min(numerator / updates),
        }
    }
}

/// Whether a curve has what most theorems are about: the gradient times the rate, and nothing else.
pub(crate) fn is_plain(curve: &CurveConfig) -> bool {
    Momentum::of(curve).is_some_and(|momentum| momentum.momentum == 0.0)
}

/// The rate of a schedule, if it is one and the same at every update.
fn constant_rate(schedule: &ScheduleConfig) -> Result<f64, String> {
    match schedule.constant_rate() {
        Some(rate) => Ok(rate),
        None if matches!(schedule, ScheduleConfig::Constant(_)) => Err("the theorem knows no warm-up".into()),
        None => Err(format!("there is no theorem for the schedule `{}`", schedule.name())),
    }
}

/// The rate of a curve that is plain gradient descent at one rate and takes its last weights.
fn plain_rate(curve: &CurveConfig) -> Result<f64, String> {
    if curve.polyak_step {
        return Err("the theorem knows no Polyak step".into());
    }
    if !is_plain(curve) {
        return Err("the theorem is about plain gradient descent".into());
    }
    if curve.average {
        return Err("the theorem is about the last weights, not about the mean of all".into());
    }
    constant_rate(&curve.schedule)
}
