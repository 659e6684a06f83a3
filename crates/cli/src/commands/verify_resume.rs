//! `kiln verify-resume CONFIG`: whether a run that was stopped ends with the bits of one that was not.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::Args;
use kiln_training::run::Comparison;

use crate::arguments::{ConfigArguments, DeviceArguments, RunsArguments};
use crate::exit::{Exit, UsageError};
use crate::terminal::say;

/// Arguments of `kiln verify-resume`.
#[derive(Debug, Args)]
pub(crate) struct VerifyResumeArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,

    #[command(flatten)]
    pub(crate) device: DeviceArguments,

    #[command(flatten)]
    pub(crate) runs: RunsArguments,

    /// The step after which to stop the second run [default: half of the steps]
    #[arg(long, value_name = "STEP", value_parser = crate::usage::at_least_one())]
    pub(crate) stop_after: Option<u64>,
}

/// `kiln verify-resume`.
pub(crate) fn verify_resume(arguments: &VerifyResumeArguments) -> anyhow::Result<Exit> {
    let config = arguments.config.open()?;
    let stop = stop_step(arguments.stop_after, config.run.steps)?;
    let chosen = arguments.device.choose()?;
    let trials = Trials { arguments, device: &chosen.name };
    // A device may not repeat itself, and what that costs has to be known before resuming is judged.
    let repeats = if matches!(chosen.name.as_str(), "cpu" | "ndarray") {
        None
    } else {
        say("two runs without a stop, to see whether this device repeats itself");
        let (first, second) = (trials.run("first", &[])?, trials.run("second", &[])?);
        Some(Comparison::of(&first, &second)?)
    };
    say("a run without a stop");
    let whole = trials.run("whole", &[])?;
    say(&format!("a run that is stopped after step {stop}"));
    let stop = stop.to_string();
    trials.run("parts", &["--stop-after", &stop])?;
    say("the same run, by a new process");
    let parts = trials.run("parts", &["--resume"])?;
    let comparison = Comparison::of(&whole, &parts)?;
    let is_good = report(&comparison, repeats.as_ref());
    if is_good {
        trials.remove()?;
        return Ok(Exit::Done);
    }
    say(&format!("the runs are kept: {} and {}", whole.display(), parts.display()));
    Ok(Exit::Data)
}

/// Where the second run stops.
fn stop_step(wanted: Option<u64>, steps: u64) -> Result<u64, UsageError> {
    let stop = wanted.unwrap_or(steps / 2);
    if stop == 0 || stop >= steps {
        return Err(UsageError(format!(
            "a stop after step {stop} of {steps} leaves nothing to resume; give `--stop-after` a step from 1 to {}",
            steps.saturating_sub(1)
        )));
    }
    Ok(stop)
}

/// Runs of one configuration, each by a process of its own.
struct Trials<'a> {
    arguments: &'a VerifyResumeArguments,
    device: &'a str,
}

impl Trials<'_> {
    fn name(&self, which: &str) -> String {
        let stem = self.arguments.config.config.file_stem().unwrap_or_default().to_string_lossy();
        format!("verify-resume-{stem}-{}-{which}", std::process::id())
    }

    /// Trains; gives the run folder.
    fn run(&self, which: &str, more: &[&str]) -> anyhow::Result<PathBuf> {
        let name = self.name(which);
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(program);
        command.arg("train").arg(&self.arguments.config.config).args(["--device", self.device, "--run", &name]);
        for setting in &self.arguments.config.overrides {
            command.arg("--set").arg(setting.text());
        }
        command.arg("--runs").arg(self.arguments.runs.folder());
        command.args(["--progress", "lines"]).args(more).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().context("cannot start this program again")?;
        anyhow::ensure!(status.success(), "the training ended with {status}, so there is nothing to compare");
        Ok(self.arguments.runs.folder().join(name))
    }

    /// Removes the folders of all runs.
    fn remove(&self) -> anyhow::Result<()> {
        for which in ["first", "second", "whole", "parts"] {
            let folder = self.arguments.runs.folder().join(self.name(which));
            if folder.exists() {
                std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
            }
        }
        Ok(())
    }
}

/// The largest difference of the first loss, and of all losses, that two runs on a device which does not repeat itself
/// may have, nats per token.
const TOLERANCE: f64 = 5e-3;

/// Reports the result; returns whether the resumed run matches.
fn report(comparison: &Comparison, repeats: Option<&Comparison>) -> bool {
    let what = format!("{} bytes of the last checkpoint, {} lines of the log", comparison.bytes, comparison.lines);
    if comparison.differences.is_empty() {
        say(&format!("equal, bit by bit: {what}"));
        return true;
    }
    say(&format!("compared: {what}. They differ:"));
    for difference in &comparison.differences {
        say(&format!("  {difference}"));
    }
    if let Some((step, gap)) = comparison.loss {
        say(&format!("largest difference of a training loss: {gap:e} nats per token, at step {step}"));
    }
    let Some(repeats) = repeats.filter(|repeats| !repeats.differences.is_empty()) else { return false };
    let own = repeats.loss.map_or(0.0, |(_, gap)| gap);
    say(&format!(
        "but this device does not repeat itself: two runs without a stop differ too, by up to {own:e} nats per token; \
         a resumed run is held to {TOLERANCE:e}"
    ));
    comparison.loss.is_some_and(|(_, gap)| gap <= TOLERANCE)
}

#[cfg(test)]
mod tests {
    use kiln_training::run::Difference;

    use super::*;

    fn comparison(differs: bool, gap: f64) -> Comparison {
        let difference = Difference { file: "model.safetensors".into(), place: "one number".into() };
        Comparison {
            bytes: 1,
            lines: 1,
            differences: differs.then_some(difference).into_iter().collect(),
            loss: Some((3, gap)),
        }
    }

    #[test]
    fn only_equal_bits_pass_but_where_the_device_does_not_repeat_itself() {
        assert!(report(&comparison(false, 0.0), None));
        assert!(!report(&comparison(true, 1e-9), None));
        // A device that repeats itself is held to its bits, too.
        assert!(!report(&comparison(true, 1e-9), Some(&comparison(false, 0.0))));
        assert!(report(&comparison(true, TOLERANCE), Some(&comparison(true, 1e-9))));
        for gap in [2.0 * TOLERANCE, f64::NAN] {
            assert!(!report(&comparison(true, gap), Some(&comparison(true, 1e-9))));
        }
    }
}
