//! Schedules by their names, at the rate of the one that the file has.

use kiln_optimization::schedules::ScheduleConfig;
use kiln_settings::{Problem, Setting, Tree};
use toml::Value;

use super::super::sections::Config;
use super::table;

/// Updates after which a schedule by time has reached its highest rate, or the run is over.
const MOST_STEPS: u64 = 1_000_000;

/// Stands for the names of all schedules.
const ALL: &str = "all";

/// A setting of `schedule` for each name, in the place of `named`. `base` is the configuration that they are tried in;
/// its own schedule stays as it is.
pub(super) fn settings(
    names: &[String],
    base: &Config,
    named: &Setting,
    tree: &Tree,
) -> Result<Vec<Setting>, Vec<Problem>> {
    let Some(rate) = highest_rate(&base.schedule) else {
        let message = format!("`[schedule.{}]` has no rate that others could be tried at", base.schedule.name());
        return Err(vec![tree.problem_of(named, message, "write one with a `rate`, for example [schedule.cosine]")]);
    };
    let examples = ScheduleConfig::examples(rate, base.run.steps);
    let known: Vec<&str> = examples.iter().map(ScheduleConfig::name).collect();
    let names: Vec<&str> =
        if names.iter().any(|name| name == ALL) { known.clone() } else { names.iter().map(String::as_str).collect() };
    let setting = |name: &&str| {
        let example = examples.iter().find(|example| example.name() == *name).ok_or_else(|| {
            let help = format!("there are {}, and `{ALL}` for every one", known.join(", "));
            tree.problem_of(named, format!("there is no schedule `{name}`"), &help)
        })?;
        let schedule = if base.schedule.name() == *name { &base.schedule } else { example };
        let value = table(schedule).map(Value::Table).map(|value| value.to_string()).unwrap_or_default();
        Ok(named.standing_for("schedule", &value))
    };
    let (settings, problems): (Vec<_>, Vec<_>) = names.iter().map(setting).partition(Result::is_ok);
    let problems: Vec<Problem> = problems.into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { Ok(settings.into_iter().flatten().collect()) } else { Err(problems) }
}

/// The keys of a schedule that hold rates, with values in TOML so that the highest rate of a run of `steps` updates is
/// `rate` and the others are in proportion, to four digits.
pub fn settings_at_rate(schedule: &ScheduleConfig, steps: u64, rate: f64) -> Vec<(String, String)> {
    let mut built = schedule.build(steps);
    let highest = (0..steps.min(MOST_STEPS)).map(|_| built.next_rate()).fold(f64::MIN_POSITIVE, f64::max);
    let name = schedule.name();
    let tables = table(schedule).unwrap_or_default();
    let Some(settings) = tables.get(name).and_then(Value::as_table) else { return Vec::new() };
    let scaled = |value: &Value| value.as_float().map(|value| four_digits(value * rate / highest));
    let setting = |key: &str, value: &Value| match (key, value) {
        ("factor", value) if name == "noam" => scaled(value),
        ("rates", Value::Array(rates)) => {
            Some(format!("[{}]", rates.iter().filter_map(scaled).collect::<Vec<_>>().join(", ")))
        }
        (key, value) if key == "rate" || is_final_rate(key) => scaled(value),
        _ => None,
    };
    settings.iter().filter_map(|(key, value)| Some((format!("schedule.{name}.{key}"), setting(key, value)?))).collect()
}

/// Whether a key of a schedule holds the rate that it falls to.
pub(super) fn is_final_rate(key: &str) -> bool {
    matches!(key.rsplit('.').next(), Some("final-rate" | "minimum-rate"))
}

fn four_digits(rate: f64) -> String {
    let rounded: f64 = format!("{rate:.3e}").parse().unwrap_or(rate);
    if rounded == 0.0 { "0.0".to_owned() } else { format!("{rounded:e}") }
}

/// The rate from which, or to which, a schedule goes.
fn highest_rate(schedule: &ScheduleConfig) -> Option<f64> {
    let root = table(schedule).ok()?;
    let settings = root.get(schedule.name())?.as_table()?;
    let rates = settings.get("rates").and_then(Value::as_array);
    let highest = || rates?.iter().filter_map(Value::as_float).max_by(f64::total_cmp);
    settings.get("rate").and_then(Value::as_float).or_else(highest)
}

#[cfg(test)]
mod tests {
    use kiln_optimization::schedules::{CosineConfig, PiecewiseConfig};

    use super::*;

    #[test]
    fn all_rates_of_a_schedule_are_multiplied_so_that_the_highest_is_the_one() {
        let cosine = CosineConfig { rate: 1e-2, final_rate: 1e-3, warmup: 5, steps: None };
        let found = settings_at_rate(&ScheduleConfig::Cosine(cosine), 100, 0.0043);
        let key = |key: &str, value: &str| (format!("schedule.{key}"), value.to_owned());
        assert_eq!(found, [key("cosine.final-rate", "4.3e-4"), key("cosine.rate", "4.3e-3")]);
        let piecewise = PiecewiseConfig { rates: vec![0.1, 0.4, 0.2], boundaries: vec![3, 6], warmup: 0 };
        let found = settings_at_rate(&ScheduleConfig::Piecewise(piecewise), 9, 0.8);
        assert_eq!(found, [key("piecewise.rates", "[2e-1, 8e-1, 4e-1]")]);
    }

    #[test]
    fn every_schedule_can_be_given_a_rate_that_it_reaches() {
        for schedule in ScheduleConfig::examples(0.1, 50) {
            let mut tables = table(&schedule).expect("it has a form in TOML");
            for (key, value) in settings_at_rate(&schedule, 50, 0.3) {
                let key = key.rsplit('.').next().expect("it has parts");
                let value = toml::from_str::<toml::Table>(&format!("x = {value}")).expect("it is TOML");
                tables[schedule.name()][key] = value["x"].clone();
            }
            let mut built = tables.try_into::<ScheduleConfig>().expect("it is a schedule").build(50);
            let highest = (0..50).map(|_| built.next_rate()).fold(0.0, f64::max);
            // Four digits are written.
            assert!((highest / 0.3 - 1.0).abs() < 1e-3, "{}: {highest}", schedule.name());
        }
    }
}
