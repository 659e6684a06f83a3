//! Kiln's own operation and the same composed of Burn's, timed in turns.

use std::time::Duration;

use burn::tensor::Device;
use serde::Serialize;

use super::limits::Limits;
use super::meters::{Work, calls_in, seconds_a_call};
use super::speed::{Cost, Speed};
use super::statistics::median;

/// How long one side takes in a round, about; one call at least.
const ROUND: Duration = Duration::from_millis(40);

/// Both sides of an operation, of which one may be missing.
pub(super) struct Contest {
    fused: Option<Side>,
    reference: Option<Side>,
}

/// One of the two.
struct Side {
    work: Work<'static>,
    calls: u32,
    /// Seconds a call took, by rounds.
    seconds: Vec<f64>,
}

/// How fast the sides were.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// Kiln's own.
    pub(super) fused: Option<Speed>,
    /// The same composed of Burn's operations.
    pub(super) reference: Option<Speed>,
    /// If there are both.
    #[serde(flatten)]
    pub(super) ratio: Option<Ratio>,
}

/// Time of the reference over that of the fused operation in the same round.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Ratio {
    /// The median of the rounds.
    #[serde(rename = "ratio")]
    pub(super) median: f64,
    #[serde(rename = "least_ratio")]
    pub(super) least: f64,
    #[serde(rename = "most_ratio")]
    pub(super) most: f64,
}

impl Contest {
    /// Warms both sides up.
    pub(super) fn new(
        device: &Device,
        fused: Option<Work<'static>>,
        reference: Option<Work<'static>>,
    ) -> anyhow::Result<Self> {
        let side = |work: Option<Work<'static>>| work.map(|work| Side::new(device, work)).transpose();
        Ok(Self { fused: side(fused)?, reference: side(reference)? })
    }

    /// Each side once.
    pub(super) fn round(&mut self, device: &Device) -> anyhow::Result<()> {
        self.fused.iter_mut().chain(&mut self.reference).try_for_each(|side| side.round(device))
    }

    /// What the rounds say about operations of this cost; there was at least one round.
    pub(super) fn outcome(&self, cost: Cost, limits: Option<&Limits>) -> Outcome {
        let speed = |side: &Side| Speed::new(&side.seconds, cost, limits);
        let sides = self.fused.as_ref().zip(self.reference.as_ref());
        Outcome {
            fused: self.fused.as_ref().map(speed),
            reference: self.reference.as_ref().map(speed),
            ratio: sides.map(|(fused, reference)| Ratio::new(&fused.seconds, &reference.seconds)),
        }
    }
}

impl Side {
    fn new(device: &Device, mut work: Work<'static>) -> anyhow::Result<Self> {
        let calls = calls_in(device, ROUND, &mut work)?;
        Ok(Self { work, calls, seconds: Vec::new() })
    }

    fn round(&mut self, device: &Device) -> anyhow::Result<()> {
        self.seconds.push(seconds_a_call(device, self.calls, &mut self.work)?);
        Ok(())
    }
}

impl Ratio {
    fn new(fused: &[f64], reference: &[f64]) -> Self {
        let ratios: Vec<f64> = reference.iter().zip(fused).map(|(reference, fused)| reference / fused).collect();
        Self {
            median: median(&ratios),
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            most: ratios.iter().copied().fold(0.0, f64::max),
        }
    }

    /// For a cell of a table.
    pub(super) fn words(&self) -> String {
        format!("{:.2} ({:.2} to {:.2})", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_single_rounds() {
        // The medians' own ratio would be 3 / 2.
        let ratio = Ratio::new(&[1.0, 2.0, 4.0], &[3.0, 5.0, 2.0]);
        assert_eq!((ratio.median, ratio.least, ratio.most), (2.5, 0.5, 3.0));
        assert_eq!(ratio.words(), "2.50 (0.50 to 3.00)");
    }
}
