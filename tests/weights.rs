//! What `docs/weights.md` says of the tensors, by `scripts/reference/weights.py`, a forward pass in NumPy.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{MODELS, Workshop, repository};

/// The Python that is asked: that of `KILN_PYTHON`, else `python3`.
fn python() -> Command {
    Command::new(std::env::var_os("KILN_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// Whether the script finds the same losses, token by token, as `losses` has them.
fn agrees(run: &std::path::Path, losses: &str) -> bool {
    let script = repository().join("scripts/reference/weights.py");
    let mut command = python();
    command.arg(script).arg(run).arg("--quiet").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("Python can be started");
    child.stdin.take().expect("stdin is a pipe").write_all(losses.as_bytes()).expect("the script reads");
    child.wait().expect("the script ends").success()
}

/// Not a skip that `KILN_TEST_REQUIRES_ALL` forbids: Python belongs to what documents the weights, not to Kiln.
#[test]
fn numpy_finds_the_losses_that_kiln_finds() {
    let found = python().args(["-c", "import numpy, tomllib"]).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no Python 3.11 with NumPy (KILN_PYTHON names one)");
        return;
    }
    for model in MODELS {
        let workshop = Workshop::with_config(&format!("tiny/{model}.toml"));
        let config = format!("{model}.toml");
        let settings = ["run.steps=20", "run.evaluate-every=20", "run.checkpoint-every=20", "schedule.cosine.warmup=2"];
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        workshop.kiln(&[&["train", &config, "--device", "cpu"], &settings[..]].concat()).success();
        let losses = workshop.kiln(&["eval", model, "--per-token", "--device", "cpu"]).success().stdout;
        let run = workshop.path(&format!("runs/{model}"));
        assert!(agrees(&run, &losses), "{model}");
        // One loss is another.
        let mut lines: Vec<String> = losses.lines().map(str::to_owned).collect();
        let line = lines.iter_mut().rev().find(|line| line.contains('.')).expect("there is a loss");
        *line = line.replacen('.', ".9", 1);
        assert!(!agrees(&run, &lines.join("\n")), "{model}: the script does not look at the losses");
    }
}
