//! The file of a race: lists of tables, and the configurations that it gives.

use std::collections::BTreeMap;

use super::support::{read as read_run, right_text};
use crate::config::{Change, Search, Sweep, SweepSettings};
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::ScheduleConfig;
use kiln_settings::{ConfigErrors, Override, Schema, Source};

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

fn read(text: &str) -> Result<Sweep, ConfigErrors> {
    Sweep::read(&Source::new("race.toml", text), &[])
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
    let (constant, cosine) = (&first.config, &second.config);
    assert_eq!(*constant, read_run(&right_text("run")).expect("the text is right"));
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
        .replace("label = \"Constant\"", "label = \"Constant\"\nsede = 2")
        .replace("rate = 2.0", "rate = -2.0")
        .replace("momentum = 0.5", "momentum = \"much\"")
        .replace("batch = 4", "batch = 0");
    let reported = problems(&text);
    let lines: Vec<&str> = reported.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, ["batch = 0", "sede = 2", "rate = -2.0", "momentum = \"much\""], "{reported:#?}");
    let errors = read(&text).expect_err("something is wrong");
    assert!(
        errors.to_string().contains("did you mean `seed`?")
            && errors.to_string().contains("of the entrants: \"Constant\"")
    );
}

#[test]
fn what_an_entrant_lacks_is_said_with_its_name() {
    let errors = |entrants: &str| read(&(shared() + entrants)).expect_err("something is wrong").to_string();
    let without =
        errors("[[entrants]]\nlabel = \"a\"\n[[entrants]]\nlabel = \"b\"\n[entrants.schedule.constant]\nrate = 1\n");
    assert!(
        without.contains("section [schedule] is missing") && without.contains("of the entrants: \"a\""),
        "{without}"
    );
    let unknown = errors("[[entrants]]\nlabel = \"a\"\n[entrants.schedule.cosin]\nrate = 1\n");
    assert!(unknown.contains("unknown `[schedule.cosin]`") && unknown.contains("`cosine`"), "{unknown}");
    let twice = errors(
        "[[entrants]]\nlabel = \"a\"\n[entrants.schedule.cosine]\nrate = 1\n[entrants.schedule.constant]\nrate = 1\n",
    );
    assert!(twice.contains("[schedule.constant] stands beside [schedule.cosine]"), "{twice}");
    let nameless = errors("[[entrants]]\n[entrants.schedule.constant]\nrate = 1\n");
    assert!(nameless.contains("`label` is missing in [[entrants]]"), "{nameless}");
}

#[test]
fn an_entrant_may_set_any_key_a_model_too() {
    let entrants = "[[entrants]]\nlabel = \"small\"\n[entrants.model.gru]\nhidden = 8\n[entrants.run]\nbatch = 2\n\
        [[entrants]]\nlabel = \"as it is\"\n";
    let sweep = read(&(right_text("run") + entrants)).unwrap_or_else(|errors| panic!("{errors}"));
    let plain = read_run(&right_text("run")).expect("the text is right");
    let [small, same] = &sweep.entrants[..] else { panic!("{sweep:?}") };
    assert_eq!(same.config, plain);
    assert_eq!((small.config.model.name(), small.config.run.batch, small.config.run.context), ("gru", 2, 16));
    assert_eq!(read(&sweep.to_toml()), Ok(sweep));
}

