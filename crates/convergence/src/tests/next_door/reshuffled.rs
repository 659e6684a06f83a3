//! Epochs in an order drawn anew: bounds against expectations over all orders.

use nalgebra::{DMatrix, DVector};

use super::table;
use crate::tests::support::{curve, curves};
use crate::*;

/// Least squares so small that all orders of an epoch can be gone through.
struct Tiny {
    features: Vec<Vec<f64>>,
    targets: Vec<f64>,
    l2: f64,
}

/// An epoch as a map of w: A w + v.
struct Epoch {
    a: DMatrix<f64>,
    v: DVector<f64>,
}

impl Tiny {
    /// Every order's epoch of mini-batches of b.
    fn epochs(&self, batch: usize, rate: f64) -> Vec<Epoch> {
        let d = self.features[0].len();
        let mut orders = vec![vec![]];
        for _ in 0..self.targets.len() {
            let longer = |order: &Vec<usize>| {
                let rest = (0..self.targets.len()).filter(|sample| !order.contains(sample));
                rest.map(|sample| [&order[..], &[sample]].concat()).collect::<Vec<_>>()
            };
            orders = orders.iter().flat_map(longer).collect();
        }
        let of_order = |order: &Vec<usize>| {
            let mut epoch = Epoch { a: DMatrix::identity(d, d), v: DVector::zeros(d) };
            for samples in order.chunks(batch) {
                let mut h = DMatrix::identity(d, d) * self.l2;
                let mut g = DVector::zeros(d);
                for sample in samples {
                    let x = DVector::from_column_slice(&self.features[*sample]);
                    h += &x * x.transpose() / batch as f64;
                    g += x * self.targets[*sample] / batch as f64;
                }
                let step = DMatrix::identity(d, d) - h * rate;
                epoch = Epoch { a: &step * epoch.a, v: &step * epoch.v + g * rate };
            }
            epoch
        };
        orders.iter().map(of_order).collect()
    }

    /// E F - F* after each of `count` epochs from 0, by the first two moments of w over all orders.
    fn expected(&self, batch: usize, rate: f64, count: usize) -> Vec<f64> {
        let d = self.features[0].len();
        let n = self.targets.len() as f64;
        let x = DMatrix::from_fn(self.targets.len(), d, |row, column| self.features[row][column]);
        let h = x.transpose() * &x / n + DMatrix::identity(d, d) * self.l2;
        let best = h.clone().lu().solve(&(x.transpose() * DVector::from_column_slice(&self.targets) / n)).unwrap();
        let epochs = self.epochs(batch, rate);
        let (mut mean, mut second) = (DVector::zeros(d), DMatrix::zeros(d, d));
        let mut errors = Vec::new();
        for _ in 0..=count {
            let of_minimum = &best * mean.transpose();
            let around = &second - &of_minimum - of_minimum.transpose() + &best * best.transpose();
            errors.push(h.component_mul(&around).sum() / 2.0);
            let (mut next_mean, mut next_second) = (DVector::zeros(d), DMatrix::zeros(d, d));
            for Epoch { a, v } in &epochs {
                let moved = a * &mean;
                next_mean += &moved + v;
                next_second += a * &second * a.transpose() + &moved * v.transpose() + v * moved.transpose();
                next_second += v * v.transpose();
            }
            (mean, second) = (next_mean / epochs.len() as f64, next_second / epochs.len() as f64);
        }
        errors
    }

    /// Curves of reshuffled mini-batches under the sharp bound, F taken at the ends of epochs.
    fn run(&self, batch: usize, rates: &[f64], epochs: usize, repeats: usize) -> Vec<CurveOutcome> {
        let (_folder, problem) = table(&self.features, &self.targets, self.l2);
        let m = self.targets.len() / batch;
        let tail: String = rates.iter().map(|rate| reshuffled(batch, *rate)).collect();
        curves(&format!(
            "title = \"test\"\nrepeats = {repeats}\nsteps = {}\nevaluate-every = {m}\nbound = \"sharp\"\n\
             [problem.{problem}{tail}",
            (m * epochs).max(10)
        ))
    }
}

fn reshuffled(batch: usize, rate: f64) -> String {
    curve(batch, &format!("constant]\nrate = {rate}")).replace("[curves.", "sampling = \"reshuffled\"\n[curves.")
}

fn tiny(l2: f64) -> Tiny {
    Tiny {
        features: vec![vec![1.0, 0.2], vec![-0.4, 0.9], vec![0.3, -1.1], vec![0.8, 0.5]],
        targets: vec![1.0, -0.6, 0.7, -0.2],
        l2,
    }
}

