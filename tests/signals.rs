//! Signals and terminals that go away.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::mpsc;
use std::time::Duration;
#[cfg(target_os = "linux")]
use std::time::Instant;

use kiln_storage::list_checkpoints;

#[cfg(target_os = "linux")]
use crate::support::skip;
use crate::support::{Finished, Workshop};

/// How often each signal comes at each moment; 50 for a night, by `KILN_SIGNALS=50`.
fn repetitions() -> u32 {
    std::env::var("KILN_SIGNALS").ok().and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// A run in the background, and what it has written to stderr.
struct Background {
    child: Child,
    lines: BufReader<ChildStderr>,
    heard: String,
}

impl Background {
    /// Starts a long run with these settings.
    fn start(workshop: &Workshop, settings: &[&str]) -> Self {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let arguments = ["train", "transformer.toml", "--device", "cpu", "--run", "run", "--set", "run.steps=1000000"];
        let mut command = workshop.command(&arguments.into_iter().chain(settings).collect::<Vec<_>>());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("kiln can be started");
        let lines = BufReader::new(child.stderr.take().expect("stderr is piped"));
        Self { child, lines, heard: String::new() }
    }

    /// Reads on until a line starts so.
    fn wait_for(&mut self, start: &str) {
        loop {
            let from = self.heard.len();
            let read = self.lines.read_line(&mut self.heard).expect("kiln writes UTF-8");
            assert!(read > 0, "kiln ended before it wrote `{start}`:\n{}", self.heard);
            if self.heard[from..].starts_with(start) {
                return;
            }
        }
    }

    fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.expect("there is a kill").success());
    }

    /// Presses Ctrl-C again and again until the process has ended.
    fn interrupt_until_it_ends(mut self) -> Finished {
        while self.child.try_wait().expect("a child can be asked").is_none() {
            self.signal("-INT");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.end()
    }

    /// Reads everything that is left, and how it ended; after a minute without an end, it is killed.
    fn end(mut self) -> Finished {
        let process = self.child.id().to_string();
        let (ended, is_ended) = mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            if is_ended.recv_timeout(Duration::from_secs(60)).is_err() {
                std::process::Command::new("kill").args(["-KILL", &process]).status().expect("there is a kill");
            }
        });
        std::io::Read::read_to_string(&mut self.lines, &mut self.heard).expect("kiln writes UTF-8");
        ended.send(()).ok();
        watch.join().expect("the watch ends");
        let status = self.child.wait().expect("kiln ends");
        Finished { code: status.code(), stdout: String::new(), stderr: self.heard }
    }
}

/// The steps of the checkpoints, which must all be whole.
fn whole_ones(run: &Path) -> Vec<u64> {
    let checkpoints = list_checkpoints(run).expect("checkpoints can be listed");
    assert!(checkpoints.iter().all(|entry| entry.valid.is_ok()), "{checkpoints:?}");
    checkpoints.iter().map(|entry| entry.step).collect()
}

/// The step of the newest checkpoint; all must be whole, and nothing half written may be left.
fn newest_of_whole_ones(run: &Path) -> u64 {
    let steps = whole_ones(run);
    let entries = std::fs::read_dir(run.join("checkpoints")).expect("it can be listed").flatten();
    assert_eq!(entries.count(), steps.len());
    steps.into_iter().max().expect("there is a checkpoint")
}

#[test]
fn a_signal_at_any_moment_ends_in_a_durable_checkpoint() {
    // Each moment is one that the run is nearly always in, and the line after which it begins.
    let moments: [(&str, &str, &[&str]); 5] = [
        ("step", "step", &["run.evaluate-every=1000000", "run.checkpoint-every=1000000", "run.log-every=1"]),
        ("accumulation", "model:", &["run.accumulate=1000000", "run.checkpoint-every=1000000"]),
        ("evaluation", "validation", &["run.evaluate-every=1", "data.builtin.characters=400_000"]),
        ("sample", "--- sample", &["run.sample-every=1", "run.sample-tokens=2000"]),
        ("save", "saved", &["run.checkpoint-every=1", "run.evaluate-every=1000000"]),
    ];
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-USR1", 0)] {
        for (moment, line, settings) in moments {
            for repetition in 0..repetitions() {
                let what = format!("{signal} in {moment}, repetition {repetition}");
                let workshop = Workshop::with_config("tiny/transformer.toml");
                let mut run = Background::start(&workshop, settings);
                run.wait_for(line);
                // Repetitions choose other moments.
                std::thread::sleep(Duration::from_millis(u64::from(repetition * 7 % 50)));
                run.signal(signal);
                let finished = run.end();
                assert_eq!(finished.code, Some(code), "{what}: {}", finished.stderr);
                let last = finished.stderr.lines().last().unwrap_or_default();
                assert_eq!(last, "resume it:        kiln resume runs/run --device cpu", "{what}");
                let step = newest_of_whole_ones(&workshop.path("runs/run"));
                assert!(finished.stderr.contains(&format!("after step {step};")), "{what}: {}", finished.stderr);
                // A million batches are abandoned, not finished.
                assert!(moment != "accumulation" || step == 0, "{what}: {}", finished.stderr);
            }
        }
    }
}

