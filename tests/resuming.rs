//! `kiln train --resume` and `kiln race --resume` with a configuration that is not the one of before.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Finished, Workshop};

/// A workshop whose run `run` of the tiny LSTM has made ten steps.
fn started() -> Workshop {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    train(&workshop, &["run.steps=10", "run.checkpoint-every=5"], &[]).success();
    workshop
}

fn train(workshop: &Workshop, settings: &[&str], more: &[&str]) -> Finished {
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let arguments: Vec<&str> = ["train", "lstm.toml", "--device", "cpu", "--run", "run"]
        .into_iter()
        .chain(settings)
        .chain(more.iter().copied())
        .collect();
    workshop.kiln(&arguments)
}

fn resume(workshop: &Workshop, settings: &[&str]) -> Finished {
    train(workshop, settings, &["--resume"])
}

/// The lines of the history without the version of Kiln.
fn history(workshop: &Workshop) -> Vec<Value> {
    let text = fs::read_to_string(workshop.path("runs/run/history.jsonl")).expect("there is a history");
    let entry = |line: &str| {
        let mut entry: Value = serde_json::from_str(line).expect("a line is one object");
        let kiln = entry.as_object_mut().and_then(|entry| entry.remove("kiln"));
        assert!(kiln.is_some_and(|kiln| kiln.as_str().is_some_and(|kiln| kiln.split('.').count() == 3)), "{line}");
        entry
    };
    text.lines().map(entry).collect()
}

fn config(workshop: &Workshop) -> toml::Table {
    let text = fs::read_to_string(workshop.path("runs/run/config.toml")).expect("there is a configuration");
    text.parse().expect("it is TOML")
}

/// Everything in the workshop but its cache, whose files are those of any run.
fn contents(workshop: &Workshop) -> BTreeMap<PathBuf, Vec<u8>> {
    let cache = workshop.path("cache");
    workshop.contents().into_iter().filter(|(path, _)| !path.starts_with(&cache)).collect()
}

#[test]
fn a_start_and_each_resumption_are_in_the_history() {
    let workshop = started();
    let first = history(&workshop);
    assert_eq!(first.len(), 1);
    assert_eq!((&first[0]["step"], &first[0]["changes"]), (&json!(0), &json!([])));
    assert!(first[0]["device"].as_str().is_some_and(|device| !device.is_empty()), "{first:?}");

    let same = ["run.steps=10", "run.checkpoint-every=5"];
    let finished = resume(&workshop, &same).success();
    assert!(!finished.stderr.contains("changed:") && !finished.stderr.contains("warning:"), "{}", finished.stderr);
    // Nothing was left to do, so nothing was trained from there on.
    assert_eq!(history(&workshop).len(), 1);

    let harmless = ["run.steps=10", "run.checkpoint-every=7", "run.keep=2", "run.log-every=3"];
    let finished = resume(&workshop, &harmless).success();
    for line in ["changed: run.checkpoint-every: 5 -> 7", "changed: run.keep: 3 -> 2"] {
        assert!(finished.stderr.contains(line), "{line} is not in\n{}", finished.stderr);
    }
    assert!(!finished.stderr.contains("warning:"), "{}", finished.stderr);
    let entries = history(&workshop);
    assert_eq!((entries.len(), &entries[1]["step"]), (2, &json!(10)));
    assert_eq!(entries[1]["changes"][0], json!({ "key": "run.checkpoint-every", "from": 5, "to": 7 }));
    assert_eq!(entries[1]["changes"].as_array().map(Vec::len), Some(3), "{entries:?}");
}

