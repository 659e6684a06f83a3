//! Losses and gradient norms far above what they were lately.
//!
//! The rule is that of the spike score of OLMo 2 (Team OLMo 2025, <https://arxiv.org/abs/2501.00656>): a value seven
//! standard deviations above the mean of those before it. There the mean is that of the last 1000 values, here an
//! exponential one over about 100 steps, whose state is a few numbers, so that a resumed run finds what an
//! uninterrupted one finds.

use serde::{Deserialize, Serialize};

use super::metrics::SpikeEntry;
use crate::running_mean::RunningMean;

/// How many standard deviations above the mean.
const DEVIATIONS: f64 = 7.0;
/// Over about how many steps mean and deviation are taken.
const STEPS: f64 = 100.0;
/// Values before the first that can be a spike.
const FIRST: u64 = 30;
/// The standard deviation counts as at least this part of the mean: numbers that hardly move have no spikes either.
const LEAST_DEVIATION: f64 = 0.01;

/// What is known of the losses and the gradient norms so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpikeWatch {
    loss: Usual,
    gradient_norm: Usual,
}

impl Default for SpikeWatch {
    fn default() -> Self {
        Self { loss: Usual::new(), gradient_norm: Usual::new() }
    }
}

impl SpikeWatch {
    /// Takes the numbers of a step; gives what is a spike.
    pub fn observe(&mut self, step: u64, loss: f64, gradient_norm: f64) -> Vec<SpikeEntry> {
        let numbers = [("loss", &mut self.loss, loss), ("gradient norm", &mut self.gradient_norm, gradient_norm)];
        let spike = |(what, usual, value): (&str, &mut Usual, f64)| {
            usual.observe(value).map(|(mean, deviations)| SpikeEntry {
                step,
                spike: what.to_string(),
                value,
                usual: mean,
                deviations,
            })
        };
        numbers.into_iter().filter_map(spike).collect()
    }
}

/// Mean and spread of one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Usual {
    values: u64,
    mean: RunningMean,
    mean_square: RunningMean,
}

impl Usual {
    fn new() -> Self {
        Self { values: 0, mean: RunningMean::over(STEPS), mean_square: RunningMean::over(STEPS) }
    }

    /// Takes a value; if it is a spike, gives the mean before it and how many standard deviations it is above that.
    fn observe(&mut self, value: f64) -> Option<(f64, f64)> {
        let mean = self.mean.value().unwrap_or(value);
        let variance = self.mean_square.value().unwrap_or(value * value) - mean * mean;
        let deviation = variance.max(0.0).sqrt().max(LEAST_DEVIATION * mean.abs());
        let deviations = (value - mean) / deviation;
        let is_spike = self.values >= FIRST && deviations >= DEVIATIONS;
        // A spike moves them no further than the least one would: it must not hide the next.
        let taken = if is_spike { mean + DEVIATIONS * deviation } else { value };
        self.values += 1;
        self.mean.add(taken);
        self.mean_square.add(taken * taken);
        is_spike.then_some((mean, deviations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses that alternate between 1 and 3: mean 2 and deviation 1, but for how recent they are.
    fn settled() -> Usual {
        let mut usual = Usual::new();
        for step in 0..1000 {
            assert_eq!(usual.observe(if step % 2 == 0 { 1.0 } else { 3.0 }), None);
        }
        usual
    }

    #[test]
    fn seven_deviations_above_the_mean_are_a_spike_and_fewer_are_not() {
        assert_eq!(settled().observe(8.9), None);
        let (mean, deviations) = settled().observe(9.1).expect("a spike");
        assert!((mean - 2.0).abs() < 0.01 && (deviations - 7.1).abs() < 0.05, "{mean} {deviations}");
        // Below is none.
        assert_eq!(settled().observe(-100.0), None);
    }

    #[test]
    fn a_huge_one_does_not_hide_the_next() {
        let mut usual = settled();
        assert!(usual.observe(1e9).is_some());
        assert!(usual.observe(12.0).is_some());
    }

    #[test]
    fn a_higher_level_that_lasts_is_usual_in_the_end() {
        let mut usual = settled();
        let spikes = (0..200).filter(|_| usual.observe(20.0).is_some()).count();
        assert!(spikes > 0 && spikes < 100, "{spikes}");
        assert_eq!(usual.observe(20.0), None);
    }

    #[test]
    fn the_first_steps_and_losses_that_hardly_move_have_none() {
        let mut usual = Usual::new();
        for _ in 0..29 {
            assert_eq!(usual.observe(1.0), None);
        }
        assert_eq!(usual.observe(1e6), None);
        let mut constant = Usual::new();
        (0..100).for_each(|_| assert_eq!(constant.observe(1.0), None));
        assert_eq!(constant.observe(1.06), None);
        assert!(constant.observe(1.08).is_some());
    }

    #[test]
    fn a_restored_watch_finds_the_same() {
        let mut watch = SpikeWatch::default();
        for step in 1..=200 {
            watch.observe(step, (step as f64 * 0.7).sin() + 3.0, 1.0 / step as f64);
        }
        let mut restored: SpikeWatch = serde_json::from_str(&serde_json::to_string(&watch).unwrap()).unwrap();
        let (found, again) = (watch.observe(201, 50.0, 60.0), restored.observe(201, 50.0, 60.0));
        assert_eq!(found, again);
        let what: Vec<&str> = found.iter().map(|spike| spike.spike.as_str()).collect();
        assert_eq!(what, ["loss", "gradient norm"]);
        assert_eq!(watch, restored);
    }
}
