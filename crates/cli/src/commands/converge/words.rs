//! What an experiment says, in words and tables.

use comfy_table::{ContentArrangement, Table, presets};
use kiln_convergence::{Agreement, Constants, Convexity, CurveOutcome, Fit, Variance, Verdict, apart, number};

use super::made::Made;
use super::theorems;

/// The headings of the table of curves.
pub(super) const COLUMNS: [&str; 7] =
    ["curve", "last error", "bound", "bound / error", "measured", "against the bound", "against the exact"];

/// What the table means by its signs.
pub(super) const LEGEND: &str =
    "± is the half-width of a 95 % interval; verdicts are at a level of 5 % for all updates of all curves together";

/// What the table of updates to an error means by its own.
pub(super) fn fit_legend(made: &Made) -> String {
    format!(
        "{} until the mean error is at most epsilon, and in brackets until its exact expectation is; ± is the \
         half-width of a 95 % interval",
        made.counted()
    )
}

/// The report of one experiment on the terminal.
pub(super) fn report(made: &Made) -> String {
    let mut text = format!("\n{}\n", made.experiment.title);
    for line in facts(made) {
        text.push_str(&format!("{line}\n"));
    }
    text.push_str(&format!("{}\n", table(&COLUMNS, rows(made))));
    text.push_str(&format!("{LEGEND}\n"));
    for line in remarks(made) {
        text.push_str(&format!("{line}\n"));
    }
    if let Some((columns, rows)) = iterations(made) {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        text.push_str(&format!("{}\n{}\n", fit_legend(made), table(&columns, rows)));
    }
    text
}

fn table(columns: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns);
    table.add_rows(rows);
    table
}

