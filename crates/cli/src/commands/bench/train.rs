//! `kiln bench train CONFIG...`: how long an update takes.

use std::path::{Path, PathBuf};

use crate::usage::whole;
use clap::{Args, ValueEnum};
use kiln_data::shards::PreparedData;
use kiln_kernels::{GpuKernel, is_gpu, leave_out_gpu_kernels};
use kiln_settings::Override;
use kiln_training::config::Config;
use kiln_training::estimate::{Estimate, least_bytes_per_update};
use serde::Serialize;

use super::measuring::{MeasuringArguments, Setup};
use super::meters::peak_resident_bytes;
use super::speed::{Cost, Speed};
use super::table::{SPEED_HEADINGS, speed_cells, table};
use crate::arguments::open_run;
use crate::device::Chosen;
use crate::training_data;
use crate::training_display::grouped;
use crate::updates::{Launches, TimedUpdates};

const ABOUT_THE_NUMBERS: &str = "\
An update is what `kiln train` does in one: batches, forward, loss, backward, clipping, optimizer, average. There is \
no evaluation, log or checkpoint, and nothing is written but the cache of tokens. Several configurations take turns, \
round after round.

GFLOP/s  the model's matrix products alone, three times those of the forward pass; element-wise
         work and what the optimizer multiplies are left out
GB/s     the bytes that an update must move at least: weights, gradients, the optimizer's state, and
         what the forward pass leaves for the backward pass, each read once and written once (with
         accumulation: once a batch where it must be)
peak     the most memory that this process had in RAM at once, with all configurations that take
         turns, but without what the limits are measured with. Linux only; on a GPU the model's own
         memory is elsewhere.";

/// Arguments of `kiln bench train`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_THE_NUMBERS)]
pub(super) struct TrainArguments {
    /// Configurations, TOML files (configs/README.md lists every key)
    #[arg(required = true, value_name = "CONFIG")]
    configs: Vec<PathBuf>,

    /// Set a key in all of the configurations, for example `--set run.batch=64`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = crate::arguments::overriding)]
    overrides: Vec<Override>,

    /// Updates in a round
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole(1..=1_000_000))]
    steps: u64,

    /// Updates before the first round, not timed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole(0..=1_000_000))]
    warmup: u64,

    /// Count the kernels that an update launches on a GPU instead of timing it
    #[arg(long)]
    launches: bool,

    /// Compose this operation of Burn's on a GPU too, to see what Kiln's own kernel saves; may be repeated
    #[arg(long, value_name = "OPERATION")]
    without_kernel: Vec<KernelName>,

    #[command(flatten)]
    measuring: MeasuringArguments,
}

/// An operation that has a body for GPUs.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum KernelName {
    CrossEntropy,
    Norm,
    Attention,
    Embedding,
    Product,
    Recurrent,
}

impl From<KernelName> for GpuKernel {
    fn from(name: KernelName) -> Self {
        match name {
            KernelName::CrossEntropy => Self::CrossEntropy,
            KernelName::Norm => Self::Norm,
            KernelName::Attention => Self::Attention,
            KernelName::Embedding => Self::Embedding,
            KernelName::Product => Self::Product,
            KernelName::Recurrent => Self::Recurrent,
        }
    }
}

/// What a program reads.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    setup: Setup,
    steps_a_round: u64,
    warmup_steps: u64,
    peak_resident_bytes: Option<u64>,
    results: Vec<Timed>,
}

/// One configuration.
#[derive(Debug, Serialize)]
struct Timed {
    config: PathBuf,
    model: &'static str,
    vocabulary: usize,
    parameters: u64,
    tokens_per_step: u64,
    /// Floating-point operations of an update's matrix products.
    flops_per_step: f64,
    /// Bytes that an update must move at least.
    least_bytes_per_step: u64,
    tokens_per_second: f64,
    /// Of one update.
    #[serde(flatten)]
    speed: Speed,
    /// Mean loss of the last update's batches before it, nats per token.
    loss: f64,
}

/// A configuration that is being timed.
struct Contestant<'a> {
    file: &'a Path,
    config: &'a Config,
    data: PreparedData,
    updates: TimedUpdates,
}

