//! What was found, in words, and what to type.

use std::fmt::Write as _;

use kiln_optimization::schedules::ScheduleConfig;
use kiln_settings::Override;
use kiln_training::config::Config;
use kiln_training::learning::{RateFindings, RatePoint, RateRange, RateStop};

use super::FindRateArguments;
use super::trials::Trial;
use crate::arguments::ConfigArguments;
use crate::runs::quoted;

/// About how many lines the table has.
const ROWS: usize = 20;
/// Updates after which a schedule by time has reached its highest rate, or the run is over.
const MOST_STEPS: u64 = 1_000_000;

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
pub(super) fn beyond(arguments: &ConfigArguments, config: &Config, trials: &[Trial], best: &Trial) -> Option<String> {
    let is_last = |beyond: fn(f64, f64) -> bool| !trials.iter().any(|trial| beyond(trial.rate, best.rate));
    let (end, other, factors) = match (is_last(|rate, best| rate > best), is_last(|rate, best| rate < best)) {
        (true, false) => ("highest", "higher", [1.0, 2.0, 4.0]),
        (false, true) => ("lowest", "lower", [0.25, 0.5, 1.0]),
        _ => return None,
    };
    let of_rates = factors.map(|factor| settings(&config.schedule, config.run.steps, best.rate * factor));
    let (tried, fixed): (Vec<_>, Vec<_>) = of_rates[0].iter().partition(|(key, _)| !is_final(key));
    let (key, _) = tried.first()?;
    let values: Vec<&str> =
        of_rates.iter().flatten().filter(|(other, _)| other == key).map(|(_, value)| &**value).collect();
    let values = values.join(",");
    let values = if values.starts_with('[') { format!("[{values}]") } else { values };
    // All are trained with one final rate: that of the lowest of them, which none of them starts below.
    let mut set: Vec<String> = arguments.overrides.iter().map(Override::text).collect();
    set.push(format!("{key}={values}"));
    set.extend(fixed.iter().map(|(key, value)| format!("{key}={value}")));
    let set: String = set.iter().map(|setting| format!(" --set {}", quoted(setting))).collect();
    let file = quoted(&arguments.config.to_string_lossy());
    Some(format!(
        "the best is the {end} rate that was tried, and a {other} one may be better still:\nkiln sweep {file}{set}\n"
    ))
}

/// Whether a key of a schedule holds the rate that it falls to.
fn is_final(key: &str) -> bool {
    key.ends_with(".final-rate") || key.ends_with(".minimum-rate")
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
            let settings = settings(&config.schedule, config.run.steps, rate);
            words.extend(settings.iter().map(|(key, value)| format!("--set {key}={}", quoted(value))));
        }
        // All trainings around it diverged.
        None if let Some(rate) = findings.suggestion => words.push(format!("--to {}", typed(rate))),
        None if is_cut_off_below(findings) => words.push(format!("--from {}", typed(range.from() / 100.0))),
        None => words.push(format!("--to {}", typed(range.to() * 100.0))),
    }
    words.join(" ")
}

/// The keys of a schedule that hold rates, all multiplied so that the highest rate of the run is this one.
pub(super) fn settings(schedule: &ScheduleConfig, steps: u64, rate: f64) -> Vec<(String, String)> {
    let mut built = schedule.build(steps);
    let highest = (0..steps.min(MOST_STEPS)).map(|_| built.next_rate()).fold(f64::MIN_POSITIVE, f64::max);
    let scaled = |value: &serde_json::Value| value.as_f64().map(|value| typed(value * rate / highest));
    let name = schedule.name();
    let tables = serde_json::to_value(schedule).unwrap_or_default();
    let Some(table) = tables.get(name).and_then(|table| table.as_object()) else { return Vec::new() };
    let setting = |key: &str, value: &serde_json::Value| match (key, value) {
        ("rate" | "final-rate" | "minimum-rate", value) => scaled(value),
        ("factor", value) if name == "noam" => scaled(value),
        ("rates", serde_json::Value::Array(rates)) => {
            Some(format!("[{}]", rates.iter().filter_map(scaled).collect::<Vec<_>>().join(", ")))
        }
        _ => None,
    };
    table.iter().filter_map(|(key, value)| Some((format!("schedule.{name}.{key}"), setting(key, value)?))).collect()
}

