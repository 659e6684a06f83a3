//! Exact expectations against enumeration, closed forms and the paths themselves.

use kiln_optimization::schedules::ScheduleConfig;
use serde::Deserialize;

use super::support::{curve, curves};
use crate::exact::{AdditiveNoise, LeastSquares, Momentum};
use crate::*;
use nalgebra::{DMatrix, DVector};

const NOISY: &str = "[problem.quadratic]\nspectrum = [0.5, 0.6, 0.8, 1.0]\nstart-error = 10.0\n";

fn experiment(head: &str, tail: &[String]) -> String {
    format!("title = \"test\"\n{head}\n{NOISY}{}", tail.concat())
}

/// Two regressions small enough to go through all mini-batches, and what came of that (scripts/reference/lab.py).
#[derive(Deserialize)]
struct Fixture {
    least_squares: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    features: Vec<Vec<f64>>,
    targets: Vec<f64>,
    l2: f64,
    batch: usize,
    rates: Vec<f64>,
    expectation: Vec<f64>,
    stability_limit: f64,
}

impl Case {
    fn data(&self) -> LeastSquares {
        let (n, d) = (self.features.len(), self.features[0].len());
        let x = DMatrix::from_fn(n, d, |row, column| self.features[row][column]);
        let y = DVector::from_column_slice(&self.targets);
        let hessian = x.transpose() * &x / n as f64 + DMatrix::identity(d, d) * self.l2;
        let minimizer = hessian.clone().lu().solve(&(x.transpose() * &y / n as f64)).unwrap();
        let residuals = &x * &minimizer - y;
        let eigen = hessian.clone().symmetric_eigen();
        LeastSquares::new(x, residuals, minimizer, self.l2, hessian, eigen)
    }
}

#[test]
fn least_squares_is_what_enumerating_all_mini_batches_gives() {
    let fixture: Fixture = serde_json::from_str(include_str!("../../fixtures/lab.json")).unwrap();
    assert!(fixture.least_squares.len() >= 3);
    for case in &fixture.least_squares {
        let data = case.data();
        let times: Vec<u64> = (0..=case.rates.len() as u64).collect();
        let path = data.path(case.batch, &case.rates, &times);
        for (t, (found, expected)) in path.iter().zip(&case.expectation).enumerate() {
            assert!((found / expected - 1.0).abs() < 1e-9, "b = {}, t = {t}: {found}, not {expected}", case.batch);
        }
        let limit = data.stability_limit(case.batch, f64::INFINITY).unwrap();
        assert!((limit / case.stability_limit - 1.0).abs() < 1e-8, "{limit}, not {}", case.stability_limit);
        assert_eq!(data.stability_limit(case.batch, 10.0), None);
    }
}

#[test]
fn mini_batches_of_data_have_the_exact_mean() {
    let data = "[problem.linear-regression]\nl2 = 0.05\n[problem.linear-regression.data.generated]\nsamples = 40\n\
                features = 4\n";
    let rates = [(1, "constant]\nrate = 0.02"), (4, "constant]\nrate = 0.1"), (4, "cosine]\nrate = 0.1\nwarmup = 20")];
    let tail: String = rates.iter().map(|(batch, schedule)| curve(*batch, schedule).repeat(8)).collect();
    let full = curve(0, "constant]\nrate = 0.2");
    let made = curves(&format!("title = \"test\"\nrepeats = 200\nsteps = 200\n{data}{full}{tail}"));
    assert!(made.iter().all(|curve| curve.agreement == Some(Agreement::Agrees)));
}

#[test]
fn a_rate_beyond_mean_square_stability_grows_in_expectation_and_one_below_comes_to_rest() {
    let fixture: Fixture = serde_json::from_str(include_str!("../../fixtures/lab.json")).unwrap();
    let case = &fixture.least_squares[0];
    let data = case.data();
    let at = |factor: f64| {
        let rates = vec![factor * case.stability_limit; 4000];
        data.path(case.batch, &rates, &[2000, 3000, 4000])
    };
    let (below, above) = (at(0.9), at(1.02));
    assert!((below[2] / below[1] - 1.0).abs() < 0.01, "{below:?}");
    let growth = (above[2] / above[1], above[1] / above[0]);
    assert!(growth.0 > 1.5 && growth.1 > 1.5, "{above:?}");
}

#[test]
fn momentum_and_look_ahead_are_exact_without_noise_and_in_the_mean() {
    let optimizer = |batch: usize, table: &str| {
        format!("{}[curves.optimizer.sgd]\n{table}\n", curve(batch, "constant]\nrate = 0.1"))
    };
    let tail = [
        optimizer(0, "momentum = 0.9"),
        optimizer(0, "momentum = 0.9\nnesterov = true"),
        optimizer(2, "momentum = 0.9"),
        optimizer(2, "momentum = 0.9\nnesterov = true"),
    ];
    for curve in &curves(&experiment("repeats = 400\nsteps = 300", &tail)) {
        assert_eq!(curve.agreement, Some(Agreement::Agrees), "{}", curve.label);
        assert_eq!(curve.verdict, Verdict::NoTheorem);
    }
}

