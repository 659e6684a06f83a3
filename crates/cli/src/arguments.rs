//! The command line as it is typed.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};
use kiln_settings::Override;
use kiln_storage::Which;

use crate::commands::{
    BenchArguments, DevicesArguments, FindRateArguments, InspectArguments, LsArguments, RaceArguments, SampleArguments,
    VerifyResumeArguments,
};
use crate::training_display::Progress;

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
    /// Train a model as a configuration file says
    Train(TrainArguments),
    /// Write text with a trained model
    Sample(SampleArguments),
    /// Measure a trained model on a text
    Eval(EvalArguments),
    /// Find a learning rate for a configuration by trying growing ones
    FindRate(FindRateArguments),
    /// Train one model once for each of several learning-rate schedules, and compare them
    Race(RaceArguments),
    /// Train twice, once with a stop and a new process in the middle, and compare what comes out, bit by bit
    VerifyResume(VerifyResumeArguments),
    /// Check a configuration and say what the run will need, without starting it
    Check(CheckArguments),
    /// Run gradient descent on a problem whose constants are known, and hold it against its theorems
    Converge(ConvergeArguments),
    /// Measure speed: of training, of sampling, of single operations; beside what this machine can do
    Bench(BenchArguments),
    /// List runs: how far each is, its best loss, and whether it is whole
    Ls(LsArguments),
    /// Look into a run or a checkpoint: what it is, and whether every file of it is whole
    Inspect(InspectArguments),
    /// List the devices of this machine and try each
    Devices(DevicesArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
}

/// A configuration file with what overrides it.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// The configuration, a TOML file (configs/README.md lists every key)
    pub(crate) config: PathBuf,

    /// Set a key of the configuration, for example `--set run.steps=100`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = Override::parse)]
    pub(crate) overrides: Vec<Override>,
}

/// Arguments of `kiln train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,

    /// Where to compute: auto, cpu, ndarray, wgpu[:N], vulkan[:N], cuda[:N], rocm[:N], metal; `wgpu:software` for an adapter that computes on the CPU
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,

    /// Name of the run, a folder under `runs/` [default: the configuration file's name, numbered if it is taken]
    #[arg(long, value_name = "NAME")]
    pub(crate) run: Option<String>,

    /// Go on where the run stopped, or start it if there is none
    #[arg(long)]
    pub(crate) resume: bool,

    /// Stop and save after this step, as a signal would
    #[arg(long, value_name = "STEP")]
    pub(crate) stop_after: Option<u64>,

    /// How progress is shown
    #[arg(long, value_enum, default_value_t)]
    pub(crate) progress: Progress,
}

/// Arguments of `kiln eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArguments {
    /// A run folder, for example runs/quickstart, or a checkpoint in one
    pub(crate) run: PathBuf,

    /// Which checkpoint of the run: best, last, or a number of steps
    #[arg(long, default_value = "best")]
    pub(crate) checkpoint: Which,

    /// A UTF-8 text file to measure on [default: the validation split of the run]
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,

    /// Where to compute: auto, cpu, ndarray, wgpu[:N], vulkan[:N], cuda[:N], rocm[:N], metal; `wgpu:software` for an adapter that computes on the CPU
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,

    /// How many windows, or streams where the state is carried, are read side by side [default: the run's `batch`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) streams: Option<u64>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `kiln check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `kiln converge`.
#[derive(Debug, Args)]
pub(crate) struct ConvergeArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,

    /// Where to compute; only the processor has double precision: cpu, ndarray, auto, wgpu[:N], vulkan[:N], cuda[:N], rocm[:N], metal
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,

    /// Folder of the report, the figures and the numbers [default: runs/ and the configuration file's name]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
}

/// Arguments of `kiln completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}
