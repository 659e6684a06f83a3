//! What must happen, and that it does; and that these tests can fail.

use kiln_optimization::schedules::ScheduleConfig;

use super::support::{arithmetic, curve, curves, read};
use crate::*;

/// c = 0.5 and L = 1, with noise; errors start ten times as high as the variance.
const NOISY: &str = "[problem.quadratic]\nspectrum = [0.5, 0.6, 0.8, 1.0]\nstart-error = 10.0\n";

fn constant(rate: f64) -> String {
    format!("constant]\nrate = {rate}")
}

fn experiment(head: &str, tail: &[String]) -> String {
    format!("title = \"test\"\n{head}\n{NOISY}{}", tail.concat())
}

/// The verdict under `wrong` constants.
fn verdict_under(curve: &CurveOutcome, config: &CurveConfig, wrong: impl Fn(&mut Constants, &mut f64)) -> Verdict {
    let mut constants = curve.constants.clone().unwrap();
    let mut variance = curve.trace.variance.unwrap();
    wrong(&mut constants, &mut variance);
    let known = Known { constants: Some(&constants), variance, start: curve.trace.error[0].mean, model: None };
    let bound = Bound::of(config, BoundChoice::Lecture, &known).unwrap();
    Verdict::of(&curve.trace, &bound, 1, &arithmetic())
}

fn holds(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Holds { .. })
}

fn is_broken(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Broken { error, bound, updates, .. } if error > bound && *updates > 0)
}

#[test]
fn the_mean_of_200_repeats_lies_under_the_bound_at_every_step() {
    let settings = [(1, 0.1), (4, 0.1), (16, 0.1), (1, 0.5), (4, 1.0)];
    let tail: Vec<String> = settings.iter().map(|(batch, rate)| curve(*batch, &constant(*rate))).collect();
    let text = experiment("repeats = 200\nsteps = 300", &tail);
    let configs = read(&text).unwrap().curves;
    for ((curve, config), (batch, rate)) in curves(&text).iter().zip(&configs).zip(settings) {
        assert!(matches!(curve.verdict, Verdict::Holds { .. }), "b = {batch}, eta = {rate}: {:?}", curve.verdict);
        assert_eq!((curve.trace.repeats, curve.trace.error.len()), (200, 301));
        assert_eq!(verdict_under(curve, config, |_, _| {}), curve.verdict);
        // The theorem of the lecture, written out once more.
        let floor = rate * 1.0 * 1.0 / (2.0 * 0.5 * batch as f64);
        for (t, band) in curve.trace.error.iter().enumerate() {
            let bound = (1.0 - rate * 0.5).powi(t as i32) * (10.0 - floor) + floor;
            assert!(
                band.mean - band.half_width <= bound * (1.0 + 1e-14),
                "b = {batch}, eta = {rate}, t = {t}: {band:?} above {bound}"
            );
        }
    }
}

#[test]
fn a_wrong_bound_is_found_out() {
    let tail = [curve(4, &constant(0.1)), curve(0, &constant(0.1))];
    let text = experiment("repeats = 200\nsteps = 300", &tail);
    let configs = read(&text).unwrap().curves;
    let made = curves(&text);
    assert!(made.iter().all(|curve| holds(&curve.verdict)));
    let tenth_of_variance = verdict_under(&made[0], &configs[0], |_, variance| *variance /= 10.0);
    assert!(is_broken(&tenth_of_variance), "sigma² / 10 passes: {tenth_of_variance:?}");
    for (curve, config) in made.iter().zip(&configs) {
        let three_times_c = verdict_under(curve, config, |constants, _| constants.strong_convexity *= 3.0);
        assert!(is_broken(&three_times_c), "3 c passes: {three_times_c:?}");
    }
}

