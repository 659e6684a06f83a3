//! The command line as it is typed.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};

use crate::commands::{
    BenchArguments, CacheArguments, ChatArguments, CheckArguments, CompareArguments, CompletionsArguments,
    CompressArguments, ConvergeArguments, DevicesArguments, EvalArguments, ExportArguments, FindRateArguments,
    ImportArguments, InspectArguments, LogArguments, LsArguments, ManualArguments, MergeArguments, NewArguments,
    PlotArguments, PruneArguments, RaceArguments, ResumeArguments, RmArguments, SampleArguments, ScoreArguments,
    StudyArguments, SweepArguments, TrainArguments, TranslateArguments, VerifyResumeArguments,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_CODES: &str = "\
Exit codes: 0 done, 2 bad usage or configuration, 3 bad file or data, 4 training diverged, 5 device,
            70 defect in kiln itself, 130 stopped by Ctrl-C, 143 stopped by SIGTERM";

/// Train small language models on any GPU or the CPU, and sample from them.
#[derive(Debug, Parser)]
#[command(name = "kiln", version, styles = STYLES, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented configuration for your own text, chosen for this machine and the minutes you have
    New(NewArguments),
    /// Train a model, by a configuration or on a text file
    Train(TrainArguments),
    /// Resume a run, a sweep or a race that stopped, wherever its folder is now
    Resume(ResumeArguments),
    /// Write text with a trained model
    #[command(alias = "generate")]
    Sample(Box<SampleArguments>),
    /// Translate lines with a trained encoder-decoder
    Translate(TranslateArguments),
    /// Hold a conversation with a model that was taught to answer
    Chat(ChatArguments),
    /// Show how likely each token of a text is to a model
    Score(ScoreArguments),
    /// Measure a trained model on a text
    Eval(EvalArguments),
    /// Find a learning rate for a configuration by trying rates that grow
    FindRate(FindRateArguments),
    /// Train with several values of any keys and several seeds, and compare the results
    Sweep(SweepArguments),
    /// Train the entrants of a file, or several learning-rate schedules, and compare the results
    Race(RaceArguments),
    /// Train twice, once with a stop and a new process in the middle, and compare the results bit by bit
    VerifyResume(VerifyResumeArguments),
    /// Check a file of a run, a sweep, a race, the lab or a study, and estimate what it needs, without starting it
    Check(CheckArguments),
    /// Run gradient descent on problems whose constants are known, and compare it with its theorems
    Converge(ConvergeArguments),
    /// Study models: how far back gradients and recall reach, what explodes, where heads look, which family is better
    Study(StudyArguments),
    /// Measure the speed of training, sampling and single operations, beside what this machine can do
    Bench(BenchArguments),
    /// List runs: how far each is, its best loss, and whether it is whole
    Ls(LsArguments),
    /// Draw the curves of a run: losses, rate, norm
    Plot(PlotArguments),
    /// Compare runs: their curves, the settings that differ, the results
    Compare(CompareArguments),
    /// Print what a run has recorded: losses, rates, norms, speed
    Log(LogArguments),
    /// Look into a run or a checkpoint: what it is, and whether all of its files are whole
    Inspect(InspectArguments),
    /// Make a run of a model that another program wrote
    Import(ImportArguments),
    /// Write a model for other programs: a folder of Hugging Face's `transformers`, or a GGUF file
    Export(ExportArguments),
    /// Make a smaller model of a model: fewer bits, fewer numbers
    Compress(CompressArguments),
    /// Make one model of a model and its adapters
    Merge(MergeArguments),
    /// Remove checkpoints of a run, or keep only the weights in them
    Prune(PruneArguments),
    /// Remove runs
    Rm(RmArguments),
    /// List or clear the cache of downloads and tokens
    Cache(CacheArguments),
    /// List the devices of this machine and try each
    Devices(DevicesArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
    /// Write the manual pages to a folder
    Manual(ManualArguments),
}
