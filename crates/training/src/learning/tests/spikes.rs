//! A rate that is ten times too high for a moment.

use super::*;
use kiln_optimization::schedules::PiecewiseConfig;

/// The first step with the high rate, how many have it, and within how many the loss must be back.
const FIRST: u64 = 100;
const LENGTH: u64 = 5;
const RECOVERY: u64 = 200;

/// Mean and standard deviation.
fn moments(losses: &[f64]) -> (f64, f64) {
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / (losses.len() - 1) as f64;
    (mean, variance.sqrt())
}

#[test]
fn training_comes_back_from_a_spike_of_the_rate() {
    for seed in 0..20 {
        let mut world = World::new(TRANSFORMER, "windows = \"random\"\nclip-norm = 1.0");
        world.run.steps = FIRST + RECOVERY;
        world.run.evaluate_every = 1000;
        world.run.checkpoint_every = 1000;
        let (rates, boundaries) = (vec![0.01, 0.1, 0.01], vec![FIRST, FIRST + LENGTH]);
        world.schedule = ScheduleConfig::Piecewise(PiecewiseConfig { rates, boundaries, warmup: 0 });
        world.seed = seed;
        let notes = Notes::default();
        world.train("run", &notes).unwrap();
        let losses: Vec<f64> = notes.steps.lock().unwrap().iter().map(|entry| entry.train_loss).collect();
        let first = FIRST as usize;
        let (mean, deviation) = moments(&losses[first - 30..first]);
        let highest = losses[first..first + 20].iter().copied().fold(0.0, f64::max);
        assert!(highest > mean + 2.0 * deviation, "seed {seed}: no spike: {highest}, before {mean} +- {deviation}");
        let (after, _) = moments(&losses[losses.len() - 30..]);
        assert!(after < mean, "seed {seed}: {after} after the spike, {mean} before");
    }
}
