//! What an experiment says, in words and tables.

use comfy_table::{ContentArrangement, Table, presets};
use kiln_convergence::{Constants, CurveOutcome, Estimate, Variance, Verdict};

use super::Made;

/// The headings of the table of curves.
pub(super) const COLUMNS: [&str; 6] = ["curve", "last error (95 %)", "bound", "bound / error", "measured", "verdict"];

/// The report of one experiment on the terminal.
pub(super) fn report(made: &Made) -> String {
    let mut text = format!("\n{}\n", made.experiment.title);
    for line in facts(made) {
        text.push_str(&format!("{line}\n"));
    }
    text.push_str(&format!("{}\n", table(&COLUMNS, rows(made))));
    if let Some((columns, rows)) = iterations(made) {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        text.push_str(&format!("updates until the mean error is at most epsilon\n{}\n", table(&columns, rows)));
    }
    text
}

fn table(columns: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns);
    table.add_rows(rows);
    table
}

/// The problems of an experiment with their constants, each once.
pub(super) fn facts(made: &Made) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for curve in &made.outcome.curves {
        let line = format!("{}\n  {}", curve.problem, constants(curve));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn constants(curve: &CurveOutcome) -> String {
    let Some(constants) = &curve.constants else {
        return "no theorem holds: F is not convex, and c, L and F* are not known".into();
    };
    let Constants { strong_convexity: c, smoothness: l, minimum, minimizer_error, minimizer, .. } = constants;
    let at = minimizer.iter().take(4).map(|weight| format!("{weight:.4}")).collect::<Vec<_>>().join(", ");
    let more = if minimizer.len() > 4 { ", ..." } else { "" };
    let variance = match (constants.variance, curve.trace.variance) {
        (Variance::Exact(variance), _) => format!("sigma² = {} (exact)", number(variance)),
        (Variance::Sampled, Some(variance)) if curve.trace.variance > Some(0.0) => {
            format!("sigma² = {} (an estimate: the largest met on the paths of `{}`)", number(variance), curve.label)
        }
        (Variance::Sampled, _) => "sigma² is measured along the path".into(),
    };
    format!(
        "c = {}, L = {}, L/c = {}, F* = {minimum:.12} at w* = ({at}{more}) to within {minimizer_error:.0e}; {variance}",
        number(*c),
        number(*l),
        number(constants.condition()),
    )
}

/// A row of the table for each curve.
pub(super) fn rows(made: &Made) -> Vec<Vec<String>> {
    made.outcome.curves.iter().map(row).collect()
}

fn row(curve: &CurveOutcome) -> Vec<String> {
    let last = match curve.trace.error.last() {
        Some(band) if matches!(curve.verdict, Verdict::Diverged { .. }) => format!("{} and rising", number(band.mean)),
        Some(band) if band.half_width > 0.0 => format!("{} ± {}", number(band.mean), number(band.half_width)),
        Some(band) => number(band.mean),
        None => "none".into(),
    };
    let steps = curve.trace.error.len().saturating_sub(1) as u64;
    let bound = curve.bound.as_ref().map_or_else(|_| "none".into(), |bound| number(bound.at(steps)));
    let tightness = match curve.verdict {
        Verdict::Holds { tightness } => number(tightness),
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

/// What a curve says of its theorem.
pub(super) fn verdict(curve: &CurveOutcome) -> String {
    match (&curve.verdict, &curve.bound) {
        (Verdict::Holds { .. }, _) => "under the bound at every step".into(),
        (Verdict::Broken { step, error, bound }, _) => {
            format!("ABOVE the bound from step {step} on: {} > {}", number(*error), number(*bound))
        }
        (Verdict::NoTheorem, Err(reason)) => format!("no bound: {reason}"),
        (Verdict::NoTheorem, Ok(_)) => "no bound".into(),
        (Verdict::Diverged { step, rate, limit }, _) => match limit {
            Some(limit) if rate > limit => {
                format!("diverged at step {step}: the rate {} is beyond 2/L = {}", number(*rate), number(*limit))
            }
            _ => {
                format!("diverged at step {step}: the error is a million times what it was, at rate {}", number(*rate))
            }
        },
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

/// A number with four digits, in powers of ten where it is large or small.
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