#[test]
fn gradient_descent_shrinks_as_its_arithmetic_says_and_faster_than_the_theorem() {
    for rate in [0.1, 0.5, 1.0] {
        let made = curves(&experiment("steps = 60", &[curve(0, &constant(rate))]));
        let measured = made[0].factor_per_step.unwrap().value;
        // The slowest direction: c = 0.5; at rate 1 the others have gone long before.
        let arithmetic = (1.0 - rate * 0.5_f64).powi(2);
        assert_eq!(made[0].trace.repeats, 1);
        assert!((measured / arithmetic - 1.0).abs() < 0.01, "eta = {rate}: {measured}, not {arithmetic}");
        assert!((made[0].factor_per_step.unwrap().limit.unwrap() - arithmetic).abs() < 1e-12);
        assert!(measured < 1.0 - rate * 0.5, "eta = {rate}: {measured} is not under the theorem's rate");
        assert!(matches!(made[0].verdict, Verdict::Holds { .. }));
    }
}

#[test]
fn the_floor_is_the_exact_one_and_falls_as_one_over_b() {
    let batches = [1, 4, 16, 64];
    let tail: Vec<String> = batches.iter().map(|batch| curve(*batch, &constant(0.1))).collect();
    let made = curves(&experiment("repeats = 400\nsteps = 800", &tail));
    let single = made[0].floor.unwrap().value;
    for (curve, batch) in made.iter().zip(batches) {
        let Fit { value, half_width, exact: in_the_window, limit } = curve.floor.unwrap();
        // sum over lambda of eta sigma² / (2 d b (2 - eta lambda)), and its 95 % interval.
        let exact: f64 =
            [0.5, 0.6, 0.8, 1.0].map(|lambda| 0.1 / (8.0 * batch as f64 * (2.0 - 0.1 * lambda))).iter().sum();
        assert!((limit.unwrap() / exact - 1.0).abs() < 1e-12);
        assert!((in_the_window.unwrap() / exact - 1.0).abs() < 1e-6);
        let half_width = half_width.unwrap();
        assert!((value - exact).abs() < half_width, "b = {batch}: {value} ± {half_width}, not {exact}");
        assert!((value * batch as f64 / single - 1.0).abs() < 0.1, "b = {batch}: {value} is no {batch}-th of {single}");
        assert!(value < curve.bound.as_ref().unwrap().floor().unwrap());
    }
}

#[test]
fn the_floor_is_proportional_to_a_small_rate() {
    let rates = [0.1, 0.05, 0.025];
    let tail: Vec<String> = rates.iter().map(|rate| curve(1, &constant(*rate))).collect();
    let made = curves(&experiment("repeats = 400\nsteps = 1600", &tail));
    let first = made[0].floor.unwrap().value;
    for (curve, rate) in made.iter().zip(rates) {
        let floor = curve.floor.unwrap().value;
        assert!((floor / first * 0.1 / rate - 1.0).abs() < 0.1, "eta = {rate}: {floor} beside {first}");
    }
}

#[test]
fn the_whole_path_of_a_quadratic_is_the_exact_one() {
    let made = curves(&experiment("repeats = 400\nsteps = 200", &[curve(1, &constant(0.2))]));
    let exact = made[0].exact.as_ref().unwrap();
    // 99.99 % intervals: one of two hundred steps outside is no chance any more.
    let outside = made[0]
        .trace
        .error
        .iter()
        .zip(exact)
        .filter(|(band, exact)| (band.mean - **exact).abs() > 2.0 * band.half_width + 1e-14);
    assert_eq!(outside.count(), 0);
    // In one direction the error e has variance V_{t+1} = (1 - eta lambda)² V_t + eta² sigma² / d.
    let of_direction = |lambda: f64, t: i32| {
        let kept = (1.0 - 0.2 * lambda).powi(2 * t);
        kept * 10.0 / 4.0 + (1.0 - kept) * 0.2 / (8.0 * (2.0 - 0.2 * lambda))
    };
    for (t, exact) in exact.iter().enumerate() {
        let expected: f64 = [0.5, 0.6, 0.8, 1.0].map(|lambda| of_direction(lambda, t as i32)).iter().sum();
        assert!((exact / expected - 1.0).abs() < 1e-12, "t = {t}: {exact}, not {expected}");
    }
    assert_eq!(made[0].agreement, Some(Agreement::Agrees));
}