#[test]
fn what_changes_the_course_is_warned_of_and_becomes_the_configuration() {
    let workshop = started();
    let changed = ["run.steps=14", "run.checkpoint-every=5", "schedule.cosine.rate=0.02", "run.clip-norm=0.5"];
    let finished = resume(&workshop, &changed).success();
    // The cosine ends with the run, so a longer run has other rates too.
    for key in ["run.steps: 10 -> 14", "schedule.cosine.rate: ", "run.clip-norm: "] {
        let line = finished.stderr.lines().find(|line| line.contains(key));
        let is_warned = line.is_some_and(|line| line.starts_with("warning: ") && line.contains("from step 10 on"));
        assert!(is_warned, "no warning of {key}:\n{}", finished.stderr);
    }
    let config = config(&workshop);
    assert_eq!(config["run"]["steps"].as_integer(), Some(14));
    assert_eq!(config["schedule"]["cosine"]["rate"].as_float(), Some(0.02));
    // The next resumption compares with what was changed last.
    let again = resume(&workshop, &changed).success();
    assert!(!again.stderr.contains("warning:"), "{}", again.stderr);
    let changes: Vec<usize> =
        history(&workshop).iter().map(|entry| entry["changes"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(changes, [0, 3]);
}

#[test]
fn what_does_not_fit_is_refused_all_at_once_and_nothing_is_written() {
    let workshop = started();
    let before = contents(&workshop);
    let settings = ["model.lstm.hidden=48", "run.context=16", "seed=7", "run.steps=20", "run.batch=2"];
    let refused = resume(&workshop, &settings);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let model = fs::read_to_string(workshop.path("runs/run/config.toml")).expect("there is a configuration");
    let old = |section: &str, key: &str| {
        let table: toml::Table = model.parse().expect("it is TOML");
        section.split('.').fold(toml::Value::Table(table), |value, part| value[part].clone())[key].to_string()
    };
    for line in [
        format!("\n  model.lstm.hidden: {} -> 48\n", old("model.lstm", "hidden")),
        format!("\n  run.context: {} -> 16\n", old("run", "context")),
        format!("\n  run.batch: {} -> 2\n", old("run", "batch")),
        "-> 7\n".to_owned(),
        "--run NAME".to_owned(),
        "runs/run/config.toml".to_owned(),
    ] {
        assert!(refused.stderr.contains(&line), "{line:?} is not in\n{}", refused.stderr);
    }
    assert!(!refused.stderr.contains("run.steps"), "what is allowed is reported as refused:\n{}", refused.stderr);
    assert!(contents(&workshop) == before, "a refusal wrote something");
}

#[test]
fn another_kind_is_refused_as_one_change() {
    let workshop = started();
    let text = fs::read_to_string(workshop.path("lstm.toml")).expect("it is there");
    workshop.write("lstm.toml", text.replace("[schedule.cosine]", "[schedule.linear]"));
    let refused = resume(&workshop, &["run.steps=10"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("\n  schedule: \"cosine\" -> \"linear\"\n"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("schedule.linear"), "{}", refused.stderr);
}

#[test]
fn a_text_that_changed_under_its_name_is_refused() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let text = fs::read_to_string(workshop.path("lstm.toml")).expect("it is there");
    let start = text.find("[data").expect("there are data");
    let end = start + text[start..].find("\n[tokenizer").expect("there is a tokenizer");
    workshop.write("lstm.toml", format!("{}[data.file]\npaths = [\"tales.txt\"]\n{}", &text[..start], &text[end..]));
    let tale = "Once upon a time there was a kiln, and in it burned a fire.\n";
    workshop.write("tales.txt", tale.repeat(400));
    train(&workshop, &["run.steps=10"], &[]).success();
    // The same characters, hence the same tokenizer.
    workshop.write("tales.txt", format!("fire {}", tale.repeat(400)));
    let before = fs::read(workshop.path("runs/run/history.jsonl")).expect("there is a history");
    let refused = resume(&workshop, &["run.steps=20"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("BLAKE3 of the training text: "), "{}", refused.stderr);
    assert!(!refused.stderr.contains("BLAKE3 of the tokenizer"), "{}", refused.stderr);
    assert_eq!(fs::read(workshop.path("runs/run/history.jsonl")).expect("there is a history"), before);
    workshop.write("tales.txt", tale.repeat(400));
    resume(&workshop, &["run.steps=20"]).success();
}

#[test]
fn a_run_that_has_lost_its_configuration_says_so() {
    let workshop = started();
    fs::remove_file(workshop.path("runs/run/config.toml")).expect("it can be removed");
    for command in [&["train", "lstm.toml", "--run", "run", "--resume"][..], &["resume", "run"], &["plot", "run"]] {
        let refused = workshop.kiln(command);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains("the run `runs/run` has lost its `config.toml`"), "{}", refused.stderr);
        assert!(refused.stderr.contains("at `runs/run/config.toml`"), "{}", refused.stderr);
    }
    // The configuration that it was started with will do.
    let settings = "run.steps = 20\n";
    let text = fs::read_to_string(workshop.path("lstm.toml")).expect("it is there");
    workshop.write("runs/run/config.toml", text.replace("steps = 60\n", settings.trim_start_matches("run.")));
    workshop.kiln(&["resume", "run", "--device", "cpu"]).success();
}

#[test]
fn a_run_that_saved_nothing_starts_anew_with_any_settings() {
    let workshop = started();
    fs::remove_dir_all(workshop.path("runs/run/checkpoints")).expect("they can be removed");
    resume(&workshop, &["run.steps=10", "model.lstm.hidden=24"]).success();
    assert_eq!(config(&workshop)["model"]["lstm"]["hidden"].as_integer(), Some(24));
    let history = history(&workshop);
    assert_eq!((history.len(), &history[0]["step"]), (1, &json!(0)));
}

#[test]
fn a_race_resumes_only_unchanged_and_says_what_changed() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let run = fs::read_to_string(workshop.path("lstm.toml")).expect("it is there");
    let start = run.find("[schedule.cosine]").expect("there is a schedule");
    let end = run.find("[run]").expect("there is a run");
    let entrants = "\n[[entrants]]\nlabel = \"one\"\n[entrants.schedule.constant]\nrate = 1e-2\n";
    workshop.write("race.toml", format!("{}{}{entrants}", &run[..start], &run[end..]));
    let race = |more: &[&str]| {
        let arguments = ["race", "race.toml", "--device", "cpu", "--run", "race", "--set", "run.steps=10"];
        workshop.kiln(&[&arguments[..], more].concat())
    };
    race(&[]).success();
    let before = contents(&workshop);
    let refused = race(&["--resume", "--set", "run.keep=7", "--set", "run.steps=12"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    for words in ["\n  run.keep: ", "\n  run.steps: 10 -> 12\n", "--run NAME", "runs/race/sweep.toml"] {
        assert!(refused.stderr.contains(words), "{words:?} is not in\n{}", refused.stderr);
    }
    assert!(contents(&workshop) == before, "a refusal wrote something");

    // More may take part, and what was there stays.
    let second = entrants.replace("one", "two").replace("1e-2", "2e-2");
    let text = fs::read_to_string(workshop.path("race.toml")).expect("it is there");
    workshop.write("race.toml", format!("{text}{second}"));
    race(&["--resume"]).success();
    assert!(workshop.path("runs/race/two/best").is_file());
    workshop.write("race.toml", text.replace("rate = 1e-2", "rate = 3e-2") + &second);
    let refused = race(&["--resume"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let line = "entrants[\"one\"].schedule.constant.rate: 0.01 -> 0.03";
    assert!(refused.stderr.contains(line), "{}", refused.stderr);
}

/// A run that is stopped on one device, resumed on another, and comes back: the losses stay those of a run on the
/// first.
#[cfg(feature = "ndarray")]
#[test]
fn a_run_resumes_on_another_device_and_back() {
    for kind in ["lstm", "transformer"] {
        let config = format!("{kind}.toml");
        let train = |workshop: &Workshop, device: &str, more: &[&str]| {
            let arguments = ["train", &config, "--device", device, "--run", "run", "--set", "run.steps=30"];
            workshop.kiln(&[&arguments[..], &["--set", "run.log-every=1"], more].concat()).success();
        };
        let losses = |workshop: &Workshop| -> Vec<f64> {
            let log =
                kiln_training::run::Metrics::read(&workshop.path("runs/run/metrics.jsonl")).expect("there is a log");
            log.steps.iter().map(|entry| entry.train_loss).collect()
        };
        let (one, many) =
            (Workshop::with_config(&format!("tiny/{config}")), Workshop::with_config(&format!("tiny/{config}")));
        train(&one, "cpu", &[]);
        train(&many, "cpu", &["--stop-after", "10"]);
        train(&many, "ndarray", &["--stop-after", "20", "--resume"]);
        train(&many, "cpu", &["--resume"]);
        let (expected, found) = (losses(&one), losses(&many));
        assert_eq!((expected.len(), found.len()), (30, 30));
        for (step, (expected, found)) in expected.iter().zip(&found).enumerate() {
            assert!((expected - found).abs() <= 1e-4, "{kind}, step {}: {found} instead of {expected}", step + 1);
        }
    }
}

#[test]
fn fewer_steps_than_were_made_are_refused_with_what_to_type() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    train(&workshop, &["run.steps=10"], &[]).success();
    // The lock has the number of the process that took it last.
    let kept = || contents(&workshop).into_iter().filter(|(path, _)| !path.ends_with("lock")).collect::<Vec<_>>();
    let before = kept();
    let arguments = ["resume", "runs/run", "--device", "cpu", "--set"];
    let refused = workshop.kiln(&[&arguments[..], &["run.steps=8"]].concat());
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    for words in ["has made 10 steps already", "`kiln resume runs/run --set run.steps=20`", "--run NAME"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert!(kept() == before, "something was written");
}
