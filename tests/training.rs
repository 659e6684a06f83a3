//! `kiln train` and `kiln eval`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{Finished, Workshop, newest_checkpoint, skip};

/// Arguments that train the workshop's configuration of this kind of model as `run`.
fn training<'a>(config: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", config, "--device", "cpu", "--run", "run"], more].concat()
}

/// The lines of `metrics.jsonl`.
fn metrics(workshop: &Workshop) -> Vec<Value> {
    let text = fs::read_to_string(workshop.path("runs/run/metrics.jsonl")).expect("the run has a log");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is one object")).collect()
}

/// The lines without what depends on the clock.
fn measured(workshop: &Workshop) -> Vec<Value> {
    let mut lines = metrics(workshop);
    for line in &mut lines {
        line.as_object_mut().expect("a line is one object").remove("tokens_per_second");
    }
    lines
}

/// The names and contents of the last checkpoint's files.
fn last_checkpoint(workshop: &Workshop) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(newest_checkpoint(&workshop.path("runs/run")))
        .expect("the checkpoint can be listed")
        .map(|entry| entry.expect("the checkpoint can be listed"))
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file can be read"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_run_leaves_everything_that_the_readme_promises() {
    let workshop = Workshop::with_config("tiny/gru.toml");
    let finished = workshop.kiln(&training("gru.toml", &[])).success();
    assert_eq!(finished.stdout, "");
    for words in [
        "step 60/60",
        "validation after step 40",
        "--- sample at step 30 ---",
        "the best possible is",
        "kiln sample runs/run",
    ] {
        assert!(finished.stderr.contains(words), "{words:?} is not in\n{}", finished.stderr);
    }
    for file in ["config.toml", "tokenizer.json", "run.json", "metrics.jsonl", "history.jsonl", "best"] {
        assert!(workshop.path("runs/run").join(file).is_file(), "{file} is missing");
    }
    let files: Vec<String> = last_checkpoint(&workshop).into_iter().map(|(name, _)| name).collect();
    let expected =
        ["manifest.json", "model.safetensors", "optimizer.safetensors", "recurrent-state.safetensors", "training.json"];
    assert_eq!(files, expected);
    let lines = metrics(&workshop);
    let losses: Vec<f64> = lines.iter().filter_map(|line| line["train_loss"].as_f64()).collect();
    assert!(losses[losses.len() - 1] < losses[0] - 0.3, "{losses:?}");
    assert_eq!(lines.iter().filter(|line| line.get("valid_loss").is_some()).count(), 3);
    let record: Value =
        serde_json::from_slice(&fs::read(workshop.path("runs/run/run.json")).expect("there is a record"))
            .expect("it is JSON");
    assert!(record["entropy"].as_f64().is_some_and(|entropy| (entropy - 0.140_889).abs() < 1e-6), "{record}");
}

#[test]
fn the_resolved_configuration_of_a_run_trains_the_same_model() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    workshop.kiln(&training("rnn.toml", &["--set", "run.steps=10"])).success();
    let (lines, checkpoint) = (measured(&workshop), last_checkpoint(&workshop));
    let resolved = fs::read_to_string(workshop.path("runs/run/config.toml")).expect("the run has its configuration");
    let again = Workshop::new();
    again.write("resolved.toml", resolved);
    again.kiln(&training("resolved.toml", &[])).success();
    assert_eq!(measured(&again), lines);
    assert!(last_checkpoint(&again) == checkpoint, "the checkpoints differ");
}

#[test]
fn a_finished_run_is_not_trained_over_and_resuming_it_changes_nothing() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let few = ["--set", "run.steps=10"];
    workshop.kiln(&training("rnn.toml", &few)).success();
    let before = last_checkpoint(&workshop);
    let refused = workshop.kiln(&training("rnn.toml", &few));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("exists already; `kiln resume runs/run` resumes it"), "{}", refused.stderr);
    workshop.kiln(&training("rnn.toml", &[&few[..], &["--resume"]].concat())).success();
    assert!(last_checkpoint(&workshop) == before, "resuming a finished run changed its checkpoint");
}

#[test]
fn a_longer_run_continues_a_shorter_one_with_the_bits_of_one_run() {
    for kind in ["lstm", "transformer"] {
        let file = format!("{kind}.toml");
        // The cosine's end is fixed, so that the rates of the two runs are the same.
        let settings = |steps| {
            [
                "--set".to_string(),
                format!("run.steps={steps}"),
                "--set".to_string(),
                "schedule.cosine.steps=30".to_string(),
            ]
        };
        let run = |workshop: &Workshop, steps: u32, more: &[&str]| {
            let settings = settings(steps);
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            workshop.kiln(&training(&file, &[&settings[..], more].concat())).success()
        };
        let whole = Workshop::with_config(&format!("tiny/{file}"));
        run(&whole, 30, &[]);
        let parts = Workshop::with_config(&format!("tiny/{file}"));
        run(&parts, 13, &["--resume"]);
        run(&parts, 30, &["--resume"]);
        assert!(last_checkpoint(&parts) == last_checkpoint(&whole), "{kind}: the checkpoints differ");
    }
}

