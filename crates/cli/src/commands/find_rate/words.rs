//! What was found, in words, and what to type.

use std::fmt::Write as _;

use kiln_training::config::{Config, settings_at_rate};
use kiln_training::learning::{RateFindings, RatePoint, RateRange, RateStop};

use super::FindRateArguments;
use super::trials::Trial;
use crate::arguments::ConfigArguments;
use crate::runs::quoted;

/// About how many lines the table has.
const ROWS: usize = 20;

/// Some of the points, evenly spaced, the last one among them.
pub(super) fn table(points: &[RatePoint]) -> String {
    let mut table = format!("{:>6}  {:>9}  {:>9}  {:>9}\n", "step", "rate", "loss", "smoothed");
    let every = points.len().div_ceil(ROWS).max(1);
    for (index, point) in points.iter().enumerate() {
        if (index + 1).is_multiple_of(every) || index + 1 == points.len() {
            let RatePoint { step, rate, loss, smoothed } = point;
            let _ = writeln!(table, "{step:>6}  {rate:>9.2e}  {loss:>9.4}  {smoothed:>9.4}");
        }
    }
    table
}

/// What was found, and what to do with it.
pub(super) fn words(range: RateRange, findings: &RateFindings) -> String {
    let mut lines = Vec::new();
    lines.push(match findings.stop {
        RateStop::Risen { rate } => {
            format!("diverged     {rate:.2e}, where the loss had risen by half of the first loss")
        }
        RateStop::NotFinite { rate: Some(rate) } => {
            format!("diverged     {rate:.2e}, after which the loss was no number")
        }
        RateStop::NotFinite { rate: None } => "diverged     before the first update: the loss is no number".to_string(),
        RateStop::LastRate => format!("diverged     at no rate up to {:.2e}", range.to()),
        RateStop::Interrupted => "stopped before the last rate".to_string(),
    });
    if let Some(lowest) = findings.lowest {
        lines.push(format!("lowest at    {lowest:.2e}"));
    }
    if let Some(steepest) = findings.steepest {
        lines.push(format!("steepest     {steepest:.2e}, where the loss falls fastest"));
    }
    if let Some(early) = findings.early {
        lines.push(format!("early        {early:.2e}, where the loss has made 15 % of its fall"));
    }
    lines.push(match (findings.suggestion, findings.lowest) {
        (Some(rate), _) => format!("suggestion   {}", typed(rate)),
        (None, None) => "suggestion   none: the loss never fell; try smaller rates".to_string(),
        (None, Some(_)) if is_cut_off_below(findings) => {
            "suggestion   none: the loss fell at the first rate; try smaller rates".to_string()
        }
        (None, Some(_)) => "suggestion   none: the loss was still falling at the end; try larger rates".to_string(),
    });
    lines.join("\n") + "\n"
}

/// Whether the range begins too high.
fn is_cut_off_below(findings: &RateFindings) -> bool {
    findings.lowest.is_none() || findings.early == findings.points.first().map(|point| point.rate)
}

/// The trainings with single rates, and which was the best.
pub(super) fn trial_words(trials: &[Trial], best: &Trial, steps: u64) -> String {
    let mut words = format!("\nafter {steps} steps along a cosine from\n");
    for Trial { rate, loss } in trials {
        let loss = loss.map_or_else(|| "diverged".to_owned(), |loss| format!("validation loss {loss:.4}"));
        let mark = if *rate == best.rate { "  the best of the three" } else { "" };
        let _ = writeln!(words, "{:>9}    {loss}{mark}", typed(*rate));
    }
    words
}

/// What to say where the best rate is the highest or the lowest that was tried, so that one beyond it may be better.
pub(super) fn beyond(arguments: &ConfigArguments, trials: &[Trial], best: &Trial) -> Option<String> {
    let is_last = |beyond: fn(f64, f64) -> bool| !trials.iter().any(|trial| beyond(trial.rate, best.rate));
    let (end, other, factors) = match (is_last(|rate, best| rate > best), is_last(|rate, best| rate < best)) {
        (true, false) => ("highest", "higher", [1.0, 2.0, 4.0]),
        (false, true) => ("lowest", "lower", [0.25, 0.5, 1.0]),
        _ => return None,
    };
    let rates = factors.map(|factor| typed(best.rate * factor)).join(",");
    let set = arguments.overrides.iter().map(|setting| format!(" --set {}", quoted(&setting.text())));
    let set: String = set.chain([format!(" --rates {rates}")]).collect();
    let file = quoted(&arguments.config.to_string_lossy());
    Some(format!(
        "the best is the {end} rate that was tried, and a {other} one may be better still:\nkiln sweep {file}{set}\n"
    ))
}

/// What to type: to train with this rate, or to look further.
pub(super) fn command(
    arguments: &FindRateArguments,
    config: &Config,
    range: RateRange,
    findings: &RateFindings,
    rate: Option<f64>,
) -> String {
    let mut words = vec!["kiln".to_owned()];
    let file = quoted(&arguments.config.config.to_string_lossy());
    words.extend(match rate {
        Some(_) => ["train".to_owned(), file],
        None => ["find-rate".to_owned(), file],
    });
    words.extend(arguments.config.overrides.iter().map(|setting| format!("--set {}", quoted(&setting.text()))));
    match rate {
        Some(rate) => {
            let settings = settings_at_rate(&config.schedule, config.run.steps, two_digits(rate));
            words.extend(settings.iter().map(|(key, value)| format!("--set {key}={}", quoted(value))));
        }
        // All trainings around it diverged.
        None if let Some(rate) = findings.suggestion => words.push(format!("--to {}", typed(rate))),
        None if is_cut_off_below(findings) => words.push(format!("--from {}", typed(range.from() / 100.0))),
        None => words.push(format!("--to {}", typed(range.to() * 100.0))),
    }
    words.join(" ")
}

/// A rate as it is written into a file: more than two digits mean nothing.
fn typed(rate: f64) -> String {
    format!("{:e}", two_digits(rate))
}

fn two_digits(rate: f64) -> f64 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use kiln_settings::Override;

    use super::*;

    #[test]
    fn a_best_rate_at_an_end_of_those_that_were_tried_is_said_with_what_tries_beyond() {
        let overrides = vec![Override::parse("--set", "run.batch=2").expect("it is one")];
        let arguments = ConfigArguments { config: "a b.toml".into(), overrides };
        let said = |losses: [Option<f64>; 3]| {
            let trials: Vec<Trial> =
                [0.01, 0.02, 0.04].into_iter().zip(losses).map(|(rate, loss)| Trial { rate, loss }).collect();
            let best = super::super::trials::best(&trials).expect("one did not diverge");
            beyond(&arguments, &trials, best)
        };
        assert_eq!(said([Some(2.0), Some(1.0), Some(3.0)]), None);
        let highest = said([Some(3.0), Some(2.0), Some(1.0)]).expect("it is at an end");
        assert!(highest.contains("the highest rate that was tried, and a higher one"), "{highest}");
        assert!(highest.contains("\nkiln sweep 'a b.toml' --set run.batch=2 "), "{highest}");
        assert!(highest.ends_with(" --rates 4e-2,8e-2,1.6e-1\n"), "{highest}");
        let lowest = said([Some(1.0), Some(2.0), None]).expect("it is at an end");
        assert!(lowest.contains("the lowest rate that was tried, and a lower one"), "{lowest}");
        assert!(lowest.ends_with(" --rates 2.5e-3,5e-3,1e-2\n"), "{lowest}");
    }
}
