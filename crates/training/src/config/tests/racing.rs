//! The file of a race: lists of tables, and the configurations that it gives.

use super::support::{read as read_run, right_text};
use crate::config::RaceConfig;
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::ScheduleConfig;
use kiln_settings::{ConfigErrors, Source};

const ENTRANTS: &str = r#"
[[entrants]]
label = "Constant"

[entrants.schedule.constant]
rate = 0.001

[[entrants]]
label = "cosine, SGD"

[entrants.schedule.cosine]
rate = 2.0

[entrants.optimizer.sgd]
momentum = 0.5
"#;

/// A right run without its schedule.
fn shared() -> String {
    right_text("run").replace("[schedule.constant]\nrate = 0.001\n", "")
}

fn read(text: &str) -> Result<RaceConfig, ConfigErrors> {
    RaceConfig::read(&Source::new("race.toml", text), &[])
}

/// Each problem as the line that it points at and its message.
fn problems(text: &str) -> Vec<(String, String)> {
    let errors = read(text).expect_err("something is wrong");
    let line = |number: usize| text.lines().nth(number - 1).unwrap_or_default().to_owned();
    errors.problems.iter().map(|problem| (line(errors.position_of(problem).0), problem.message.clone())).collect()
}

#[test]
fn every_entrant_gets_a_configuration_of_its_own() {
    let race = read(&(shared() + ENTRANTS)).unwrap_or_else(|errors| panic!("{errors}"));
    let [first, second] = &race.entrants[..] else { panic!("{race:?}") };
    assert_eq!((first.folder_name().as_str(), second.folder_name().as_str()), ("constant", "cosine-sgd"));
    let (constant, cosine) = (race.config_of(first), race.config_of(second));
    assert_eq!(constant, read_run(&right_text("run")).expect("the text is right"));
    assert!(
        matches!(cosine.schedule, ScheduleConfig::Cosine(_)) && matches!(cosine.optimizer, OptimizerConfig::Sgd(_))
    );
    assert_eq!(
        (cosine.seed, &cosine.data, &cosine.model, &cosine.run),
        (constant.seed, &constant.data, &constant.model, &constant.run)
    );
    assert_eq!(read(&race.to_toml()), Ok(race));
}

#[test]
fn all_mistakes_are_told_at_once_each_at_its_line() {
    let text = (shared() + ENTRANTS)
        .replace("label = \"Constant\"", "lable = \"Constant\"")
        .replace("rate = 2.0", "rate = -2.0")
        .replace("momentum = 0.5", "momentum = \"much\"")
        .replace("batch = 4", "batch = 0");
    let reported = problems(&text);
    let lines: Vec<&str> = reported.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, ["batch = 0", "lable = \"Constant\"", "rate = -2.0", "momentum = \"much\""], "{reported:#?}");
    assert_eq!(reported[1].1, "unknown key `lable` in [[entrants]]");
}

#[test]
fn choices_of_an_entrant_are_named_as_their_tables_are_written() {
    let errors = |entrants: &str| read(&(shared() + entrants)).expect_err("something is wrong").to_string();
    let without = errors("[[entrants]]\nlabel = \"a\"\n");
    assert!(without.contains("section [entrants.schedule] is missing"), "{without}");
    assert!(without.contains("`[entrants.schedule.constant]`"), "{without}");
    let unknown = errors("[[entrants]]\nlabel = \"a\"\n[entrants.schedule.cosin]\nrate = 1\n");
    assert!(unknown.contains("unknown `[entrants.schedule.cosin]`") && unknown.contains("`cosine`"), "{unknown}");
    let twice = errors(
        "[[entrants]]\nlabel = \"a\"\n[entrants.schedule.cosine]\nrate = 1\n[entrants.schedule.constant]\nrate = 1\n",
    );
    assert!(twice.contains("[entrants.schedule.constant] stands beside [entrants.schedule.cosine]"), "{twice}");
}

#[test]
fn labels_must_tell_entrants_apart() {
    let same = (shared() + ENTRANTS).replace("cosine, SGD", "CONSTANT!");
    let reported = problems(&same);
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(reported[0].0 == "label = \"CONSTANT!\"" && reported[0].1.contains("\"Constant\""), "{reported:?}");
    let empty = (shared() + ENTRANTS).replace("cosine, SGD", " -- ");
    assert!(problems(&empty)[0].1.contains("must hold a letter or a digit"));
}

#[test]
fn a_race_without_entrants_is_told_what_to_write() {
    let reported = read(&shared()).expect_err("nobody takes part").to_string();
    assert!(reported.contains("there is no [[entrants]]") && reported.contains("`label`, `schedule`"), "{reported}");
    let none = read(&format!("entrants = []\n{}", shared())).expect_err("nobody takes part").to_string();
    assert!(none.contains("`entrants` is empty"), "{none}");
}

#[test]
fn a_race_and_a_run_taken_for_each_other_are_told_what_they_are() {
    let errors = read_run(&(shared() + ENTRANTS)).expect_err("it is a race");
    assert_eq!(errors.problems.len(), 1, "{errors}");
    assert!(errors.to_string().contains("kiln race run.toml"), "{errors}");
    let run = read(&right_text("run")).expect_err("it is a run").to_string();
    assert!(run.contains("there is a `schedule` in [[entrants]]"), "{run}");
}

#[test]
fn every_broken_rule_of_the_shared_sections_is_told_once() {
    let text = (shared() + ENTRANTS).replace("batch = 4", "batch = 0");
    let reported = problems(&text);
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert_eq!(reported[0].0, "batch = 0");
}