#[test]
fn two_signals_close_together_are_one() {
    // `timeout` signals its child and then the group that both are in; a service manager may send another kind.
    for [first, second] in [["-INT", "-INT"], ["-TERM", "-TERM"], ["-TERM", "-INT"]] {
        let workshop = Workshop::with_config("tiny/transformer.toml");
        // Long enough steps for both signals to come within one.
        let mut run = Background::start(&workshop, &["run.batch=500", "run.context=256", "run.checkpoint-every=1"]);
        run.wait_for("saved");
        run.signal(first);
        run.signal(second);
        let finished = run.end();
        // Of two kinds that wait together, the system hands out the lower number first.
        let codes = [first, second].map(|signal| if signal == "-INT" { 130 } else { 143 });
        assert!(finished.code.is_some_and(|code| codes.contains(&code)), "{:?}: {}", finished.code, finished.stderr);
        let step = newest_of_whole_ones(&workshop.path("runs/run"));
        assert!(finished.stderr.contains(&format!("after step {step}; saved in")), "{}", finished.stderr);
        assert!(!finished.stderr.contains("without saving"), "{}", finished.stderr);
    }
}

#[test]
fn a_later_control_c_ends_at_once_and_tears_nothing() {
    // Steps of more than a second, each with its checkpoint. The first signal waits for the step in progress, one that
    // comes a second later doesn't.
    let settings = ["run.batch=4000", "run.context=256", "data.builtin.characters=400_000", "run.checkpoint-every=1"];
    for _ in 0..10 {
        let workshop = Workshop::with_config("tiny/transformer.toml");
        let mut run = Background::start(&workshop, &settings);
        run.wait_for("saved");
        let finished = run.interrupt_until_it_ends();
        assert_eq!(finished.code, Some(130), "{}", finished.stderr);
        // What was being written is left for the next process to remove.
        assert!(whole_ones(&workshop.path("runs/run")).contains(&1), "{}", finished.stderr);
        // The line that resumes is the last of an orderly end, to which the first signal leads if it comes between two
        // steps.
        if !finished.stderr.contains("kiln resume") {
            let last = finished.stderr.lines().last().unwrap_or_default();
            assert_eq!(last, "a second Ctrl-C: left without saving");
            return;
        }
    }
    panic!("the step in progress was waited for, ten times");
}

#[test]
fn a_terminal_that_goes_away_and_a_pause_end_nothing() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let mut run = Background::start(&workshop, &["run.log-every=1", "run.evaluate-every=1000000"]);
    run.wait_for("step");
    run.signal("-HUP");
    (0..20).for_each(|_| run.wait_for("step"));
    run.signal("-STOP");
    #[cfg(target_os = "linux")]
    wait_until("the pause", || is_stopped(run.child.id()));
    run.signal("-CONT");
    (0..20).for_each(|_| run.wait_for("step"));
    run.signal("-TERM");
    assert_eq!(run.end().code, Some(143));
}

/// The dashboard, as on any terminal, inside of `script`, which is killed: with it the terminal is gone.
#[cfg(target_os = "linux")]
#[test]
fn a_dashboard_whose_terminal_goes_away_ends_nothing() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let settings = "--set run.steps=6000 --set run.checkpoint-every=100 --set run.evaluate-every=6000";
    let train = format!(
        "stty rows 24 cols 80; '{}' train transformer.toml --device cpu --run run {settings}",
        env!("CARGO_BIN_EXE_kiln")
    );
    let mut command = std::process::Command::new("script");
    command.args(["--quiet", "--command", &train, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null());
    command.current_dir(workshop.path(".")).env("KILN_CACHE", workshop.path("cache")).env("TERM", "xterm");
    let mut script = match command.spawn() {
        Ok(script) => script,
        Err(error) => return skip(&format!("there is no `script`: {error}")),
    };
    let run = workshop.path("runs/run");
    let newest = || kiln_storage::steps(&run).ok().and_then(|steps| steps.last().copied()).unwrap_or(0);
    wait_until("the first checkpoint", || newest() > 0);
    let trainer = std::fs::read_to_string(run.join("lock")).expect("the trainer's number is there").trim().to_owned();
    script.kill().expect("it runs");
    script.wait().expect("it ends");
    assert!(newest() < 5000, "the terminal must go away while the run trains");
    wait_until("the end of the run", || !Path::new("/proc").join(&trainer).exists());
    assert_eq!(newest_of_whole_ones(&run), 6000);
}

/// Whether the system has stopped a process.
#[cfg(target_os = "linux")]
fn is_stopped(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process is there");
    status.rsplit_once(')').is_some_and(|(_, state)| state.trim_start().starts_with('T'))
}

/// Waits until something is so; a minute without it is a failure.
#[cfg(target_os = "linux")]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_second_trainer_is_refused_before_its_data_is_prepared() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let mut run = Background::start(&workshop, &["run.checkpoint-every=10"]);
    run.wait_for("saved");
    let cached = workshop.cached();
    let arguments = ["train", "transformer.toml", "--device", "cpu", "--run", "run", "--resume"];
    let second = workshop.kiln(&[&arguments[..], &["--set", "data.builtin.characters=5_000_000"]].concat());
    assert!(workshop.cached() == cached, "the data of the second one was prepared");
    let refusal = format!("is being trained by another process (id {})", run.child.id());
    assert!(second.code == Some(3) && second.stderr.contains(&refusal), "{refusal}: {}", second.stderr);
    run.signal("-TERM");
    assert_eq!(run.end().code, Some(143));
}

#[test]
fn closed_outputs_end_nothing() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let mut command = workshop.command(&["train", "transformer.toml", "--device", "cpu", "--run", "run"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kiln can be started");
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().expect("kiln ends").code(), Some(0));
    assert_eq!(newest_of_whole_ones(&workshop.path("runs/run")), 60);
}