/// `kiln bench train`.
pub(super) fn train(arguments: &TrainArguments) -> anyhow::Result<()> {
    let overrides = &arguments.overrides;
    let open = |file: &PathBuf| open_run(file, overrides);
    let configs = arguments.configs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    leave_out_gpu_kernels(&arguments.without_kernel.iter().map(|name| (*name).into()).collect::<Vec<_>>());
    let chosen = arguments.measuring.open_device()?;
    let files = arguments.configs.iter().map(PathBuf::as_path);
    let contestants = files.zip(&configs).map(|(file, config)| Contestant::new(file, config, &chosen));
    let mut contestants = contestants.collect::<anyhow::Result<Vec<_>>>()?;
    for contestant in &mut contestants {
        contestant.updates.warm_up(arguments.warmup)?;
    }
    if arguments.launches {
        return count(arguments, &mut contestants, &chosen);
    }
    let peak_after_warmup = peak_resident_bytes();
    let setup = arguments.measuring.measure(&chosen, || {
        contestants.iter_mut().try_for_each(|contestant| contestant.updates.round(arguments.steps))
    })?;
    let results = contestants.iter().map(|contestant| contestant.timed(&setup)).collect();
    let report = Report {
        // The limits are measured with large tensors, so that with them the peak is known until then only.
        peak_resident_bytes: if setup.limits.is_some() { peak_after_warmup } else { peak_resident_bytes() },
        setup,
        steps_a_round: arguments.steps,
        warmup_steps: arguments.warmup,
        results,
    };
    arguments.measuring.print(&report, || words(&report))
}

/// The launches of an update of each configuration.
#[derive(Debug, Serialize)]
struct Counted<'a> {
    config: &'a Path,
    #[serde(flatten)]
    launches: Launches,
}

fn count(arguments: &TrainArguments, contestants: &mut [Contestant<'_>], chosen: &Chosen) -> anyhow::Result<()> {
    if !is_gpu(&chosen.device) {
        anyhow::bail!(
            "`--launches` counts what a GPU is asked to run, and this device is none; choose one by `--device`"
        );
    }
    let counted = contestants.iter_mut().map(Contestant::launches).collect::<anyhow::Result<Vec<_>>>()?;
    arguments.measuring.print(&counted, || {
        let headings = ["configuration", "launches", "forward", "backward", "norm and optimizer"];
        let rows = counted.iter().map(|Counted { config, launches }| {
            let Launches { update, forward, backward, norm_and_optimizer, .. } = launches;
            let numbers = [update, forward, backward, norm_and_optimizer].map(ToString::to_string);
            std::iter::once(config.display().to_string()).chain(numbers).collect()
        });
        let mut text = table(1, &headings, &rows.collect::<Vec<_>>());
        for Counted { config, launches } in &counted {
            text += &format!("\n{}\n", config.display());
            let mut kernels: Vec<_> = launches.kernels.iter().collect();
            kernels.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
            kernels.iter().for_each(|(name, count)| text += &format!("{count:>6}  {name}\n"));
        }
        text
    })
}

impl<'a> Contestant<'a> {
    fn new(file: &'a Path, config: &'a Config, chosen: &Chosen) -> anyhow::Result<Self> {
        let data = training_data::prepare(config)?;
        let updates = TimedUpdates::new(config, &data, chosen)?;
        Ok(Self { file, config, data, updates })
    }

    fn launches(&mut self) -> anyhow::Result<Counted<'a>> {
        let launches = self.updates.launches(self.config, &self.data)?;
        Ok(Counted { config: self.file, launches })
    }

    fn timed(&self, setup: &Setup) -> Timed {
        let vocabulary = self.data.tokenizer.vocabulary_size();
        let needs = Estimate::new(self.config, vocabulary);
        let flops_per_step = needs.training_flops_per_token as f64 * needs.tokens_per_step as f64;
        let least_bytes_per_step = least_bytes_per_update(self.config, vocabulary);
        let cost = Cost { flops: flops_per_step, bytes: least_bytes_per_step as f64 };
        let speed = Speed::new(self.updates.seconds(), cost, setup.limits.as_ref());
        Timed {
            config: self.file.to_path_buf(),
            model: self.config.model.name(),
            vocabulary,
            parameters: needs.parameters,
            tokens_per_step: needs.tokens_per_step,
            flops_per_step,
            least_bytes_per_step,
            tokens_per_second: speed.per_second(needs.tokens_per_step),
            speed,
            loss: self.updates.loss(),
        }
    }
}

fn words(report: &Report) -> String {
    let headings = [&["configuration", "parameters", "tokens/s"][..], &SPEED_HEADINGS].concat();
    let rows = report.results.iter().map(|timed| {
        let parameters = grouped(timed.parameters);
        let speed = grouped(timed.tokens_per_second.round() as u64);
        let first = [timed.config.display().to_string(), parameters, speed];
        first.into_iter().chain(speed_cells(&timed.speed)).collect()
    });
    let mut text = table(1, &headings, &rows.collect::<Vec<_>>());
    text += &format!(
        "\nms of an update, the median of {} rounds of {} after {} that were not timed\n",
        report.setup.rounds, report.steps_a_round, report.warmup_steps
    );
    if let Some(limits) = &report.setup.limits {
        text += &format!("{}\n", limits.words());
    }
    if let Some(bytes) = report.peak_resident_bytes {
        text += &format!("peak memory of the process: {:.1} MiB\n", bytes as f64 / f64::from(1 << 20));
    }
    text
}
