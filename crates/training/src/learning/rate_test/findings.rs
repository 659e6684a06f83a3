//! Losses at growing rates to a rate to train with.

use serde::Serialize;

use super::rule::EARLY;
use super::{RateRange, RateRule};

/// The running mean of the loss looks back over a part of the range, one of this many, however many steps that is: its
/// lag shifts what is read off it by a known part of the range, 0.3 decades in six.
const PARTS: f64 = 20.0;

/// The loss after an update with some rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RatePoint {
    /// Number of the update, from 1.
    pub step: u64,
    /// Its rate.
    pub rate: f64,
    /// The training loss of the next batch, nats per token.
    pub loss: f64,
    /// The running mean of the losses so far, corrected for its start.
    pub smoothed: f64,
}

/// Why a range test ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum RateStop {
    /// The smoothed loss was above its lowest value by more than half of the first loss.
    Risen {
        /// After an update with this rate.
        rate: f64,
    },
    /// A loss or a gradient was not finite.
    NotFinite {
        /// After an update with this rate; `None` before the first one.
        rate: Option<f64>,
    },
    /// All rates were tried.
    LastRate,
    /// It was asked to stop.
    Interrupted,
}

impl RateStop {
    /// The rate at which the training diverged, if it did.
    pub fn diverged_at(&self) -> Option<f64> {
        match self {
            Self::Risen { rate } => Some(*rate),
            Self::NotFinite { rate } => *rate,
            Self::LastRate | Self::Interrupted => None,
        }
    }
}

/// What a range test found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateFindings {
    /// The loss before the first update, nats per token.
    pub first_loss: Option<f64>,
    /// One point for each rate tried, finite losses only.
    pub points: Vec<RatePoint>,
    /// Why it ended.
    pub stop: RateStop,
    /// The rate at which the smoothed loss falls most steeply over the logarithm of the rate, before its lowest point.
    pub steepest: Option<f64>,
    /// The rate at which the smoothed loss is lowest.
    pub lowest: Option<f64>,
    /// The rate at which the smoothed loss has fallen by 15 % of all that it falls.
    pub early: Option<f64>,
    /// The rate to train with, by [`RateRule`]. `None` if the loss never fell, if it was still falling at the last
    /// rate, or if the first rates were too high to tell.
    pub suggestion: Option<f64>,
}

/// Takes the losses of a range test one by one, and says when it is over.
pub struct Recorder {
    range: RateRange,
    first_loss: Option<f64>,
    points: Vec<RatePoint>,
    /// How much of the running mean is kept at each step; the mean before correction; decay^n.
    decay: f64,
    mean: f64,
    left: f64,
    lowest: f64,
    stop: Option<RateStop>,
    rule: RateRule,
}

impl Recorder {
    /// Before the first loss.
    pub fn new(range: RateRange, rule: RateRule) -> Self {
        Self {
            range,
            rule,
            first_loss: None,
            points: Vec::new(),
            decay: 1.0 - PARTS / range.steps as f64,
            mean: 0.0,
            left: 1.0,
            lowest: f64::INFINITY,
            stop: None,
        }
    }

    /// Takes the next loss, the first being that before any update; returns whether there is more to try.
    ///
    /// With L_0 the first loss, n rates and d = 1 - 20 / n: s_k = d s_{k-1} + (1 - d) L_k from 0 and
    /// smoothed_k = s_k / (1 - d^(k+1)). It is over when smoothed_k > min_j smoothed_j + L_0 / 2. Half of L_0 is far
    /// more than the scatter of a batch, and a loss that has risen by that much does not fall again at a rate that
    /// keeps growing.
    pub fn add(&mut self, loss: f64) -> bool {
        let step = self.points.len() as u64 + u64::from(self.first_loss.is_some());
        let rate = self.range.rate(step);
        if !loss.is_finite() {
            self.stop = Some(RateStop::NotFinite { rate: (step > 0).then_some(rate) });
            return false;
        }
        self.mean = self.decay * self.mean + (1.0 - self.decay) * loss;
        self.left *= self.decay;
        let smoothed = self.mean / (1.0 - self.left);
        self.lowest = self.lowest.min(smoothed);
        let Some(first) = self.first_loss else {
            self.first_loss = Some(loss);
            return true;
        };
        self.points.push(RatePoint { step, rate, loss, smoothed });
        if smoothed > self.lowest + first / 2.0 {
            self.stop = Some(RateStop::Risen { rate });
        } else if step >= self.range.steps {
            self.stop = Some(RateStop::LastRate);
        }
        self.stop.is_none()
    }

    /// The newest point.
    pub fn last(&self) -> Option<&RatePoint> {
        self.points.last()
    }

    /// What was found.
    pub fn finish(self) -> RateFindings {
        let lowest = self.lowest_point();
        let steepest = lowest.and_then(|lowest| self.steepest_before(lowest));
        let rate = |index: Option<usize>| index.map(|index| self.points[index].rate);
        let early = lowest.and_then(|lowest| self.early_point(lowest));
        let has_risen = lowest.is_some_and(|lowest| lowest + 1 < self.points.len());
        let diverged = self.stop.and_then(|stop| stop.diverged_at()).unwrap_or(self.range.to());
        let way = early.filter(|_| has_risen).and_then(|early| self.way_to(early));
        let suggestion = way.map(|way| self.rule.rate(way, diverged));
        RateFindings {
            steepest: rate(steepest),
            lowest: rate(lowest),
            early: rate(early),
            suggestion,
            first_loss: self.first_loss,
            stop: self.stop.unwrap_or(RateStop::Interrupted),
            points: self.points,
        }
    }

    /// Where the smoothed loss is lowest, if that is below the first loss.
    fn lowest_point(&self) -> Option<usize> {
        let smoothed = |index: &usize| self.points[*index].smoothed;
        let lowest = (0..self.points.len()).min_by(|a, b| smoothed(a).total_cmp(&smoothed(b)))?;
        (self.points[lowest].smoothed < self.first_loss?).then_some(lowest)
    }

    /// Where the smoothed loss has first fallen by the early part of what it falls up to `lowest`.
    fn early_point(&self, lowest: usize) -> Option<usize> {
        let first = self.first_loss?;
        let early = first - EARLY * (first - self.points[lowest].smoothed);
        self.points.iter().position(|point| point.smoothed <= early)
    }

    /// What all updates up to a point went together, taken for one update. `None` where the first update did it all.
    fn way_to(&self, early: usize) -> Option<f64> {
        let way: f64 = self.points[..=early].iter().map(|point| point.rate).sum();
        (early > 0).then_some(way)
    }

    /// Where the line through the smoothed losses around a point (a twentieth of all steps on each side, at least one)
    /// falls most steeply, up to the lowest point. The rates are evenly spaced in their logarithm, so the steps stand
    /// for it.
    fn steepest_before(&self, lowest: usize) -> Option<usize> {
        let reach = (self.range.steps as usize / 20).max(1);
        let slope = |centre: usize| {
            let weighted = (1..=reach).map(|distance| {
                let (behind, ahead) = (&self.points[centre - distance], &self.points[centre + distance]);
                distance as f64 * (ahead.smoothed - behind.smoothed)
            });
            weighted.sum::<f64>()
        };
        let last = lowest.min(self.points.len().saturating_sub(reach + 1));
        (reach..=last)
            .map(|centre| (centre, slope(centre)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(centre, _)| centre)
    }
}
