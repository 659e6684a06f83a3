//! What an experiment says, in words and tables.

use comfy_table::{ContentArrangement, Table, presets};
use kiln_convergence::{Constants, CurveOutcome, Estimate, Variance, Verdict};

use super::made::Made;

/// The headings of the table of curves.
pub(super) const COLUMNS: [&str; 6] = ["curve", "last error (95 %)", "bound", "bound / error", "measured", "verdict"];

/// The report of one experiment on the terminal.
pub(super) fn report(made: &Made) -> String {
    let mut text = format!("\n{}\n", made.experiment.title);
    for line in facts(made) {
        text.push_str(&format!("{line}\n"));
    }
    text.push_str(&format!("{}\n", table(&COLUMNS, rows(made))));
    for line in reasons(made) {
        text.push_str(&format!("{line}\n"));
    }
    if let Some((columns, rows)) = iterations(made) {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        text.push_str(&format!("updates until the mean error is at most epsilon\n{}\n", table(&columns, rows)));
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
            None => format!("{}:\n  c, L and F* are not known", curve.problem),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn constants(known: &Constants) -> String {
    let Constants { strong_convexity: c, smoothness: l, minimum, minimizer_error, minimizer, .. } = known;
    let at = minimizer.iter().take(4).map(|weight| format!("{weight:.4}")).collect::<Vec<_>>().join(", ");
    let more = if minimizer.len() > 4 { ", ..." } else { "" };
    let certificate = match minimizer_error {
        0.0 => "by construction".to_string(),
        error => format!("to within {error:.0e}"),
    };
    format!(
        "c = {}, L = {}, L/c = {}, F* = {minimum:.12} at w* = ({at}{more}) {certificate}",
        number(*c),
        number(*l),
        number(known.condition()),
    )
}

/// sigma², and how it is known.
fn variance(made: &Made, known: &Constants) -> String {
    if let Variance::Exact(variance) = known.variance {
        return format!("sigma² = {} (exact)", number(variance));
    }
    let of_problem = made.outcome.curves.iter().filter(|curve| curve.constants.as_ref() == Some(known));
    let met: Vec<f64> = of_problem.filter_map(|curve| curve.trace.variance).collect();
    let (least, most) = (met.iter().copied().fold(f64::INFINITY, f64::min), met.iter().copied().fold(0.0, f64::max));
    let range = if least < most { format!("{} to {}", number(least), number(most)) } else { number(most) };
    format!(
        "sigma² = {range} (an estimate: the largest met on the paths of each curve, looked at every {} updates, \
         which its bound takes)",
        made.experiment.validate_every
    )
}

/// A row of the table for each curve.
pub(super) fn rows(made: &Made) -> Vec<Vec<String>> {
    made.outcome.curves.iter().map(row).collect()
}

fn row(curve: &CurveOutcome) -> Vec<String> {
    // Below the digits of the arithmetic there is nothing to compare.
    let steps = match curve.verdict {
        Verdict::Holds { until, .. } => until,
        _ => curve.trace.error.len().saturating_sub(1) as u64,
    };
    let last = match curve.trace.error.get(steps as usize) {
        Some(band) if matches!(curve.verdict, Verdict::Diverged { .. }) => format!("{} and rising", number(band.mean)),
        Some(band) if band.half_width > 0.0 => format!("{} ± {}", number(band.mean), number(band.half_width)),
        Some(band) => number(band.mean),
        None => "none".into(),
    };
    let bound = curve.bound.as_ref().map_or_else(|_| "none".into(), |bound| number(bound.at(steps)));
    let tightness = match curve.verdict {
        Verdict::Holds { tightness, .. } => number(tightness),
        _ => String::new(),
    };
    vec![curve.label.clone(), last, bound, tightness, measured(curve), verdict(curve)]
}

/// What was fitted, beside what it should be.
fn measured(curve: &CurveOutcome) -> String {
    let mut parts = Vec::new();
    if let Some(rate) = curve.rate_per_step {
        let exact = curve.exact_rate_per_step.map_or_else(String::new, |exact| format!(", arithmetic {exact:.6}"));
        parts.push(format!("factor {} a step{exact}", estimate(rate)));
    }
    if let Some(floor) = curve.floor.filter(|_| curve.exponent.is_none()) {
        let exact = curve.exact_floor.map_or_else(String::new, |exact| format!(", exact {}", number(exact)));
        let bound = curve.bound_floor().map_or_else(String::new, |bound| format!(", bound {}", number(bound)));
        parts.push(format!("floor {}{exact}{bound}", estimate(floor)));
    }
    if let Some(exponent) = curve.exponent {
        parts.push(format!("slope {:.3} ± {:.3}", exponent.value, exponent.error));
    }
    if let (Some(first), Some(last)) = (curve.trace.rates.first(), curve.trace.rates.last())
        && first != last
    {
        parts.push(format!("rate {} to {}", number(*first), number(*last)));
    }
    parts.join("; ")
}

/// What a curve says of its theorem, in a word or two.
fn verdict(curve: &CurveOutcome) -> String {
    match &curve.verdict {
        Verdict::Holds { until, .. } if until + 1 < curve.trace.error.len() as u64 => {
            format!("under the bound at every update; the error is rounding after {until}")
        }
        Verdict::Holds { .. } => "under the bound at every update".into(),
        Verdict::Broken { step, updates, .. } => format!("ABOVE the bound at {updates} updates, first at {step}"),
        Verdict::NoTheorem => "no bound".into(),
        Verdict::Diverged { step, .. } => format!("diverged at step {step}"),
    }
}

/// Why there is no bound, where one was broken, and which bound a divergence broke: a line for each such curve.
pub(super) fn reasons(made: &Made) -> Vec<String> {
    made.outcome.curves.iter().filter_map(|curve| Some(format!("{}: {}", curve.label, reason(curve)?))).collect()
}

fn reason(curve: &CurveOutcome) -> Option<String> {
    match (&curve.verdict, &curve.bound) {
        (Verdict::Broken { step, error, bound, .. }, _) => {
            Some(format!("at update {step} the mean is {}, the bound {}", number(*error), number(*bound)))
        }
        (Verdict::NoTheorem, Err(reason)) => Some(format!("no bound, since {reason}")),
        (Verdict::Diverged { rate, limit: Some(limit), .. }, _) if rate > limit => Some(format!(
            "diverged, since the rate {} is beyond 2/L = {}: the steepest direction grows with every update",
            number(*rate),
            number(*limit)
        )),
        (Verdict::Diverged { rate, limit, .. }, _) => {
            let noise = "; the rate is not beyond 2/L, so it is noise that grows with the weights";
            let noise = if limit.is_some() { noise } else { "" };
            Some(format!("diverged: at rate {} the error became a million times what it was{noise}", number(*rate)))
        }
        _ => None,
    }
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
        row.extend(
            iterations
                .reached
                .iter()
                .map(|(_, steps)| steps.map_or_else(|| "never".to_string(), |steps| steps.to_string())),
        );
        let is_geometric = curve.rate_per_step.is_some();
        row.push(match (is_geometric, iterations.per_e_fold, iterations.exponent) {
            (true, Some(slope), _) => format!("{} steps for each factor e of 1/epsilon", estimate(slope)),
            (false, _, Some(exponent)) => format!("(1/epsilon)^{:.3} ± {:.3}", exponent.value, exponent.error),
            _ => String::new(),
        });
        Some(row)
    };
    Some((columns, made.outcome.curves.iter().filter_map(row).collect()))
}

fn estimate(estimate: Estimate) -> String {
    format!("{} ± {:.1e}", number(estimate.value), estimate.error)
}

/// A number with four digits, in powers of ten if it is large or small.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if (1e-3..1e4).contains(&value.abs()) {
        let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
        let text = format!("{value:.digits$}");
        return if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text };
    }
    format!("{value:.3e}")
}