/// The problems of an experiment with their constants, each once.
pub(super) fn facts(made: &Made) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for curve in &made.outcome.curves {
        let line = match &curve.constants {
            Some(known) => format!("{}:\n  {}; {}", curve.problem, constants(known), variance(made, known)),
            None => {
                let known = curve.smoothness.map(|l| format!("L = {}, F is never below 0; F* is not known", number(l)));
                format!("{}:\n  {}", curve.problem, known.unwrap_or("c, L and F* are not known".into()))
            }
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn constants(known: &Constants) -> String {
    let Constants { strong_convexity: c, smoothness: l, minimum, minimizer_error, minimizer, .. } = known;
    let at = minimizer.iter().take(4).map(|weight| number(*weight)).collect::<Vec<_>>().join(", ");
    let more = if minimizer.len() > 4 { ", ..." } else { "" };
    let certificate = match minimizer_error {
        0.0 => "by construction".to_string(),
        error => format!("to within {error:.0e}"),
    };
    let c_of = match known.convexity {
        Convexity::Singular => {
            " (the smallest eigenvalue that is not 0, which those below 1e-12 L count as: the Hessian is singular, F \
             has many minima)"
        }
        Convexity::Strong | Convexity::Quadratic => "",
    };
    let minimum = if minimum.abs() >= 1e-3 { format!("{minimum:.12}") } else { number(*minimum) };
    format!(
        "c = {}{c_of}, L = {}, L/c = {}, F* = {minimum} at w* = ({at}{more}) {certificate}",
        number(*c),
        number(*l),
        number(known.condition()),
    )
}

/// sigma², and how it is known; and where the noise of data that grows with the weights would win.
fn variance(made: &Made, known: &Constants) -> String {
    if let Variance::Exact(variance) = known.variance {
        return format!("sigma² = {} (exact)", number(variance));
    }
    let of_problem = || made.outcome.curves.iter().filter(|curve| curve.constants.as_ref() == Some(known));
    let met: Vec<f64> = of_problem().filter_map(|curve| curve.trace.variance).collect();
    let (least, most) = (met.iter().copied().fold(f64::INFINITY, f64::min), met.iter().copied().fold(0.0, f64::max));
    let range = if least < most { format!("{} to {}", number(least), number(most)) } else { number(most) };
    let mut text = format!(
        "sigma² = {range} (an estimate: the largest met on the paths of each curve, looked at every {} updates, \
         which its bound takes; since it was measured on these paths, the bound can hardly fail on them)",
        made.experiment.validate_every
    );
    let (at_minimum, largest) = (number(known.noise_at_minimum), number(known.sample_smoothness));
    text += &format!("; at the minimum sigma*² = {at_minimum}, known beforehand, and L_max of a sample {largest}");
    let mut limits: Vec<String> = Vec::new();
    for (config, curve) in made.experiment.curves.iter().zip(&made.outcome.curves) {
        if let (Some(batch), Some(limit), true) =
            (config.batch, curve.stability_limit, curve.constants.as_ref() == Some(known))
        {
            let limit = format!("{} for b = {batch}", number(limit));
            if !limits.contains(&limit) {
                limits.push(limit);
            }
        }
    }
    if !limits.is_empty() {
        let limits = limits.join(", ");
        text += &format!(
            "; the expected error stays finite up to a constant rate of {limits} (exact; 2/L = {})",
            number(2.0 / known.smoothness)
        );
    }
    text
}

/// A row of the table for each curve.
pub(super) fn rows(made: &Made) -> Vec<Vec<String>> {
    made.outcome.curves.iter().map(row).collect()
}

fn row(curve: &CurveOutcome) -> Vec<String> {
    let last = match curve.trace.error.last() {
        Some(band) if matches!(curve.verdict, Verdict::Diverged { .. }) => format!("{} and rising", number(band.mean)),
        // Repeats without noise differ by rounding.
        Some(band) if band.half_width > 1e-12 * band.mean => {
            format!("{} ± {}", number(band.mean), number(band.half_width))
        }
        Some(band) => number(band.mean),
        None => "none".into(),
    };
    let time = last_compared(curve);
    let bound = curve.bound.as_ref().map_or_else(|_| "none".into(), |bound| number(bound.at(time)));
    let tightness = match curve.verdict {
        Verdict::Holds { tightness, until } if until < time => format!("{} at {until}", number(tightness)),
        Verdict::Holds { tightness, .. } => number(tightness),
        _ => String::new(),
    };
    vec![curve.label.clone(), last, bound, tightness, measured(curve), verdict(curve), agreement(curve)]
}

/// The last evaluated update that the bound says something of.
fn last_compared(curve: &CurveOutcome) -> u64 {
    let covers = |t: &&u64| curve.bound.as_ref().map_or(true, |bound| bound.covers(**t));
    curve.trace.times.iter().rev().find(covers).copied().unwrap_or_default()
}

/// What was fitted, beside what it should be.
fn measured(curve: &CurveOutcome) -> String {
    let mut parts = Vec::new();
    if let Some(factor) = curve.factor_per_step {
        parts.push(format!("factor a step {}", fit(factor, |value| format!("{value:.6}"))));
    }
    if let Some(floor) = curve.floor.filter(|_| curve.exponent.is_none()) {
        let bound = curve.bound.as_ref().ok().and_then(kiln_convergence::Bound::floor);
        let bound = bound.map_or_else(String::new, |bound| format!(", bound {}", number(bound)));
        parts.push(format!("floor {}{bound}", fit(floor, number)));
    }
    if let Some(exponent) = curve.exponent {
        parts.push(format!("slope {}", fit(exponent, |value| format!("{value:.3}"))));
    }
    if let (Some(first), Some(last)) = (curve.trace.rates.first(), curve.trace.rates.last())
        && first != last
    {
        parts.push(format!("rate {} to {}", number(*first), number(*last)));
    }
    parts.join("; ")
}

/// A fit with its interval, and what it would be on the exact expectation and in the end.
fn fit(fit: Fit, format: impl Fn(f64) -> String) -> String {
    let half_width = fit.half_width.map_or_else(String::new, |half_width| format!(" ± {half_width:.1e}"));
    let exact = fit.exact.map_or_else(String::new, |exact| format!(", exact {}", format(exact)));
    let limit = fit.limit.map_or_else(String::new, |limit| format!(", in the end {}", format(limit)));
    format!("{}{half_width}{exact}{limit}", format(fit.value))
}

/// What a curve says of its theorem, in a word or two.
fn verdict(curve: &CurveOutcome) -> String {
    // A bound by a variance that was met on these very paths is no test of the theorem.
    let is_estimate = curve.constants.as_ref().is_some_and(|known| known.variance == Variance::Sampled);
    let takes_it = curve.bound.as_ref().is_ok_and(kiln_convergence::Bound::takes_variance);
    let estimate = if is_estimate && takes_it && curve.trace.is_noisy { " (sigma² from these paths)" } else { "" };
    match &curve.verdict {
        Verdict::Holds { until, .. } if *until < last_compared(curve) => {
            format!("under the bound{estimate}; the error is rounding after {until}")
        }
        Verdict::Holds { .. } => format!("under the bound{estimate}"),
        Verdict::Broken { step, updates, .. } => {
            format!("ABOVE the bound{estimate} at {updates} updates, first at {step}")
        }
        Verdict::TooFewRepeats => "too few repeats to say".into(),
        Verdict::NoTheorem => theorems::of_gradients(curve).unwrap_or("no bound").into(),
        Verdict::Diverged { step, .. } => format!("diverged at step {step}"),
    }
}

/// What it says of its exact expectation.
fn agreement(curve: &CurveOutcome) -> String {
    match &curve.agreement {
        None => String::new(),
        Some(Agreement::Agrees) => "agrees".into(),
        Some(Agreement::Differs { from, to, .. }) => format!("DIFFERS, first in updates {from} to {to}"),
        Some(Agreement::TooFewRepeats) => "too few repeats to say".into(),
        Some(Agreement::HeavyTail) => "hangs on few repeats".into(),
    }
}

/// Why there is no bound, where one was broken, which bound a divergence broke, and what else has to be known of a
/// curve: a line each.
pub(super) fn remarks(made: &Made) -> Vec<String> {
    let of_curve = |curve: &CurveOutcome| {
        let remarks = [
            reason(curve),
            theorems::theorem(curve),
            theorems::lemma(curve),
            theorems::stationarity(curve),
            difference(curve),
            unstable(curve),
            few_repeats(curve),
            left_out(curve),
        ];
        let label = curve.label.clone();
        remarks.into_iter().flatten().map(move |remark| format!("{label}: {remark}"))
    };
    made.outcome.curves.iter().flat_map(of_curve).collect()
}

fn reason(curve: &CurveOutcome) -> Option<String> {
    match (&curve.verdict, &curve.bound) {
        (Verdict::Broken { step, error, bound, .. }, _) => {
            let (error, bound) = apart(*error, *bound);
            Some(format!("at update {step} the mean is {error}, the bound {bound}"))
        }
        (Verdict::TooFewRepeats, _) if curve.trace.repeats == 1 => {
            Some("one repeat says nothing of an expectation".into())
        }
        (Verdict::TooFewRepeats, _) => Some(format!(
            "with {} repeats the interval of the mean reaches 0 at most updates, so no bound could be broken",
            curve.trace.repeats
        )),
        (Verdict::NoTheorem, Err(reason)) => Some(format!("no bound, since {reason}")),
        (Verdict::Diverged { rate, limit: Some(limit), .. }, _) if rate > limit => {
            let (rate, limit) = apart(*rate, *limit);
            Some(format!(
                "diverged, since the rate {rate} is beyond 2/L = {limit}: the steepest direction grows with every \
                 update"
            ))
        }
        (Verdict::Diverged { rate, limit, .. }, _) => {
            let noise = "; the rate is not beyond 2/L, so it is noise that grows with the weights";
            let noise = if limit.is_some() { noise } else { "" };
            Some(format!("diverged: at rate {} the error became a million times what it was{noise}", number(*rate)))
        }
        _ => None,
    }
}

fn difference(curve: &CurveOutcome) -> Option<String> {
    let Some(Agreement::Differs { from, to, mean, exact }) = curve.agreement else { return None };
    let (mean, exact) = apart(mean, exact);
    Some(format!("over the updates {from} to {to} the mean is {mean}, the exact expectation {exact}"))
}

/// A rate at which the expectation has no bound, whatever the paths look like.
fn unstable(curve: &CurveOutcome) -> Option<String> {
    let limit = curve.stability_limit?;
    // A rate that falls below it in time does no harm.
    let rate = curve.trace.rates.last().copied()?;
    let (rate_text, limit_text) = apart(rate, limit);
    (rate >= limit).then(|| {
        format!(
            "the rate {rate_text} is beyond {limit_text}, where the expected error of this batch size grows without \
             end: the variance of the gradient grows with the weights, and the theorem assumes that it is bounded"
        )
    })
}

fn few_repeats(curve: &CurveOutcome) -> Option<String> {
    let few = curve.few_repeats?;
    Some(format!(
        "one repeat of {} is {:.0} % of the sum over the updates {} to {}: the mean hangs on few repeats, and its \
         band is too narrow",
        curve.trace.repeats,
        few.share * 100.0,
        few.from,
        few.to
    ))
}

fn left_out(curve: &CurveOutcome) -> Option<String> {
    let (work, most) = curve.left_out?;
    Some(format!(
        "the exact expectation is left out: it takes {} multiplications, more than {}",
        number(work),
        number(most)
    ))
}

/// The updates to each error: headings and a row for each curve.
pub(super) fn iterations(made: &Made) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let epsilons = &made.experiment.iterations_to;
    if epsilons.is_empty() {
        return None;
    }
    let mut columns = vec!["curve".to_string()];
    columns.extend(epsilons.iter().map(|epsilon| number(*epsilon)));
    columns.push("fit".into());
    let row = |curve: &CurveOutcome| {
        let iterations = curve.iterations.as_ref()?;
        let mut row = vec![curve.label.clone()];
        let count = |steps: Option<u64>| {
            steps.map_or_else(|| "never".to_string(), |steps| (steps * curve.per_update).to_string())
        };
        row.extend(iterations.reached.iter().enumerate().map(|(index, (_, steps))| match &iterations.exact {
            Some(exact) if curve.trace.is_noisy => format!("{} ({})", count(*steps), count(exact[index])),
            _ => count(*steps),
        }));
        let three = |value: f64| format!("{value:.3}");
        row.push(match (curve.factor_per_step, iterations.per_e_fold, iterations.exponent) {
            (Some(_), Some(slope), _) => format!("steps for each factor e of 1/epsilon: {}", fit(slope, number)),
            (None, _, Some(exponent)) => format!("exponent of 1/epsilon: {}", fit(exponent, three)),
            _ => String::new(),
        });
        Some(row)
    };
    Some((columns, made.outcome.curves.iter().filter_map(row).collect()))
}
