//! `kiln verify-resume`.

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
        assert!(finished.stderr.contains("going on after step 11 of 25"), "{}", finished.stderr);
        assert!(finished.stderr.contains("equal, bit by bit"), "{}", finished.stderr);
        assert_eq!(std::fs::read_dir(workshop.path("runs")).expect("there is a folder").count(), 0);
    }
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