#[test]
fn falling_rates_give_one_over_t_if_they_are_large_enough() {
    let inverse = |tau: f64| format!("inverse-time]\nrate = 0.5\ntime-constant = {tau}");
    // beta = eta_0 tau: 8, 4 and 2 are 4/c, 2/c and 1/c; 0.4 is 0.2/c.
    let tail: Vec<String> = [16.0, 8.0, 0.8].iter().map(|tau| curve(1, &inverse(*tau))).collect();
    let made = curves(&experiment("repeats = 200\nsteps = 20000", &tail));
    for curve in &made[..2] {
        let slope = curve.exponent.unwrap();
        assert!((slope.value + 1.0).abs() < 0.1, "slope {slope:?}");
        assert!(matches!(curve.verdict, Verdict::Holds { .. }), "{:?}", curve.verdict);
    }
    // Too small a beta: t^(-2 beta c).
    let slope = made[2].exponent.unwrap();
    assert!((slope.value + 0.4).abs() < 0.05, "slope {slope:?}");
    assert!(made[2].bound.as_ref().unwrap_err().contains("is not above 1/c"), "{:?}", made[2].bound);
}

#[test]
fn halving_ends_far_below_the_floor_of_a_constant_rate() {
    let estimated =
        curve(4, "error-floor]\nrate = 0.4\nwindow = 100").replace("batch", "tell-constants = false\nbatch");
    let tail = [curve(4, &constant(0.4)), curve(4, "error-floor]\nrate = 0.4"), estimated];
    let made = curves(&experiment("repeats = 200\nsteps = 20000", &tail));
    let floor = made[0].floor.unwrap().value;
    // Known at the 1/t of its bound; the windows of the estimate grow faster than the rates fall.
    for (curve, times) in made[1..].iter().zip([500.0, 50.0]) {
        let last = curve.trace.error.last().unwrap();
        assert!(last.mean + last.half_width < floor / times, "{last:?} beside {floor}");
    }
    // Every halving takes about twice as long as the one before, so after 20000 updates there were more than six.
    assert!(made[1].trace.rates[19_999] < 0.4 / 64.0);
}

/// The floor of the theorem is 200 times the true one there: the rule of the lecture ends above a constant rate, and
/// those that know or find the true floor far below it.
#[test]
fn on_an_ill_conditioned_problem_halving_at_the_floor_of_the_theorem_loses_to_a_constant_rate() {
    let rule = |more: &str| curve(4, &format!("error-floor]\nrate = 0.4{more}"));
    let estimated = rule("").replace("batch", "tell-constants = false\nbatch");
    let tail = [curve(4, &constant(0.4)), rule(""), rule("\nfloor = \"true\""), estimated];
    let problem = "[problem.quadratic]\nspectrum = [0.01, 0.05, 0.2, 1.0]\nstart-error = 10.0\n";
    let text = format!("title = \"t\"\nrepeats = 50\nsteps = 20000\n{problem}{}", tail.concat());
    let made = curves(&text);
    let [constant, theorem, truth, estimated] =
        [0, 1, 2, 3].map(|index: usize| made[index].trace.error.last().unwrap().mean);
    assert!(theorem > 2.0 * constant, "{theorem} beside {constant}");
    assert!(truth < constant / 30.0, "{truth} beside {constant}");
    assert!(estimated < constant / 10.0, "{estimated} beside {constant}");
}

#[test]
fn updates_to_an_error_grow_with_its_logarithm_or_with_its_inverse() {
    // Far down, where the slowest direction alone is left.
    let head = "steps = 400\niterations-to = [1e-6, 1e-7, 1e-8, 1e-9, 1e-10]";
    let made = curves(&experiment(head, &[curve(0, &constant(0.1))]));
    let geometric = made[0].iterations.as_ref().unwrap();
    // The slowest direction: 1 / -ln((1 - 0.05)²) updates for a factor e.
    let expected = -1.0 / (0.95_f64.powi(2)).ln();
    assert!((geometric.per_e_fold.unwrap().value / expected - 1.0).abs() < 0.05, "{geometric:?}, not {expected}");
    let head = "repeats = 200\nsteps = 4000\niterations-to = [0.03, 0.01, 0.003, 0.001]";
    let made = curves(&experiment(head, &[curve(1, "inverse-time]\nrate = 0.5\ntime-constant = 16.0")]));
    let stochastic = made[0].iterations.as_ref().unwrap();
    assert!(stochastic.reached.iter().all(|(_, steps)| steps.is_some()), "{stochastic:?}");
    let exponent = stochastic.exponent.unwrap();
    assert!((exponent.value - 1.0).abs() < 0.1, "{stochastic:?}");
}