#[test]
fn a_bound_on_reshuffled_epochs_holds_for_the_expectation_over_all_orders() {
    let mut tightest = f64::INFINITY;
    // Strongly convex samples, and only convex ones, whose rates have to be m times as small.
    for (l2, rates) in [(0.5, [0.5, 0.2, 0.05]), (0.0, [0.11, 0.05, 0.01])] {
        let data = tiny(l2);
        for batch in [1, 2, 4] {
            for (made, rate) in data.run(batch, &rates, 60, 2).iter().zip(rates) {
                let bound = made.bound.as_ref().unwrap_or_else(|reason| panic!("b = {batch}, {rate}: {reason}"));
                let m = 4 / batch as u64;
                for (epoch, error) in data.expected(batch, rate, 60).into_iter().enumerate() {
                    let bound = bound.at(epoch as u64 * m);
                    // Moments of w lose what w - w* has beyond sixteen digits of them.
                    if error < 1e-12 {
                        continue;
                    }
                    assert!(error <= bound * (1.0 + 1e-9), "b = {batch}, {rate}, epoch {epoch}: {error}, {bound}");
                    tightest = tightest.min(bound / error);
                }
            }
        }
    }
    // A bound of the wrong size would not be noticed if it lay far above.
    assert!(tightest < 3.0, "{tightest}");
}

#[test]
fn a_bound_on_reshuffled_epochs_is_attained_where_every_sample_is_the_same_parabola() {
    // f_i = (w - y_i)² / 2 from 0, F* at the mean 2: at the rate 1 an epoch ends at its last sample's y, so that
    // E |w - w*|² is the variance of y, (9 + 1 + 1 + 9) / 4 = 5, and F - F* half of that.
    let data = Tiny { features: vec![vec![1.0]; 4], targets: vec![-1.0, 1.0, 3.0, 5.0], l2: 0.0 };
    let made = data.run(1, &[1.0], 30, 400);
    let bound = made[0].bound.as_ref().unwrap();
    for (epoch, error) in data.expected(1, 1.0, 30).into_iter().enumerate() {
        let expected = if epoch == 0 { 2.0 } else { 2.5 };
        assert!((error - expected).abs() < 1e-12 && (bound.at(epoch as u64 * 4) - expected).abs() < 1e-12);
    }
    assert!(matches!(made[0].verdict, Verdict::Holds { .. }), "{:?}", made[0].verdict);
    // Three quarters of the noise would be too little: the verdict can fail.
    let Theorem::Reshuffled { factor, start, floor, epoch } = bound.theorem else { panic!("{bound:?}") };
    let theorem = Theorem::Reshuffled { factor, start, floor: floor * 0.75, epoch };
    let wrong = Verdict::of(&made[0].trace, &Bound { theorem, ..*bound }, 1, &super::super::support::arithmetic());
    assert!(matches!(wrong, Verdict::Broken { .. }), "{wrong:?}");
    // The factor (1 - 0.5)^4 of an epoch, and its floor by hand: 0.125 * 5 * (0.25 * 3/3 + 0.5 * 4/3 + 3/3) / (15/16).
    let half = data.run(1, &[0.5], 30, 2);
    let Theorem::Reshuffled { factor, floor, .. } = half[0].bound.as_ref().unwrap().theorem else { panic!() };
    let by_hand = 0.5 * 0.125 * 5.0 * (0.25 + 0.5 * 4.0 / 3.0 + 1.0) / (15.0 / 16.0);
    assert!((factor - 1.0 / 16.0).abs() < 1e-15 && (floor - by_hand).abs() < 1e-12, "{factor} {floor}");
}

#[test]
fn the_simulation_ends_where_all_orders_of_mini_batches_say() {
    let data = tiny(0.5);
    let rates = [0.5, 0.2];
    for (made, rate) in data.run(2, &rates, 12, 20_000).iter().zip(rates) {
        for (epoch, (band, error)) in made.trace.error.iter().zip(data.expected(2, rate, 12)).enumerate() {
            // 99.99 % intervals.
            assert!((band.mean - error).abs() <= 2.0 * band.half_width + 1e-9, "{rate}, {epoch}: {band:?}, {error}");
        }
    }
}

#[test]
fn a_theorem_about_epochs_says_where_it_is_silent() {
    let reason = |head: &str, batch: usize, rate: f64| {
        let generated = "data.generated = { samples = 12, features = 2 }\n";
        let text = format!("title = \"test\"\nrepeats = 2\n{head}\n[problem.linear-regression]\n");
        let l2 = if head.contains("# l2") { "l2 = 0.1\n" } else { "" };
        let made = curves(&format!("{text}{l2}{generated}{}", reshuffled(batch, rate)));
        made[0].bound.clone().map(|_| ()).unwrap_err()
    };
    let sharp = "bound = \"sharp\"\nsteps = 24";
    assert!(reason("steps = 24", 1, 0.01).contains("`bound = \"sharp\"` has one"));
    assert!(reason(sharp, 5, 0.001).contains("mini-batches of 5 leave 2 of 12 out"));
    assert!(reason(sharp, 1, 0.1).contains("above 0.618 / (m L_max) = "));
    assert!(reason(&format!("{sharp} # l2"), 1, 1.0).contains("above 1/L_max = "));
    assert!(reason("bound = \"sharp\"\nsteps = 11", 1, 1e-4).contains("the ends of epochs of 12 updates"));
    let spaced = "bound = \"sharp\"\nsteps = 22\nevaluate-every = 5";
    assert!(reason(spaced, 1, 1e-4).contains("set `evaluate-every = 12`"));
}