#[test]
fn what_is_set_for_a_schedule_leaves_entrants_with_another_one_alone() {
    let set =
        |key: &str, value: &str| Override { name: "--set".to_owned(), key: key.to_owned(), value: value.to_owned() };
    let rates = |overrides: &[Override], text: String| -> Vec<(String, ScheduleConfig)> {
        let sweep =
            Sweep::read(&Source::new("race.toml", &text), overrides).unwrap_or_else(|errors| panic!("{errors}"));
        sweep.entrants.into_iter().map(|entrant| (entrant.label, entrant.config.schedule)).collect()
    };
    // Entrants that the file lists.
    let listed = rates(&[set("schedule.cosine.rate", "0.5")], shared() + ENTRANTS);
    let [(_, ScheduleConfig::Constant(constant)), (_, ScheduleConfig::Cosine(cosine))] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert_eq!((constant.rate, cosine.rate), (0.001, 0.5));
    // Schedules by name, which are tried at the rate of the file's, here of what is set.
    let named = [set("sweep.schedules", "[\"constant\", \"cosine\"]"), set("schedule.cosine.rate", "0.5")];
    let named = rates(&named, right_text("run"));
    let [(_, ScheduleConfig::Constant(constant)), (_, ScheduleConfig::Cosine(cosine))] = &named[..] else {
        panic!("{named:?}")
    };
    assert_eq!((constant.rate, cosine.rate), (0.5, 0.5));
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
fn what_compares_nothing_is_told_what_to_write() {
    let nothing = read(&right_text("run")).expect_err("there is one run").to_string();
    assert!(nothing.contains("nothing to compare") && nothing.contains("[[entrants]]"), "{nothing}");
    let none = read(&format!("entrants = []\n{}", right_text("run"))).expect_err("nobody takes part").to_string();
    assert!(none.contains("`entrants` is empty"), "{none}");
}

#[test]
fn every_broken_rule_of_the_shared_sections_is_told_once() {
    let text = (shared() + ENTRANTS).replace("batch = 4", "batch = 0");
    let reported = problems(&text);
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert_eq!(reported[0].0, "batch = 0");
}

/// The labels of what `--set` and options make of a right run.
fn swept(overrides: &[&str]) -> Result<Sweep, ConfigErrors> {
    let overrides: Vec<Override> =
        overrides.iter().map(|set| Override::parse("--set", set).expect("it is a setting")).collect();
    Sweep::read(&Source::new("run.toml", right_text("run")), &overrides)
}

fn labels(overrides: &[&str]) -> Vec<String> {
    let sweep = swept(overrides).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(read(&sweep.to_toml()), Ok(sweep.clone()), "what is saved is another sweep");
    sweep.entrants.into_iter().map(|entrant| entrant.label).collect()
}

fn refused(overrides: &[&str]) -> String {
    swept(overrides).expect_err("something is wrong").to_string()
}

#[test]
fn several_values_of_several_keys_are_a_grid() {
    assert_eq!(
        labels(&["run.batch=2,4", "optimizer.adamw.betas=[[0.9,0.95],[0.9,0.99]]", "run.steps=50"]),
        [
            "batch=2, betas=[0.9, 0.95]",
            "batch=2, betas=[0.9, 0.99]",
            "batch=4, betas=[0.9, 0.95]",
            "batch=4, betas=[0.9, 0.99]",
        ]
    );
    let sweep = swept(&["optimizer.adamw.betas=[0.9,0.95]", "run.windows=random,shuffled"]).expect("it is right");
    let folders: Vec<String> = sweep.entrants.iter().map(super::super::Entrant::folder_name).collect();
    assert_eq!(folders, ["windows=random", "windows=shuffled"]);
    assert!(sweep.to_toml().contains("betas = [0.9, 0.95]"), "{}", sweep.to_toml());
}

#[test]
fn keys_of_a_table_count_for_the_entrants_that_choose_it() {
    let all = ["model=transformer,lstm", "model.lstm.hidden=8,16", "model.transformer.width=48"];
    assert_eq!(labels(&all), ["transformer", "lstm, hidden=8", "lstm, hidden=16"]);
    // Without the choice, the tables are alternatives.
    assert_eq!(labels(&all[1..]), ["lstm, hidden=8", "lstm, hidden=16", "transformer"]);
    let sweep = swept(&all).expect("it is right");
    let names: Vec<&str> = sweep.entrants.iter().map(|entrant| entrant.config.model.name()).collect();
    assert_eq!(names, ["transformer", "lstm", "lstm"]);
}

#[test]
fn seeds_are_runs_of_one_entrant() {
    let sweep = swept(&["sweep.seeds=3", "seed=7", "run.batch=2,4"]).expect("it is right");
    let runs = sweep.runs();
    let seeds: Vec<(usize, u64, &str)> =
        runs.iter().map(|run| (run.entrant, run.config.seed, run.folder.as_str())).collect();
    assert_eq!(
        seeds,
        [
            (0, 7, "batch=2"),
            (1, 7, "batch=4"),
            (0, 8, "batch=2-seed-8"),
            (1, 8, "batch=4-seed-8"),
            (0, 9, "batch=2-seed-9"),
            (1, 9, "batch=4-seed-9"),
        ]
    );
    assert_eq!(labels(&["sweep.seeds=2"]), ["run"]);
    assert!(refused(&["seed=1,2"]).contains("sweep.seeds"));
}

#[test]
fn draws_lie_in_their_ranges_and_stay_when_more_are_asked_for() {
    let range = "schedule.constant.rate=1e-4..1e-2";
    let four = labels(&[range, "run.batch=2,4,8", "sweep.search=random", "sweep.trials=4"]);
    let nine = labels(&[range, "run.batch=2,4,8", "sweep.search=random", "sweep.trials=9"]);
    assert_eq!((four.len(), nine.len()), (4, 9));
    assert_eq!(four, nine[..4]);
    let other = labels(&[range, "run.batch=2,4,8", "sweep.search=random", "sweep.trials=4", "seed=2"]);
    assert_ne!(four, other);
    let many = swept(&[range, "sweep.search=halving", "sweep.trials=200"]).expect("it is right");
    let rates: Vec<f64> = many.entrants.iter().filter_map(|entrant| entrant.config.schedule.constant_rate()).collect();
    assert!(rates.iter().all(|rate| (1e-4..=1e-2).contains(rate)), "{rates:?}");
    // Each of the two decades is as likely: of so many, 200 / 2 with a standard deviation of 7.
    let low = rates.iter().filter(|rate| **rate < 1e-3).count();
    assert!(low.abs_diff(rates.len() / 2) < 30, "{low} of {}", rates.len());
    assert_eq!(many.settings.search, Search::Halving);
    // There are no more than these.
    assert_eq!(labels(&["run.batch=2,4", "sweep.search=random", "sweep.trials=50"]).len(), 2);
}

#[test]
fn mistakes_of_values_point_at_the_value() {
    let errors = swept(&["run.batch=2,0,4"]).expect_err("0 is no batch");
    let [problem] = &errors.problems[..] else { panic!("{errors}") };
    assert_eq!(errors.text_of(problem), ("--set", "run.batch=2,0,4".to_owned()));
    assert_eq!(errors.position_of(problem), (1, 13));
    assert!(problem.help.iter().any(|help| help.contains("\"batch=0\"")), "{errors}");
    for (overrides, words) in [
        (&["schedule.constant.rate=1e-4..1e-2"][..], "is a range"),
        (&["schedule.constant.rate=1e-2..1e-4", "sweep.search=random", "sweep.trials=3"], "must rise"),
        (&["run.batch=2,4", "sweep.search=random"], "how many combinations"),
        (&["run.batch=2,4", "sweep.trials=3"], "a grid has all of them"),
        (&["run.batch=2,4", "sweep.seeds=0"], "must be between 1 and 1000"),
        (&["run.bach=2,4"], "did you mean `batch`?"),
        (&["run.batch=[]"], "has no values"),
    ] {
        let message = refused(overrides);
        assert!(message.contains(words), "{overrides:?}: {message}");
    }
}

#[test]
fn schedules_are_tried_at_the_rate_of_the_file() {
    let sweep = swept(&["sweep.schedules=constant,linear"]);
    let errors = sweep.expect_err("a list is wanted").to_string();
    assert!(errors.contains("there is no schedule `constant,linear`"), "{errors}");
    let sweep = swept(&["sweep.schedules=[\"constant\",\"linear\"]"]).unwrap_or_else(|errors| panic!("{errors}"));
    let own = read_run(&right_text("run")).expect("the text is right").schedule;
    let [constant, linear] = &sweep.entrants[..] else { panic!("{sweep:?}") };
    assert_eq!((constant.label.as_str(), &constant.config.schedule), ("constant", &own));
    assert!(matches!(&linear.config.schedule, ScheduleConfig::Linear(linear) if linear.rate == 0.001), "{linear:?}");
    assert_eq!(labels(&["sweep.schedules=[\"all\"]"]).len(), ScheduleConfig::examples(1.0, 100).len());
}

#[test]
fn all_rates_of_the_schedule_follow_the_rates_that_are_tried() {
    let schedule = ["schedule.cosine.rate=0.1", "schedule.cosine.final-rate=0.02", "sweep.rates=[1e-2, 0.05]"];
    let sweep = swept(&[&schedule[..], &["run.batch=2,4"]].concat()).unwrap_or_else(|errors| panic!("{errors}"));
    let rates = |entrant: &super::super::Entrant| match &entrant.config.schedule {
        ScheduleConfig::Cosine(cosine) => {
            (entrant.label.clone(), cosine.rate, cosine.final_rate, entrant.config.run.batch)
        }
        other => panic!("{other:?}"),
    };
    let found: Vec<_> = sweep.entrants.iter().map(rates).collect();
    let expected =
        [("1e-2", 0.01, 0.002, 2), ("1e-2", 0.01, 0.002, 4), ("5e-2", 0.05, 0.01, 2), ("5e-2", 0.05, 0.01, 4)];
    let expected =
        expected.map(|(rate, highest, last, batch)| (format!("rate={rate}, batch={batch}"), highest, last, batch));
    assert_eq!(found, expected);
    // Spelled out it is the same sweep.
    let again =
        Sweep::read(&Source::new("sweep.toml", sweep.to_toml()), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(again, sweep);
    for (more, words) in [
        (&["sweep.rates=[0.1, 0.0]"][..], "must be above 0, is 0"),
        (&["sweep.rates=[0.1, 0.2]", "sweep.schedules=[\"linear\"]"], "leave one of the two out"),
        (&["sweep.rates=[0.1, 0.2]", "schedule.cosine.rate=0.1,0.2"], "it has several values"),
    ] {
        let message = swept(more).expect_err("it is refused").to_string();
        assert!(message.contains(words), "{more:?}: {message}");
    }
}

#[test]
fn entrants_and_seeds_may_be_added_and_nothing_else_may_change() {
    let before = swept(&["run.batch=2,4"]).expect("it is right");
    let changes = |overrides: &[&str]| {
        let changes: Vec<Change> = before.changes(&swept(overrides).expect("it is right"));
        changes.into_iter().map(|change| change.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(changes(&["run.batch=2,4,8", "sweep.seeds=3"]), [""; 0]);
    assert_eq!(changes(&["run.batch=2,4", "run.steps=50"]), ["run.steps: 100 -> 50"]);
    assert_eq!(changes(&["run.batch=2,8"]), ["entrants: \"batch=4\" -> none"]);
    assert_eq!(changes(&["run.batch=2,4", "sweep.search=halving"]), ["sweep.search: \"grid\" -> \"halving\""]);
}

#[test]
fn every_key_of_a_sweep_is_in_the_readme_with_its_default() {
    let readme = include_str!("../../../../../configs/README.md");
    let (_, section) = readme.split_once("\n### Sweep: `[sweep]`\n").expect("there is such a section");
    let rows = section.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with("| `"));
    let documented: BTreeMap<String, String> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`').to_owned(), cells[4].trim_matches('`').to_owned())
        })
        .collect();
    let keys: Vec<String> = Schema::of::<SweepSettings>().entries().map(|(path, _)| path.to_owned()).collect();
    let known: Vec<String> = keys.into_iter().filter(|key| !key.is_empty() && !key.ends_with("[]")).collect();
    assert_eq!(documented.keys().cloned().collect::<Vec<_>>(), known);
    let defaults = toml::Table::try_from(SweepSettings::default()).expect("it has a form in TOML");
    for (key, default) in documented {
        match defaults.get(&key) {
            Some(value) => assert_eq!(value.to_string(), default, "{key}"),
            None => assert!(["none", "[]"].contains(&default.as_str()), "{key}"),
        }
    }
}
