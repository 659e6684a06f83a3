//! `kiln bench`: how fast this machine trains, samples and computes, and how far that is from what it can do.
//!
//! Everything is measured in one process, in rounds that alternate between the things that are compared, after a
//! warm-up that is not timed. What counts is the median over the rounds; the fastest and the slowest one show how far
//! to trust it.

mod attention;
mod contest;
mod generate;
mod kernels;
mod limits;
mod measuring;
mod meters;
mod point;
mod products;
mod speed;
mod statistics;
mod table;
mod train;
mod writing;

pub(crate) use self::statistics::median;
pub(crate) use self::writing::{prompts, time_writing};
use clap::{Args, Subcommand};

use self::attention::AttentionArguments;
use self::generate::GenerateArguments;
use self::kernels::KernelsArguments;
use self::products::ProductsArguments;
use self::train::TrainArguments;

/// Arguments of `kiln bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    what: Bench,
}

/// What to measure.
#[derive(Debug, Subcommand)]
enum Bench {
    /// Time the updates of configurations: tokens per second, arithmetic, memory traffic, peak memory
    Train(TrainArguments),
    /// Time reading a prompt and writing text, one text at a time
    Generate(GenerateArguments),
    /// Time single operations: Kiln's own, and the same composed of Burn's
    Kernels(KernelsArguments),
    /// Measure how the time and memory of attention grow with the length of the window
    Attention(AttentionArguments),
    /// Time matrix products on a GPU, by Kiln's kernels in single and in mixed precision and by Burn's
    Products(ProductsArguments),
}

/// `kiln bench`.
///
/// # Errors
/// A wrong configuration, data or saved model, a device that fails, a training that diverges.
pub(crate) fn bench(arguments: &BenchArguments) -> anyhow::Result<()> {
    match &arguments.what {
        Bench::Train(arguments) => train::train(arguments),
        Bench::Generate(arguments) => generate::generate(arguments),
        Bench::Kernels(arguments) => kernels::kernels(arguments),
        Bench::Attention(arguments) => attention::attention(arguments),
        Bench::Products(arguments) => products::products(arguments),
    }
}
