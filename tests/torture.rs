//! A training process that is killed again and again, by the system, at any moment.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use kiln_storage::{CheckpointEntry, list_checkpoints};
use kiln_training::run::Comparison;

use crate::support::Workshop;

/// Steps between two checkpoints.
const INTERVAL: u64 = 5;

/// 200 by `KILN_KILLS=200`, which `scripts/torture.sh 200` sets.
fn kills() -> u64 {
    std::env::var("KILN_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(10)
}

/// Draws that repeat themselves (SplitMix64, Steele, Lea and Flood 2014, <https://doi.org/10.1145/2660193.2660195>).
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// The losses of all kills.
#[derive(Default)]
struct Toll {
    inside_a_save: u64,
    /// Checkpoints that were reported as saved and, like any later one, were missing after a kill.
    lost_checkpoints: u64,
    lost_steps: u64,
    most_lost_steps: u64,
    /// Checkpoint folders that do not verify.
    damaged: u64,
}

/// Starts or resumes the run.
fn start(workshop: &Workshop, steps: u64) -> Child {
    let (steps, interval) = (format!("run.steps={steps}"), format!("run.checkpoint-every={INTERVAL}"));
    let mut command =
        workshop.command(&["train", "transformer.toml", "--device", "cpu", "--run", "killed", "--resume"]);
    command.args(["--set", &steps, "--set", &interval, "--set", "run.evaluate-every=37", "--set", "run.log-every=1"]);
    command.args(["--set", "model.transformer.dropout=0.1", "--progress", "lines"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("kiln can be started")
}

/// What a process reported before it ended: the step that it resumed after, the last one made, the last one saved.
#[derive(Default, Clone, Copy)]
struct Life {
    resumed: u64,
    step: u64,
    saved: u64,
}

/// Lets the process make some steps, then kills it: at once, after a moment, or during the next save.
fn live(child: &mut Child, run: &Path, draws: &mut Draws, toll: &mut Toll) -> Life {
    let (steps, inside_a_save) = (draws.below(150), draws.below(10) < 3);
    let moment = Duration::from_micros(draws.below(4000));
    let mut life = Life::default();
    let mut made = 0;
    let mut killed = false;
    // After the kill, what was reported before it is read to its end.
    for line in BufReader::new(child.stderr.take().expect("stderr is piped")).lines() {
        let line = line.expect("kiln writes UTF-8");
        let number = |text: &str| text.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
        if let Some(step) = line.strip_prefix("resuming after step ").and_then(number) {
            life.resumed = step;
        } else if let Some(step) = line.strip_prefix("step ").and_then(number) {
            life.step = step;
            made += 1;
        } else if let Some((_, step)) = line.split_once("saved runs/killed/checkpoints/step-") {
            life.saved = number(step).expect("a checkpoint has its step in its name");
        }
        if made >= steps && !killed {
            if inside_a_save {
                toll.inside_a_save += u64::from(wait_for_a_save(run));
            } else {
                std::thread::sleep(moment);
            }
            child.kill().expect("a process can be killed");
            killed = true;
        }
    }
    child.wait().expect("a process ends");
    assert!(killed, "the run ended before it was killed: {} steps made of {steps}", made);
    life
}

/// Waits until a checkpoint is being written; whether one was.
fn wait_for_a_save(run: &Path) -> bool {
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let entries = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
        if entries.into_iter().any(|entry| entry.file_name().to_string_lossy().contains(".tmp-")) {
            return true;
        }
    }
    false
}

fn inspect(run: &Path, life: Life, toll: &mut Toll) -> u64 {
    let checkpoints = list_checkpoints(run).expect("checkpoints can be listed");
    toll.damaged += checkpoints.iter().filter(|entry| entry.valid.is_err()).count() as u64;
    let newest = checkpoints.iter().filter(|entry| entry.valid.is_ok()).map(|CheckpointEntry { step, .. }| *step).max();
    let newest = newest.unwrap_or(0);
    toll.lost_checkpoints += u64::from(newest < life.saved.max(life.resumed));
    let lost = life.step.saturating_sub(newest);
    toll.lost_steps += lost;
    toll.most_lost_steps = toll.most_lost_steps.max(lost);
    newest
}

#[test]
fn a_process_that_is_killed_again_and_again_ends_with_the_bits_of_one_that_is_not() {
    let (kills, started) = (kills(), Instant::now());
    let steps = kills * 100;
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let run = workshop.path("runs/killed");
    let (mut draws, mut toll) = (Draws(1), Toll::default());
    for kill in 0..kills {
        let mut child = start(&workshop, steps);
        let life = live(&mut child, &run, &mut draws, &mut toll);
        let newest = inspect(&run, life, &mut toll);
        assert!(newest < steps, "the run was done after {kill} kills");
    }
    let output = start(&workshop, steps).wait_with_output().expect("kiln ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&run, workshop.path("runs/was-killed")).expect("a run folder can be renamed");
    let output = start(&workshop, steps).wait_with_output().expect("kiln ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let comparison = Comparison::of(&run, &workshop.path("runs/was-killed")).expect("both can be read");
    println!(
        "{kills} kills in {:.0} s, {} of them inside a save; {steps} steps with a checkpoint after every {INTERVAL}th\n\
         lost checkpoints: {}\ndamaged checkpoints: {}\nlost steps: {}, at most {} by one kill\n\
         final checkpoint and log equal to the uninterrupted run's: {}",
        started.elapsed().as_secs_f64(),
        toll.inside_a_save,
        toll.lost_checkpoints,
        toll.damaged,
        toll.lost_steps,
        toll.most_lost_steps,
        if comparison.differences.is_empty() { "yes, bit by bit" } else { "NO" },
    );
    assert_eq!(comparison.differences, []);
    assert_eq!((toll.lost_checkpoints, toll.damaged), (0, 0));
    // One interval, what was trained while the checkpoint after it was written, and the step that was in the works.
    assert!(toll.most_lost_steps <= 2 * INTERVAL + 1, "{} steps lost by one kill", toll.most_lost_steps);
    let leftovers = std::fs::read_dir(run.join("checkpoints")).expect("it can be listed").flatten();
    let leftovers: Vec<_> =
        leftovers.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().contains(".tmp")).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}
