//! `kiln prune RUN`: fewer checkpoints, or smaller ones.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use kiln_training::run::{Keep, Pruned, moved_checkpoints, prune as prune_run};

use crate::arguments::RunsArguments;
use crate::runs::make_sure_of_a_run;
use crate::sizes;
use crate::terminal::say;

/// Arguments of `kiln prune`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["keep", "weights_only"]).multiple(true).required(true)))]
pub(crate) struct PruneArguments {
    /// The run, by folder or name
    run: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoints to keep: best, last, or a number N for the newest N and the best [default: all that are whole]
    #[arg(long, value_name = "WHICH")]
    keep: Option<Keep>,

    /// Of the checkpoints that stay, keep only the weights, about a third: enough to sample and evaluate, but not to
    /// resume training
    #[arg(long)]
    weights_only: bool,
}

/// `kiln prune`.
pub(crate) fn prune(arguments: &PruneArguments) -> anyhow::Result<()> {
    let path = arguments.runs.find(&arguments.run)?;
    make_sure_of_a_run(&path)?;
    let pruned = prune_run(&path, arguments.keep.unwrap_or(Keep::All), arguments.weights_only)?;
    if let Some(folder) = moved_checkpoints(&path) {
        say(&format!("the checkpoints are in {}, which `checkpoints` of the run is a link to", folder.display()));
    }
    let Pruned { kept, removed, freed, linked } = &pruned;
    let what = if arguments.weights_only { "the weights of " } else { "" };
    let removed = match removed.as_slice() {
        [] if arguments.weights_only && *freed > 0 => "the state of training".to_owned(),
        removed => steps(removed),
    };
    say(&format!("{}: kept {what}{}; removed {removed}", path.display(), steps(kept)));
    let elsewhere = match linked {
        0 => String::new(),
        linked => format!("; {} stay on the disk, where files have other names (hard links)", sizes::bytes(*linked)),
    };
    say(&format!("freed {}{elsewhere}", sizes::bytes(*freed)));
    Ok(())
}

/// `step 5 and step 10`
fn steps(steps: &[u64]) -> String {
    let words: Vec<String> = steps.iter().map(|step| format!("step {step}")).collect();
    match words.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
