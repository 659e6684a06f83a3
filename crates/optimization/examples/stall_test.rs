//! How often the test of the estimated error floor errs, and how often it finds what is there:
//! `cargo run --release --example stall_test`.
//!
//! A loss has fallen by 100. In windows of 208 it then rests, or falls by just the tolerance, 3, from half to half,
//! with deviations x_t = a x_(t-1) + 5 n_t. Beside it, the same decision with the standard error of single losses.

#![expect(clippy::print_stdout, reason = "an example shows what it made")]

use kiln_optimization::schedules::{Finding, StallTest};

const WINDOWS: usize = 4000;
const WINDOW: usize = 208;
const FALL: f64 = 100.0;
const TOLERANCE: f64 = 0.03;
const STANDARD_ERRORS: f64 = 2.0;

fn main() {
    println!("| correlation a | falling, called resting | resting, found | falling, called resting by single losses |");
    println!("|---|---|---|---|");
    let mut draws = Draws(1);
    for a in [-0.5, 0.0, 0.5, 0.8] {
        let mut counts = [0_usize; 3];
        for _ in 0..WINDOWS {
            let falling = losses(a, TOLERANCE * FALL, &mut draws);
            counts[0] += usize::from(finding(&falling) == Some(Finding::AtRest));
            counts[1] += usize::from(finding(&losses(a, 0.0, &mut draws)) == Some(Finding::AtRest));
            counts[2] += usize::from(single(&falling));
        }
        let [level, power, single] = counts.map(|count| 100.0 * count as f64 / WINDOWS as f64);
        println!("| {a} | {level:.1} % | {power:.1} % | {single:.1} % |");
    }
}

/// What the test says at the end of the second window, whose first half is the second one of the first.
fn finding(losses: &[f64]) -> Option<Finding> {
    let mut test = StallTest::new(WINDOW as u64);
    losses.iter().filter_map(|loss| test.observe(*loss, STANDARD_ERRORS, TOLERANCE)).nth(1)
}

/// A block at 100, the rest of a window at `fall`, and half a window at 0, with deviations.
fn losses(a: f64, fall: f64, draws: &mut Draws) -> Vec<f64> {
    let mut deviation = 0.0;
    let level = |t: usize| {
        if t < WINDOW / 16 {
            FALL
        } else if t < WINDOW {
            fall
        } else {
            0.0
        }
    };
    let noisy = |t: usize| {
        deviation = a * deviation + 5.0 * draws.normal();
        level(t) + deviation
    };
    (0..WINDOW * 3 / 2).map(noisy).collect()
}

/// Whether the fall within the second window is at most the tolerance by two standard errors of independent losses.
fn single(losses: &[f64]) -> bool {
    let (before, now) = losses[WINDOW / 2..].split_at(WINDOW / 2);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let squared_error = |values: &[f64]| {
        let (mean, n) = (mean(values), values.len() as f64);
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n
    };
    let error = (squared_error(before) + squared_error(now)).sqrt();
    mean(before) - mean(now) + STANDARD_ERRORS * error <= TOLERANCE * FALL
}

/// SplitMix64 (Steele, Lea and Flood 2014); the sum of twelve uniform numbers less 6 is normal enough.
struct Draws(u64);

impl Draws {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / 2.0_f64.powi(64)
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}
