//! The noise at the minimum, samples epoch by epoch, and gradients where F is not convex.

use burn::tensor::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{fixture, table};
use crate::gradients::Watch;
use crate::problem::Draws;
use crate::tests::support::{arithmetic, curve, curves};
use crate::*;

fn holds(curve: &CurveOutcome) -> bool {
    matches!(curve.verdict, Verdict::Holds { .. })
}

fn regression(noise: f64, tail: &str) -> Vec<CurveOutcome> {
    curves(&format!(
        "title = \"test\"\nrepeats = 50\nsteps = 3000\nbound = \"noise-at-minimum\"\n\
         [problem.linear-regression.data.generated]\nsamples = 60\nfeatures = 3\nnoise = {noise}\n{tail}"
    ))
}

#[test]
fn interpolated_data_have_no_floor() {
    let tail = curve(1, "constant]\nrate = 0.05") + &curve(4, "constant]\nrate = 0.05");
    let made = regression(0.0, &tail);
    for curve in &made {
        let known = curve.constants.as_ref().unwrap();
        assert!(known.noise_at_minimum < 1e-25 && curve.trace.variance.unwrap() > 1.0, "{known:?}");
        assert!(holds(curve), "{:?}", curve.bound);
        assert!(curve.trace.error[3000].mean < 1e-12, "{:?}", curve.trace.error[3000]);
        assert!(curve.bound.as_ref().unwrap().at(3000) < 1e-3);
    }
}

#[test]
fn the_floor_is_known_beforehand_and_above_the_measured_one() {
    let made = regression(0.5, &[curve(1, "constant]\nrate = 0.02"), curve(1, "constant]\nrate = 1.0")].concat());
    let known = made[0].constants.as_ref().unwrap();
    let expected = 0.02 * known.smoothness * known.noise_at_minimum / known.strong_convexity;
    assert!((made[0].bound.as_ref().unwrap().floor().unwrap() / expected - 1.0).abs() < 1e-12);
    assert!(holds(&made[0]));
    let floor = made[0].floor.unwrap().value;
    // eta sigma*² / 4 where the rate is small.
    assert!((floor / (0.02 * known.noise_at_minimum / 4.0) - 1.0).abs() < 0.3, "{floor}");
    assert!(made[1].bound.as_ref().unwrap_err().contains("is above 1 / (2 (L + (L_max - L) / b))"));
}

#[test]
fn a_quadratic_has_its_noise_at_the_minimum_too() {
    let text = "title = \"test\"\nsteps = 40\nbound = \"noise-at-minimum\"\n\
                [problem.quadratic]\nspectrum = [0.5, 1.0]\n\
                variance = 3.0\n";
    let made = curves(&format!("{text}{}", curve(2, "constant]\nrate = 0.5")));
    // |w_0 - w*|² = 2 + 1 and L / 2 of it; the floor is 0.5 * 1 * 3 / (0.5 * 2).
    let bound = made[0].bound.as_ref().unwrap();
    assert!((bound.at(0) - 1.5).abs() < 1e-12 && (bound.floor().unwrap() - 1.5).abs() < 1e-12, "{bound:?}");
    assert!((bound.at(1) - (0.75 * 1.5 + 0.25 * 1.5)).abs() < 1e-12);
}

#[test]
fn epochs_have_every_sample_once_and_end_where_all_orders_say() {
    let case = fixture().reshuffled;
    let (_folder, problem) = table(&case.features, &case.targets, 0.0);
    let drawn = curve(1, &format!("constant]\nrate = {}", case.rate));
    let reshuffled = drawn.replace("[curves.", "sampling = \"reshuffled\"\n[curves.");
    let head = "title = \"test\"\nrepeats = 20000\nsteps = 72\nevaluate-every = 6\n[problem.";
    let made = curves(&format!("{head}{problem}{drawn}{reshuffled}"));
    for (curve, expected) in made.iter().zip([&case.with, &case.without]) {
        for (epoch, (band, expected)) in curve.trace.error.iter().zip(expected).enumerate() {
            // 99.99 % intervals.
            let off = (band.mean - expected).abs();
            assert!(off <= 2.0 * band.half_width + 1e-9, "epoch {epoch}: {band:?}, not {expected}");
        }
    }
    // What is exact with replacement is not said of the others, and they lie far apart.
    assert!(made[0].exact.is_some() && made[1].exact.is_none() && made[1].stability_limit.is_none());
    assert!(case.without[12] < 0.3 * case.with[12]);
}

#[test]
fn an_epoch_is_as_many_whole_mini_batches_as_there_are() {
    let mut draws = Draws::new(ChaCha8Rng::seed_from_u64(1), Sampling::Reshuffled);
    let mut orders = Vec::new();
    for _ in 0..20 {
        let batches = [draws.samples(2, 2, 5), draws.samples(2, 2, 5)];
        // Of two rows each has its own.
        for row in 0..2 {
            let mut epoch: Vec<i64> = batches.iter().flat_map(|batch| batch[2 * row..2 * row + 2].to_vec()).collect();
            orders.push(epoch.clone());
            epoch.sort_unstable();
            epoch.dedup();
            assert!(epoch.len() == 4 && epoch.iter().all(|sample| (0..5).contains(sample)), "{epoch:?}");
        }
    }
    orders.sort();
    orders.dedup();
    assert!(orders.len() > 20, "{orders:?}");
}

#[test]
fn added_noise_has_no_epochs() {
    let text = "title = \"test\"\nsteps = 40\n[problem.quadratic]\nspectrum = [0.5, 1.0]\n";
    let curve = curve(2, "constant]\nrate = 0.5").replace("[curves.", "sampling = \"reshuffled\"\n[curves.");
    let errors = crate::tests::support::read(&format!("{text}{curve}")).unwrap_err().to_string();
    assert!(errors.contains("`curves[0].sampling` must be `with-replacement`"), "{errors}");
}

