//! `kiln verify-resume`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use kiln_training::run::Metrics;

use crate::support::Workshop;

#[test]
fn a_resumed_run_is_equal_bit_by_bit_and_leaves_nothing_behind() {
    for kind in ["lstm", "transformer"] {
        let workshop = Workshop::with_config(&format!("tiny/{kind}.toml"));
        let dropout = format!("model.{kind}.dropout=0.2");
        let arguments = ["verify-resume", &format!("{kind}.toml"), "--device", "cpu", "--set", "run.steps=25"];
        let more = ["--stop-after", "11", "--set", "run.accumulate=2", "--set", &dropout];
        let finished = workshop.kiln(&[&arguments[..], &more].concat()).success();
        assert!(finished.stderr.contains("stopped by --stop-after after step 11"), "{}", finished.stderr);
        assert!(finished.stderr.contains("resuming after step 11 of 25"), "{}", finished.stderr);
        assert!(finished.stderr.contains("equal, bit by bit"), "{}", finished.stderr);
        assert_eq!(std::fs::read_dir(workshop.path("runs")).expect("there is a folder").count(), 0);
    }
}

/// The text becomes another one while the first of the runs trains, which has read it by then.
#[test]
fn runs_that_differ_are_kept_with_what_differs_and_end_with_code_3() {
    let workshop = Workshop::new();
    let text = "the quick brown fox jumps over the lazy dog. ".repeat(200);
    workshop.write("text.txt", &text);
    let config = "[data.file]\npaths = [\"text.txt\"]\n[tokenizer.byte]\n\
         [model.lstm]\nlayers = 1\nhidden = 16\nembedding = 8\n[optimizer.adamw]\n[schedule.constant]\nrate = 1e-3\n\
         [run]\nsteps = 40\nbatch = 4\ncontext = 16\nlog-every = 1\n";
    workshop.write("config.toml", config);
    let mut command = workshop.command(&["verify-resume", "config.toml", "--device", "cpu"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("kiln can be started");
    let lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
    let (mut printed, mut is_changed) = (Vec::new(), false);
    for line in lines {
        printed.push(line.expect("kiln writes UTF-8"));
        if !is_changed && printed.last().is_some_and(|line| line.starts_with("step")) {
            workshop.write("text.txt", text.replace("fox", "cat"));
            is_changed = true;
        }
    }
    let printed = printed.join("\n");
    assert_eq!(child.wait().expect("kiln ends").code(), Some(3), "{printed}");
    for words in ["They differ:", "  model.safetensors: ", "  metrics.jsonl: line 1 ", "the runs are kept: "] {
        assert!(printed.contains(words), "{words} is not in\n{printed}");
    }
    assert_eq!(std::fs::read_dir(workshop.path("runs")).expect("there is a folder").count(), 2);
}

#[test]
fn a_stop_that_leaves_nothing_to_resume_is_refused() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let finished = workshop.kiln(&["verify-resume", "lstm.toml", "--device", "cpu", "--stop-after", "60"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("a step from 1 to 59"), "{}", finished.stderr);
}

#[test]
fn the_number_of_threads_changes_no_loss_by_more_than_rounding() {
    for kind in ["lstm", "transformer"] {
        let losses = |threads: &str| {
            let workshop = Workshop::with_config(&format!("tiny/{kind}.toml"));
            let arguments =
                ["train", &format!("{kind}.toml"), "--device", "cpu", "--run", "run", "--set", "run.steps=30"];
            let mut command = workshop.command(&arguments);
            let output = command.env("RAYON_NUM_THREADS", threads).output().expect("kiln can be started");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Metrics::read(&workshop.path("runs/run/metrics.jsonl")).expect("there is a log").steps
        };
        let one = losses("1");
        for threads in ["2", "4"] {
            for (one, other) in one.iter().zip(losses(threads)) {
                let gap = (one.train_loss - other.train_loss).abs();
                assert!(gap < 1e-5, "{kind}, {threads} threads, step {}: {gap:e}", one.step);
            }
        }
    }
}
