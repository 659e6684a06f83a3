//! How often the lab's verdicts are wrong where theory is right, and how often they find what is wrong: many equal
//! curves of each experiment, each with draws of its own. `cargo run --release --example audit -- 400` prints the table
//! of docs/convergence-audit.md; without a number there are 40 curves each.

#![expect(clippy::print_stdout, reason = "it is a program")]

use burn::tensor::Device;
use kiln_convergence::{Agreement, Arithmetic, Bound, CurveOutcome, Experiment, Theorem, Verdict, run};
use kiln_settings::Source;

/// An experiment: its name, its head and its problem, the keys of its curves.
struct Study {
    name: String,
    head: String,
    curve: String,
}

fn quadratic(name: &str, repeats: usize, steps: u64, spectrum: &[f64], curve: &str) -> Study {
    let head = format!("repeats = {repeats}\nsteps = {steps}\n[problem.quadratic]\nspectrum = {spectrum:?}\n");
    Study { name: format!("{name}; R = {repeats}, {steps} updates"), head, curve: curve.to_owned() }
}

fn constant(batch: usize, rate: f64) -> String {
    format!("batch = {batch}\n[curves.schedule.constant]\nrate = {rate}\n")
}

/// Least squares at a part of the rate from which on the expectation grows without end.
fn regression(limit: f64, part: f64) -> Study {
    let head = format!("repeats = 200\nsteps = 400\n{DATA}");
    let name = format!("least squares, b = 1, {part} of the limit of stability; R = 200, 400 updates");
    Study { name, head, curve: constant(1, part * limit) }
}

const DATA: &str = "[problem.linear-regression.data.generated]\nsamples = 442\nfeatures = 10\ncondition = 10.0\n";

const FOUR: [f64; 4] = [0.5, 0.6, 0.8, 1.0];

fn studies(limit: f64) -> Vec<Study> {
    let falling = "batch = 1\n[curves.schedule.inverse-time]\nrate = 0.5\ntime-constant = 16.0\n";
    let momentum = format!("{}[curves.optimizer.sgd]\nmomentum = 0.9\n", constant(1, 0.02));
    let mut studies = Vec::new();
    for repeats in [10, 20, 50, 200] {
        studies.push(quadratic("one dimension, eta = 1/L", repeats, 300, &[1.0], &constant(1, 1.0)));
    }
    studies.push(quadratic("one dimension, eta = 1/L", 200, 3000, &[1.0], &constant(1, 1.0)));
    studies.push(quadratic("one dimension, eta = 0.1/L", 50, 300, &[1.0], &constant(1, 0.1)));
    studies.push(quadratic("one dimension, eta = 0.1/L", 200, 300, &[1.0], &constant(1, 0.1)));
    studies.push(quadratic("ten equal eigenvalues, eta = 1/L", 200, 300, &[1.0; 10], &constant(1, 1.0)));
    studies.push(quadratic("four eigenvalues, eta = 0.1/L", 200, 300, &FOUR, &constant(1, 0.1)));
    studies.push(quadratic("four eigenvalues, beta = 4/c", 200, 3000, &FOUR, falling));
    studies.push(quadratic("four eigenvalues, momentum 0.9", 200, 300, &FOUR, &momentum));
    studies.extend([0.1, 0.3, 0.5, 0.7, 0.9].map(|part| regression(limit, part)));
    studies
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(40), |count| count.parse())?;
    let short = Study { name: String::new(), head: format!("steps = 10\n{DATA}"), curve: constant(1, 0.01) };
    let limit = made(&short, 1)?[0].stability_limit.unwrap_or(f64::NAN);
    println!(
        "| experiment | above the bound | off the exact expectation | cannot say (bound, exact) \
              | found: bound 20 % below the expectation | found: expectation 10 % off |"
    );
    println!("|---|---|---|---|---|---|");
    for study in studies(limit) {
        let curves = made(&study, count)?;
        let percent = |is: &dyn Fn(&CurveOutcome) -> bool| {
            format!("{:.1} %", 100.0 * curves.iter().filter(|curve| is(curve)).count() as f64 / count as f64)
        };
        let above = percent(&|curve| matches!(verdict(curve), Some(Verdict::Broken { .. })));
        let off = percent(&|curve| matches!(agreement(curve, 1.0), Some(Agreement::Differs { .. })));
        let no_bound = percent(&|curve| matches!(verdict(curve), Some(Verdict::TooFewRepeats) | None));
        let silent = |agreement: &Agreement| matches!(agreement, Agreement::TooFewRepeats | Agreement::HeavyTail);
        let no_exact = percent(&|curve| agreement(curve, 1.0).as_ref().is_some_and(silent));
        let bound_found = percent(&|curve| finds_bound(curve));
        let exact_found = percent(&|curve| matches!(agreement(curve, 1.1), Some(Agreement::Differs { .. })));
        println!("| {} | {above} | {off} | {no_bound}, {no_exact} | {bound_found} | {exact_found} |", study.name);
    }
    Ok(())
}

fn made(study: &Study, count: usize) -> Result<Vec<CurveOutcome>, Box<dyn std::error::Error>> {
    let curves: Vec<String> =
        (0..count).map(|index| format!("[[curves]]\nlabel = \"{index}\"\n{}", study.curve)).collect();
    let text = format!("title = \"audit\"\n{}{}", study.head, curves.concat());
    let experiment = Experiment::read(&Source::new("audit.toml", text), &[])?;
    Ok(run(&experiment, &Arithmetic::of(Device::flex()), &mut |_| true)?.curves)
}

/// Whether a bound that starts as the expectation does, and has a floor a fifth below where that ends, is called
/// broken.
fn finds_bound(curve: &CurveOutcome) -> bool {
    let (Some(exact), Some(known)) = (&curve.exact, &curve.constants) else { return false };
    let factor = 1.0 - 2.0 * curve.trace.rates[0] * known.strong_convexity;
    let floor = 0.8 * exact[exact.len() - 1];
    let bound = Bound { theorem: Theorem::ConstantRate { factor: factor.max(0.0), floor }, start: exact[0] };
    let verdict = Verdict::of(&curve.trace, &bound, 1, &Arithmetic::of(Device::flex()));
    matches!(verdict, Verdict::Broken { .. })
}

/// What the curve by itself says of its bound.
fn verdict(curve: &CurveOutcome) -> Option<Verdict> {
    Some(Verdict::of(&curve.trace, curve.bound.as_ref().ok()?, 1, &Arithmetic::of(Device::flex())))
}

/// What the curve by itself says of its exact expectation, multiplied by `factor` from the first update on.
fn agreement(curve: &CurveOutcome, factor: f64) -> Option<Agreement> {
    let exact = curve.exact.as_ref()?.iter().enumerate();
    let exact: Vec<f64> = exact.map(|(t, exact)| if t > 0 { exact * factor } else { *exact }).collect();
    Some(Agreement::of(&curve.trace, &exact, 1, &Arithmetic::of(Device::flex())))
}