#[test]
fn divergence_is_told_with_its_step_and_the_bound_that_it_broke() {
    let made = curves(&experiment("steps = 400", &[curve(0, &constant(2.2)), curve(2, &constant(2.5))]));
    for curve in &made {
        let Verdict::Diverged { step, rate, limit } = curve.verdict else { panic!("{:?}", curve.verdict) };
        assert!(step > 10 && step < 400 && rate >= 2.2, "{:?}", curve.verdict);
        assert!((limit.unwrap() - 2.0).abs() < 1e-12);
        assert!(curve.trace.error.iter().all(|band| band.mean.is_finite() && band.half_width.is_finite()));
        assert_eq!(curve.trace.error.len() as u64, step);
    }
    // The steepest direction grows by 1.2² a step from a quarter of the error: 10 / 4 * 1.44^t passes a million times
    // 10.
    let Verdict::Diverged { step, .. } = made[0].verdict else { unreachable!() };
    assert_eq!(step, (4e6_f64.ln() / 1.44_f64.ln()).ceil() as u64);
}

#[test]
fn at_and_above_the_limit_of_stability_nothing_is_called_a_floor() {
    // Twice 1/L without noise, and with it: neither NaN nor infinity may stand for a floor.
    let problem = |variance: f64| format!("[problem.quadratic]\nspectrum = [0.5, 1.0]\nvariance = {variance}\n");
    for (variance, rate) in [(0.0, 2.0), (1.0, 2.0), (1.0, 2.01)] {
        let text = format!("title = \"test\"\nsteps = 100\n{}{}", problem(variance), curve(1, &constant(rate)));
        let made = curves(&text);
        assert!(made[0].floor.is_none_or(|floor| floor.limit.is_none()), "variance {variance}, rate {rate}");
        assert!(made[0].exact.iter().flatten().all(|exact| exact.is_finite()));
        assert!(made[0].floor.is_none_or(|floor| variance == 0.0 && floor.value.is_finite()), "{:?}", made[0].floor);
    }
}

#[test]
fn one_noisy_repeat_is_held_against_no_bound() {
    let made = curves(&experiment("repeats = 1\nsteps = 50", &[curve(1, &constant(0.2))]));
    assert_eq!(made[0].verdict, Verdict::TooFewRepeats);
    assert_eq!(made[0].agreement, Some(Agreement::TooFewRepeats));
    assert_eq!(made[0].floor, None);
}

#[test]
fn a_weight_decay_acts_on_the_weights_and_leaves_the_theorem() {
    let decayed = format!("{}[curves.optimizer.sgd]\nweight-decay = 0.5\n", curve(0, &constant(0.5)));
    let made = curves(&experiment("steps = 200", &[decayed]));
    // It ends at the minimum of another objective.
    assert!(made[0].trace.error[200].mean > 1e-3, "{:?}", made[0].trace.error[200]);
    assert_eq!(made[0].bound, Err("the theorems are about plain gradient descent".into()));
}

#[test]
fn noise_of_variance_zero_is_the_full_gradient() {
    let head = "title = \"test\"\nrepeats = 3\nsteps = 50";
    let problem = "[problem.quadratic]\nspectrum = [0.5, 1.0]\nvariance = 0.0\n";
    let text = format!("{head}\n{problem}{}{}", curve(0, &constant(0.3)), curve(7, &constant(0.3)));
    let made = curves(&text);
    for (one, other) in made[0].trace.error.iter().zip(&made[1].trace.error) {
        assert!((one.mean - other.mean).abs() <= 1e-14 * one.mean.max(1e-16), "{one:?} {other:?}");
    }
}