#[test]
fn gradients_on_the_way_are_the_ones_by_hand() {
    let row = |values: [f64; 4]| -> Tensor<2> { arithmetic().tensor(values.to_vec(), [2, 2]) };
    let mut watch = Watch::default();
    // Two rows: squares 25 and 1, noise 1 and 4.
    watch.see(row([0.0; 4]), row([3.0, 4.0, 1.0, 0.0]), row([3.0, 5.0, 1.0, 2.0])).unwrap();
    // Moved by 1 and 2, the gradient by 5 and 3.
    watch.see(row([1.0, 0.0, 0.0, 2.0]), row([0.0, 0.0, 1.0, 3.0]), row([0.0, 0.0, 1.0, 3.0])).unwrap();
    assert_eq!(watch.seen.squares, [13.0, 5.0]);
    assert_eq!(watch.seen.noise, [2.5, 0.0]);
    assert_eq!(watch.seen.smoothness, 5.0);
    // The rows' means over time are 12.5 and 5.5.
    assert_eq!(watch.seen.balance(0.0).mean, 9.0);
    // Those of the noise 0.5 and 2; a half of them taken away leaves 12.25 and 4.5.
    assert_eq!(watch.seen.balance(0.5).mean, 8.375);
}

#[test]
fn a_network_has_small_gradients_on_average() {
    let curves = curves(&format!(
        "title = \"test\"\nrepeats = 20\nsteps = 200\n\
         [problem.neural-network.data.generated]\nsamples = 50\nfeatures = 3\n\
         {}{}{}",
        curve(0, "constant]\nrate = 0.1"),
        curve(5, "constant]\nrate = 0.1"),
        curve(5, "constant]\nrate = 100.0").replace("[curves.", "diverges = true\n[curves.")
    ));
    let [full, noisy] = [0, 1].map(|index: usize| curves[index].stationarity.clone().unwrap().unwrap());
    for found in [&full, &noisy] {
        assert!(found.holds && !found.is_known && found.mean.mean > 0.0 && found.updates == 200, "{found:?}");
    }
    let start = curves[0].trace.error[0].mean;
    assert_eq!((full.noise, full.bound), (0.0, 2.0 * start / 20.0));
    assert!((noisy.bound - (2.0 * start / 20.0 + 0.1 * noisy.smoothness * noisy.noise)).abs() < 1e-12);
    assert!(noisy.noise > 0.0 && noisy.smoothness > 0.0);
}

/// One feature that is always 1 and targets -1 and 1: at w the residuals are w + 1 and w - 1.
fn robust(steps: u64, tail: &str) -> Vec<CurveOutcome> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    std::fs::write(&path, "x,y\n1,-1\n1,1\n1,3\n1,-3\n").unwrap();
    curves(&format!(
        "title = \"test\"\nrepeats = 40\nsteps = {steps}\n[problem.robust-regression]\n\
         data.csv = {{ path = {path:?}, standardise = false }}\n{tail}"
    ))
}

#[test]
fn gradients_of_a_loss_that_is_not_convex_stay_under_the_bound_of_a_known_smoothness() {
    let made = robust(50, &[curve(0, "constant]\nrate = 1.0"), curve(1, "constant]\nrate = 0.5")].concat());
    // Losses 1/4 at a residual of 1 and 9/20 at 3; (1/4 + 9/20) / 2 = 0.35. By symmetry the full gradient is 0 at 0.
    for made in &made {
        assert!((made.trace.error[0].mean - 0.35).abs() < 1e-15 && made.smoothness == Some(1.0));
        assert_eq!((&made.verdict, &made.exact), (&Verdict::NoTheorem, &None));
    }
    let [full, noisy] = [0, 1].map(|index: usize| made[index].stationarity.clone().unwrap().unwrap());
    assert!(full.holds && full.is_known && full.mean.mean.abs() < 1e-30);
    assert!((full.bound - 2.0 * 0.35 / 50.0).abs() < 1e-15);
    // The first gradients are 1/4 and 3/100 in size: the noise there is (1/16 + 9/10000) / 2.
    let noise = made[1].trace.gradients.as_ref().unwrap().noise[0];
    assert!((noise - 0.0317).abs() < 0.02 && noisy.holds && noisy.is_known, "{noise} {noisy:?}");
    assert!((noisy.bound - (2.0 * 0.35 / 25.0 + 0.5 * noisy.noise)).abs() < 1e-12);
}

#[test]
fn a_known_smoothness_that_is_wrong_is_found_out() {
    let text = |rate: f64| curve(1, &format!("constant]\nrate = {rate}")).replace("label = \"curve\"", "label = \"a\"");
    let made = robust(4000, &text(1.0));
    let config = crate::tests::support::read(&format!(
        "title = \"t\"\nsteps = 50\n[problem.robust-regression.data.generated]\n{}",
        text(1.0)
    ));
    let judged = |l: Option<f64>| Stationarity::of(&made[0].trace, &config.as_ref().unwrap().curves[0], l, 1).unwrap();
    assert!(judged(Some(1.0)).unwrap().holds);
    // A hundredth of L would make the noise count a hundredth of what it does.
    assert!(!judged(Some(0.01)).unwrap().holds);
    assert!(judged(Some(1.1)).unwrap_err().contains("the rate 1 is above 1/L = 0.9091"));
    assert!(robust(4000, &text(1.0))[0].stationarity == made[0].stationarity && !made[0].breaks_known_smoothness());
}
