//! Schedules by their names, at the rate of the one that the file has.

use kiln_optimization::schedules::ScheduleConfig;
use kiln_settings::{Problem, Setting, Tree};
use toml::Value;

use super::super::sections::Config;
use super::table;

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

/// The rate from which, or to which, a schedule goes.
fn highest_rate(schedule: &ScheduleConfig) -> Option<f64> {
    let root = table(schedule).ok()?;
    let settings = root.get(schedule.name())?.as_table()?;
    let rates = settings.get("rates").and_then(Value::as_array);
    let highest = || rates?.iter().filter_map(Value::as_float).max_by(f64::total_cmp);
    settings.get("rate").and_then(Value::as_float).or_else(highest)
}