/// A rate as it is written into a file: more than two digits mean nothing.
fn typed(rate: f64) -> String {
    let rounded: f64 = format!("{rate:.1e}").parse().unwrap_or(rate);
    if rounded == 0.0 { "0.0".to_owned() } else { format!("{rounded:e}") }
}

#[cfg(test)]
mod tests {
    use kiln_optimization::schedules::{CosineConfig, PiecewiseConfig};
    use kiln_settings::Source;
    use kiln_training::config::Sweep;

    use super::*;

    #[test]
    fn all_rates_of_a_schedule_are_multiplied_so_that_the_highest_is_the_one() {
        let cosine = CosineConfig { rate: 1e-2, final_rate: 1e-3, warmup: 5, steps: None };
        let found = settings(&ScheduleConfig::Cosine(cosine), 100, 0.004321);
        let key = |key: &str, value: &str| (format!("schedule.{key}"), value.to_owned());
        assert_eq!(found, [key("cosine.final-rate", "4.3e-4"), key("cosine.rate", "4.3e-3")]);
        let piecewise = PiecewiseConfig { rates: vec![0.1, 0.4, 0.2], boundaries: vec![3, 6], warmup: 0 };
        let found = settings(&ScheduleConfig::Piecewise(piecewise), 9, 0.8);
        assert_eq!(found, [key("piecewise.rates", "[2e-1, 8e-1, 4e-1]")]);
    }

    #[test]
    fn a_best_rate_at_an_end_of_those_that_were_tried_is_said_with_what_tries_beyond() {
        let text = "[data.builtin]\n[tokenizer.byte]\n[model.gru]\n[optimizer.adamw]\n[schedule.cosine]\nrate = 0.1\n\
                    final-rate = 0.01\n[run]\nsteps = 10\nbatch = 1\ncontext = 8\n";
        let config = Config::read(&Source::new("test", text), &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let overrides = vec![Override::parse("--set", "run.batch=2").expect("it is one")];
        let arguments = ConfigArguments { config: "a b.toml".into(), overrides };
        let said = |losses: [Option<f64>; 3]| {
            let trials: Vec<Trial> =
                [0.01, 0.02, 0.04].into_iter().zip(losses).map(|(rate, loss)| Trial { rate, loss }).collect();
            let best = super::super::trials::best(&trials).expect("one did not diverge");
            beyond(&arguments, &config, &trials, best)
        };
        assert_eq!(said([Some(2.0), Some(1.0), Some(3.0)]), None);
        let highest = said([Some(3.0), Some(2.0), Some(1.0)]).expect("it is at an end");
        assert!(highest.contains("the highest rate that was tried, and a higher one"), "{highest}");
        assert!(highest.contains("\nkiln sweep 'a b.toml' --set run.batch=2 "), "{highest}");
        let set = "--set schedule.cosine.rate=4e-2,8e-2,1.6e-1 --set schedule.cosine.final-rate=4e-3\n";
        assert!(highest.ends_with(set), "{highest}");
        let lowest = said([Some(1.0), Some(2.0), None]).expect("it is at an end");
        assert!(lowest.contains("the lowest rate that was tried, and a lower one"), "{lowest}");
        let set = "--set schedule.cosine.rate=2.5e-3,5e-3,1e-2 --set schedule.cosine.final-rate=2.5e-4\n";
        assert!(lowest.ends_with(set), "{lowest}");
        // The sweep takes what is typed.
        let typed = lowest.split(" --set ").skip(1).map(|set| Override::parse("--set", set.trim()).expect("it is one"));
        let sweep = Sweep::read(&Source::new("test", text), &typed.collect::<Vec<_>>());
        assert_eq!(sweep.unwrap_or_else(|errors| panic!("{errors}")).entrants.len(), 3);
    }

    #[test]
    fn every_schedule_can_be_given_a_rate_that_it_reaches() {
        for schedule in ScheduleConfig::examples(0.1, 50) {
            let mut tables = serde_json::to_value(&schedule).unwrap();
            for (key, value) in settings(&schedule, 50, 0.3) {
                let key = key.rsplit('.').next().unwrap();
                tables[schedule.name()][key] = serde_json::from_str(&value).unwrap();
            }
            let mut built = serde_json::from_value::<ScheduleConfig>(tables).unwrap().build(50);
            let highest = (0..50).map(|_| built.next_rate()).fold(0.0, f64::max);
            // Two digits are typed.
            assert!((highest / 0.3 - 1.0).abs() < 0.05, "{}: {highest}", schedule.name());
        }
    }
}