/// Starts a run that would take long, and waits until it has logged some steps.
fn start_long(workshop: &Workshop) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut command = workshop.command(&training(
        "transformer.toml",
        &["--set", "run.steps=1000000", "--set", "run.checkpoint-every=1000000"],
    ));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("kiln can be started");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut line = String::new();
    while !line.starts_with("step") || line.starts_with("step       1/") {
        line.clear();
        let read = lines.read_line(&mut line).expect("kiln writes UTF-8");
        assert!(read > 0, "kiln ended before its first steps");
    }
    (child, lines)
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(status.expect("there is a kill").success());
}

fn rest(mut child: Child, mut lines: BufReader<std::process::ChildStderr>) -> Finished {
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut lines, &mut stderr).expect("kiln writes UTF-8");
    let status = child.wait().expect("kiln ends");
    Finished { code: status.code(), stdout: String::new(), stderr }
}

#[test]
fn a_signal_saves_prints_the_line_that_resumes_and_that_line_works() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let workshop = Workshop::with_config("tiny/transformer.toml");
        let (child, lines) = start_long(&workshop);
        signal(&child, name);
        let finished = rest(child, lines);
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        let step: u64 = finished
            .stderr
            .split("after step ")
            .last()
            .and_then(|rest| rest.split(';').next()?.trim().parse().ok())
            .unwrap_or_else(|| panic!("it does not say where it stopped:\n{}", finished.stderr));
        let resume =
            finished.stderr.lines().last().and_then(|line| line.split_once("kiln ")).expect("the last line resumes").1;
        let steps = format!("run.steps={}", step + 5);
        let words: Vec<&str> = resume.split_whitespace().chain(["--set", &steps]).collect();
        let resumed = workshop.kiln(&words).success();
        assert!(resumed.stderr.contains(&format!("resuming after step {step} ")), "{}", resumed.stderr);
        let steps: Vec<u64> = metrics(&workshop)
            .iter()
            .filter(|line| line.get("train_loss").is_some())
            .filter_map(|line| line["step"].as_u64())
            .collect();
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "a step is logged twice: {steps:?}");
    }
}

#[test]
fn a_second_trainer_hears_which_process_holds_the_run() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let (child, lines) = start_long(&workshop);
    let second = workshop.kiln(&training("transformer.toml", &["--resume"]));
    assert_eq!(second.code, Some(3), "{}", second.stderr);
    assert!(second.stderr.contains(&format!("id {}", child.id())), "{}", second.stderr);
    signal(&child, "-INT");
    assert_eq!(rest(child, lines).code, Some(130));
}

#[test]
fn an_evaluation_gives_the_same_number_twice_to_the_last_bit() {
    for kind in ["lstm", "transformer"] {
        let workshop = Workshop::with_config(&format!("tiny/{kind}.toml"));
        workshop.kiln(&training(&format!("{kind}.toml"), &["--set", "run.steps=20"])).success();
        let eval = |more: &[&str]| {
            let arguments = [&["eval", "runs/run", "--checkpoint", "last", "--device", "cpu", "--json"], more].concat();
            workshop.kiln(&arguments).success().stdout
        };
        assert_eq!(eval(&[]), eval(&[]));
        let number = |json: &str, key: &str| {
            serde_json::from_str::<Value>(json).expect("it is JSON")[key].as_f64().expect("it is a number")
        };
        let (whole, logged) = (eval(&[]), metrics(&workshop));
        let logged =
            logged.iter().rev().find_map(|line| line["valid_loss"].as_f64()).expect("the last step is evaluated");
        assert_eq!(number(&whole, "loss"), logged);
        assert!((number(&whole, "perplexity") - logged.exp()).abs() < 1e-12);
        // A character is a byte and a token here, and every token but the first is predicted.
        assert!((number(&whole, "bits_per_byte") - logged / std::f64::consts::LN_2).abs() < 1e-12);
        assert_eq!(number(&whole, "tokens"), 1999.0);
        // One stream and eight see nearly the same past.
        assert!((number(&eval(&["--streams", "1"]), "loss") - logged).abs() < 1e-3);
        workshop.write("other.txt", "Once upon a time there lived a king.\n".repeat(40));
        assert!(number(&eval(&["--data", "other.txt"]), "loss") > 0.0);
    }
}

#[test]
fn a_rate_that_is_too_high_ends_as_divergence_and_keeps_what_was_saved() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let settings = [
        "--set",
        "schedule.cosine.rate=1e30",
        "--set",
        "schedule.cosine.final-rate=0",
        "--set",
        "run.checkpoint-every=1",
    ];
    let finished = workshop.kiln(&training("transformer.toml", &settings));
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert!(finished.stderr.contains("training diverged at step"), "{}", finished.stderr);
    assert!(!last_checkpoint(&workshop).is_empty());
}