#[test]
fn the_same_seed_makes_the_same_path_and_another_seed_another() {
    let text = |seed: u32| {
        experiment(
            &format!("seed = {seed}\nrepeats = 8\nsteps = 30"),
            &[curve(2, &constant(0.3)), curve(2, &constant(0.3))],
        )
    };
    let (first, second, other) = (curves(&text(1)), curves(&text(1)), curves(&text(2)));
    assert_eq!(first[0].trace, second[0].trace);
    assert_ne!(first[0].trace.error[30], other[0].trace.error[30]);
    // Each curve has draws of its own.
    assert_ne!(first[0].trace.error[30], first[1].trace.error[30]);
}

#[test]
fn repeats_side_by_side_have_rates_of_their_own() {
    // Each schedule watches its own loss, so in the mean over 50 repeats the rate falls in small steps.
    let plateau = curve(1, "reduce-on-plateau]\nrate = 0.4\nfactor = 0.5\npatience = 3\nwatch = \"training\"");
    let made = curves(&experiment("repeats = 50\nsteps = 60", &[plateau]));
    let rates = &made[0].trace.rates;
    let distinct = rates.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(distinct > 10 && rates.windows(2).all(|pair| pair[1] <= pair[0]), "{rates:?}");
}

#[test]
fn every_optimizer_descends_on_a_quadratic() {
    for optimizer in
        ["sgd]\nmomentum = 0.5", "adam", "adamw", "rmsprop", "lion", "schedule-free-sgd", "schedule-free-adamw"]
    {
        let table = if optimizer.contains(']') { optimizer.to_string() } else { format!("{optimizer}]") };
        let text = experiment(
            "repeats = 20\nsteps = 400",
            &[format!("{}[curves.optimizer.{table}\n", curve(4, &constant(0.05)))],
        );
        let made = curves(&text);
        let (first, last) = (made[0].trace.error[0].mean, made[0].trace.error[400].mean);
        assert!(last < 0.02 * first, "{optimizer}: {first} to {last}");
        if !optimizer.starts_with("sgd") {
            assert_eq!(made[0].verdict, Verdict::NoTheorem, "{optimizer}");
        }
    }
}

#[test]
fn a_network_has_no_theorem_and_says_so() {
    let text = format!(
        "title = \"test\"\nrepeats = 4\nsteps = 100\n[problem.neural-network.data.generated]\nsamples = 50\nfeatures = \
         3\n{}{}",
        curve(0, &constant(0.1)),
        curve(5, &constant(0.1))
    );
    for curve in curves(&text) {
        assert_eq!((curve.verdict, curve.bound), (Verdict::NoTheorem, Err("F is not convex".into())));
        assert!(curve.constants.is_none() && curve.floor.is_none());
        assert!(curve.trace.error[100].mean < 0.7 * curve.trace.error[0].mean);
    }
}

/// The part of a network's configuration that the lab has too.
#[derive(serde::Serialize, serde::Deserialize)]
struct Network {
    schedule: ScheduleConfig,
}

#[test]
fn one_table_of_a_schedule_serves_both_worlds() {
    for schedule in ScheduleConfig::examples(0.4, 40) {
        let file = toml::to_string(&Network { schedule: schedule.clone() }).unwrap();
        let table = file.strip_prefix("[schedule.").unwrap();
        let text = experiment("steps = 40\nrepeats = 3", &[curve(1, table)]);
        let of_the_lab = read(&text).unwrap_or_else(|errors| panic!("{errors}")).curves.remove(0).schedule;
        // As the file of a network has it, beside sections that mean nothing to the lab.
        let source = kiln_settings::Source::new("run.toml", file.clone());
        let network: Network =
            kiln_settings::read(&source, &[], |_| Vec::new()).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!((&of_the_lab, &network.schedule), (&schedule, &schedule), "{file}");
        // What the network's file gives by time is what the lab descends by.
        if schedule.is_by_time() {
            let mut schedule = schedule.build(40);
            let expected: Vec<f64> = (0..40).map(|_| schedule.next_rate()).collect();
            assert_eq!(curves(&text)[0].trace.rates, expected, "{file}");
        }
    }
}

#[test]
fn the_lab_computes_in_double_precision_on_the_processor() {
    assert!(arithmetic().is_double());
    let made = curves(&experiment("steps = 60", &[curve(0, &constant(1.0))]));
    // Single precision would stop near 1e-13.
    assert!(made[0].trace.error[60].mean < 1e-25, "{:?}", made[0].trace.error[60]);
}