#[test]
fn the_floor_with_momentum_is_the_closed_form() {
    // With heavy-ball momentum a direction rests at eta sigma² (1 + mu) / (2 d (1 - mu) (2 (1 + mu) - eta lambda)).
    let (lambda, eta, mu, noise) = (0.8, 0.3, 0.7, 2.0);
    let one = AdditiveNoise::at_rest(&[lambda]);
    let closed = eta * noise * (1.0 + mu) / (2.0 * (1.0 - mu) * (2.0 * (1.0 + mu) - eta * lambda));
    let momentum = Momentum { momentum: mu, nesterov: false };
    let floor = one.floor(momentum, noise, eta).unwrap();
    assert!((floor / closed - 1.0).abs() < 1e-12, "{floor}, not {closed}");
    let path = one.path(momentum, noise, &vec![eta; 2000], &[2000]);
    assert!((path[0] / closed - 1.0).abs() < 1e-12);
    // Stable up to 2 (1 + mu) / lambda.
    let limit = 2.0 * (1.0 + mu) / lambda;
    assert!(one.floor(momentum, noise, limit * 1.001).is_none() && one.floor(momentum, noise, limit * 0.999).is_some());
    // Heavy ball at its best: ((sqrt(kappa) - 1) / (sqrt(kappa) + 1))² an update, in the error itself; kappa = 100.
    let (root, best) = (10.0_f64, (9.0_f64 / 11.0).powi(2));
    let tuned = Momentum { momentum: best, nesterov: false };
    let factor = AdditiveNoise::at_rest(&[0.01, 1.0]).factor(tuned, 4.0 / (1.0 + 1.0 / root).powi(2));
    assert!((factor - best).abs() < 1e-6, "{factor}, not {best}");
}

#[test]
fn every_schedule_by_time_has_its_exact_path() {
    let schedules = ScheduleConfig::examples(0.4, 100);
    let table =
        |schedule: &ScheduleConfig| toml::to_string(&std::collections::BTreeMap::from([("schedule", schedule)]));
    let by_time: Vec<_> = schedules.iter().filter(|schedule| schedule.is_by_time()).collect();
    assert!(by_time.len() > 10);
    let tail: Vec<String> = by_time
        .iter()
        .flat_map(|schedule| {
            let file = table(schedule).unwrap();
            let table = file.strip_prefix("[schedule.").unwrap().to_owned();
            [curve(0, &table), curve(4, &table)]
        })
        .collect();
    let made = curves(&experiment("repeats = 40\nsteps = 100", &tail));
    for curve in &made {
        assert_eq!(curve.agreement, Some(Agreement::Agrees), "{}", curve.label);
    }
    let by_loss =
        [curve(4, "error-floor]\nrate = 0.4"), curve(4, "reduce-on-plateau]\nrate = 0.4\nfactor = 0.5\npatience = 1")];
    let made = curves(&experiment("repeats = 40\nsteps = 400", &by_loss));
    assert!(made.iter().all(|curve| curve.exact.is_none() && curve.agreement.is_none()));
    // Halving at a multiple of the known floor is 1 / t; what a plateau gives is no power.
    assert_eq!((made[0].exponent.unwrap().limit, made[1].exponent), (Some(-1.0), None));
}

#[test]
fn an_expectation_that_would_take_too_long_is_left_out_and_said_to_be() {
    let data = "[problem.linear-regression.data.generated]\nsamples = 20000\nfeatures = 150\n";
    let tail = curve(1, "constant]\nrate = 0.001");
    let made = curves(&format!("title = \"test\"\nrepeats = 2\nsteps = 10\n{data}{tail}"));
    // 20000 * 150² multiplications an update, ten updates.
    assert_eq!(made[0].left_out, Some((4.5e9, 4e9)));
    assert_eq!((&made[0].exact, &made[0].agreement, made[0].stability_limit), (&None, &None, None));
}

#[test]
fn the_factor_in_the_end_is_that_of_the_hessian_at_the_minimum() {
    let data = "data.generated = { samples = 60, features = 3, condition = 4.0 }";
    for problem in ["linear-regression]\nl2 = 0.0", "logistic-regression]\nl2 = 0.05"] {
        let head = format!("title = \"test\"\nsteps = 200\n[problem.{problem}\n{data}\n");
        let made = curves(&(head + &curve(0, "constant]\nrate = 0.5")));
        let Fit { value, half_width, exact, limit } = made[0].factor_per_step.unwrap();
        assert_eq!(half_width, None, "{problem}: nothing is random");
        assert!((value / limit.unwrap() - 1.0).abs() < 1e-3, "{problem}: {value}, in the end {limit:?}");
        assert!(exact.is_none_or(|exact| (value / exact - 1.0).abs() < 1e-9), "{problem}: {value}, exact {exact:?}");
        let c = made[0].constants.as_ref().unwrap().strong_convexity;
        let of_c = (1.0 - 0.5 * c).powi(2);
        // That of logistic regression's penalty alone is slower.
        assert_eq!((limit.unwrap() / of_c - 1.0).abs() < 1e-9, problem.starts_with("linear"), "{limit:?}, {of_c}");
    }
}

#[test]
fn logistic_regression_has_no_expectation_that_is_exact() {
    let averaged = curve(4, "constant]\nrate = 0.2").replace("[curves.", "average = true\n[curves.");
    let text = "title = \"test\"\nrepeats = 30\nsteps = 40\niterations-to = [0.1]\n\
                [problem.logistic-regression.data.generated]\nsamples = 30\nfeatures = 3\n";
    let tail = [curve(0, "constant]\nrate = 0.5"), curve(4, "constant]\nrate = 0.2"), averaged].concat();
    for made in curves(&format!("{text}{tail}")) {
        assert_eq!((&made.exact, &made.agreement, made.stability_limit), (&None, &None, None), "{}", made.label);
        assert!(made.iterations.unwrap().exact.is_none() && made.left_out.is_none());
        // The factor in the end is that of the Hessian at w*, and none of a finite window.
        assert!([made.factor_per_step, made.floor].into_iter().flatten().all(|fit| fit.exact.is_none()));
    }
}