#[test]
fn a_seed_repeats_itself_and_another_does_not() {
    let first = Workshop::with_config("tiny/lstm.toml");
    first.kiln(&training("lstm.toml", &["--set", "run.steps=10"])).success();
    let second = Workshop::with_config("tiny/lstm.toml");
    second.kiln(&training("lstm.toml", &["--set", "run.steps=10"])).success();
    assert_eq!(measured(&first), measured(&second));
    let other = Workshop::with_config("tiny/lstm.toml");
    other.kiln(&training("lstm.toml", &["--set", "run.steps=10", "--set", "seed=2"])).success();
    assert_ne!(measured(&first), measured(&other));
}

/// The disk is a file system in memory of 700 KiB, or of so few files that no second checkpoint fits, which only the
/// shell below sees. Making one needs rights that not every machine gives; if it can't be made, the test is skipped.
#[test]
fn a_full_disk_ends_the_run_and_keeps_the_checkpoints_before_it() {
    let script = "mkdir runs && mount -t tmpfs -o $1 kiln runs || exit 99
        \"$0\" train transformer.toml --device cpu --run run --set run.checkpoint-every=10 --set run.evaluate-every=1000
        echo \"trained: $?\"
        \"$0\" sample runs/run --device cpu --max-tokens 20 > sample.txt
        echo \"sampled: $?\"";
    for disk in ["size=700k", "nr_inodes=20"] {
        let workshop = Workshop::with_config("tiny/transformer.toml");
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_kiln"), disk]);
        command.current_dir(workshop.path(".")).env("KILN_CACHE", workshop.path("cache"));
        let finished: Finished = match command.output() {
            Ok(output) => output.into(),
            Err(error) => return skip(&format!("unshare cannot be started: {error}")),
        };
        if finished.code == Some(99) || finished.stdout.is_empty() {
            return skip(&format!("no file system can be made here: {}", finished.stderr));
        }
        assert_eq!(finished.stdout, "trained: 3\nsampled: 0\n", "{disk}: {}", finished.stderr);
        for words in ["saved runs/run/checkpoints/step-00000010", "No space left on device", "kiln resume runs/run"] {
            assert!(finished.stderr.contains(words), "{disk}: {}", finished.stderr);
        }
        let sample = fs::read_to_string(workshop.path("sample.txt")).expect("there is a sample");
        assert!(sample.chars().count() > 10, "{disk}: {sample:?}");
    }
}

/// The CPU's fused operations and the compositions that they stand for, which `ndarray` runs: the same weights, batches
/// and recipe give the same curve. At a rate at which training amplifies rounding no two orders of addition would.
#[cfg(feature = "ndarray")]
#[test]
fn curves_with_and_without_fused_operations_agree() {
    for kind in crate::support::MODELS {
        let (config, file) = (format!("tiny/{kind}.toml"), format!("{kind}.toml"));
        let losses = |device: &str| {
            let workshop = Workshop::with_config(&config);
            let settings = ["run.steps=200", "run.log-every=1", "schedule.cosine.rate=3e-3"];
            let settings = settings.iter().flat_map(|setting| ["--set", setting]);
            let arguments = ["train", &file, "--device", device, "--run", "run"].into_iter().chain(settings);
            workshop.kiln(&arguments.collect::<Vec<_>>()).success();
            let loss = |line: &Value| line.get("train_loss").and_then(Value::as_f64);
            metrics(&workshop).iter().filter_map(loss).collect::<Vec<f64>>()
        };
        let (fused, composed) = (losses("cpu"), losses("ndarray"));
        assert_eq!((fused.len(), composed.len()), (200, 200), "{config}");
        for (step, (fused, composed)) in (1..).zip(fused.iter().zip(&composed)) {
            assert!((fused - composed).abs() < 1e-3, "{config}, step {step}: {fused} and {composed}");
        }
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn mixed_precision_that_a_backend_lacks_is_refused_before_there_is_a_run() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let arguments =
        ["train", "transformer.toml", "--device", "ndarray", "--run", "run", "--set", "run.precision=mixed"];
    let refused = workshop.kiln(&arguments);
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(refused.stderr.contains("this backend multiplies in single precision alone"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`--set run.precision=f32`"), "{}", refused.stderr);
    assert!(!workshop.path("runs/run").exists());
}

#[test]
fn mixed_precision_on_a_processor_rounds_and_learns_the_same() {
    let losses = |precision: &str| {
        let workshop = Workshop::with_config("tiny/transformer.toml");
        let precision = format!("run.precision={precision}");
        let settings = ["--set", &precision, "--set", "run.steps=20", "--set", "run.log-every=1"];
        workshop.kiln(&training("transformer.toml", &settings)).success();
        let loss = |line: &Value| line.get("train_loss").and_then(Value::as_f64);
        metrics(&workshop).iter().filter_map(loss).collect::<Vec<f64>>()
    };
    let (single, mixed) = (losses("f32"), losses("mixed"));
    assert_eq!((single.len(), mixed.len()), (20, 20));
    assert!(single[0] - single[19] > 0.05, "{single:?}");
    assert!(single != mixed, "nothing was rounded");
    // Later, at this rate, training amplifies what rounding does.
    for (step, (single, mixed)) in (1..=10).zip(single.iter().zip(&mixed)) {
        assert!((single - mixed).abs() < 1e-3, "step {step}: {single} and {mixed}");
    }
}
