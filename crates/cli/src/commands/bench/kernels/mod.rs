//! `kiln bench kernels`: single operations, Kiln's own beside the same composed of Burn's.

mod attention;
mod cases;
mod check;
mod inputs;
mod layers;
mod optimizers;
mod recurrent;

use burn::tensor::Device;
use clap::Args;
use serde::Serialize;

use self::inputs::Kernel;
use super::contest::{Contest, Outcome};
use super::measuring::{MeasuringArguments, Setup};
use super::table::{SPEED_HEADINGS, speed_cells, table};
use crate::exit::UsageError;

const ABOUT_THE_NUMBERS: &str = "\
Each operation is called as often as takes about 40 ms, Kiln's own (fused) and the same composed of Burn's \
(reference) in turns, round after round. A call is a forward and a backward pass, with a gradient of ones, unless \
the name or the operation says otherwise (cached attention, the steps of optimizers and the sum of squares have no \
gradients). It is waited for, which on a GPU costs some tens of microseconds. Where Kiln has no body of its own (on \
ndarray, and on GPUs for all but products, norms, embedding, attention, cross-entropy, the steps of optimizers and \
the sum of squares) it runs the references itself, so that the ratio is 1.

GFLOP/s  the arithmetic that the operation has to do at least, a multiplication with its addition
         counted as two, and a function such as the exponential as one
GB/s     the numbers that it has to read and write at least; tensors that stay in a cache can come
         faster than a copy
ratio    time of the reference over that of the fused operation, the median of the rounds, and the
         least and the most";

/// Arguments of `kiln bench kernels`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_THE_NUMBERS)]
pub(super) struct KernelsArguments {
    /// Only operations whose names contain this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,

    /// Time nothing: compare outputs and gradients on the device with those of the references on the CPU in double
    /// precision, and fail with code 5 where they differ
    #[arg(long)]
    check: bool,

    /// With --check: products and attention in mixed precision, with a tolerance for operands in bfloat16
    #[arg(long, requires = "check")]
    mixed: bool,

    #[command(flatten)]
    measuring: MeasuringArguments,
}

/// Makes an operation's sizes.
type Kernels = fn(&Device) -> Vec<Kernel>;

/// Every operation that is timed, by name.
const ALL: [(&str, Kernels); 26] = [
    ("matmul", layers::products),
    ("copy (x + 1)", layers::copies),
    ("affine, forward", layers::affine_forward),
    ("affine", layers::affine),
    ("GELU", layers::gelu),
    ("GELU by tanh", layers::gelu_tanh),
    ("ReLU squared", layers::relu_squared),
    ("SwiGLU", layers::swiglu),
    ("layer norm", layers::layer_norm),
    ("RMS norm", layers::rms_norm),
    ("dropout", layers::dropout),
    ("embedding", layers::embedding),
    ("attention, forward", attention::forward),
    ("attention", attention::with_backward),
    ("cached attention", attention::cached),
    ("rotary positions", attention::rotary),
    ("RNN sequence", recurrent::rnn),
    ("LSTM sequence, forward", recurrent::lstm_forward),
    ("LSTM sequence", recurrent::lstm),
    ("GRU sequence", recurrent::gru),
    ("cross-entropy, forward", layers::cross_entropy_forward),
    ("cross-entropy", layers::cross_entropy),
    ("projected cross-entropy", layers::projected_cross_entropy),
    ("AdamW step", optimizers::adam_step),
    ("SGD step", optimizers::sgd_step),
    ("sum of squares", optimizers::sum_of_squares),
];

/// What a program reads.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    setup: Setup,
    results: Vec<Timed>,
}

/// An operation with its times.
#[derive(Debug, Serialize)]
struct Timed {
    name: &'static str,
    shape: String,
    flops: f64,
    bytes: f64,
    #[serde(flatten)]
    outcome: Outcome,
}

/// `kiln bench kernels`.
pub(super) fn kernels(arguments: &KernelsArguments) -> anyhow::Result<()> {
    if arguments.check {
        return check::check(&arguments.only, arguments.mixed, &arguments.measuring);
    }
    let operations = wanted(&arguments.only)?;
    let chosen = arguments.measuring.open_device()?;
    let device = &chosen.device;
    let mut contests = Vec::new();
    for (name, make) in operations {
        for Kernel { shape, fused, reference, cost } in make(device) {
            contests.push((name, shape, cost, Contest::new(device, fused, Some(reference))?));
        }
    }
    let setup = arguments
        .measuring
        .measure(&chosen, || contests.iter_mut().try_for_each(|(.., contest)| contest.round(device)))?;
    let results = contests.into_iter().map(|(name, shape, cost, contest)| {
        let outcome = contest.outcome(cost, setup.limits.as_ref());
        Timed { name, shape, flops: cost.flops, bytes: cost.bytes, outcome }
    });
    let results = results.collect();
    let report = Report { setup, results };
    arguments.measuring.print(&report, || words(&report))
}

/// The operations that were asked for: all of them, or those with one of these texts in their names.
fn wanted(only: &[String]) -> Result<Vec<(&'static str, Kernels)>, UsageError> {
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|text| name.contains(text));
    let wanted: Vec<_> = ALL.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    if wanted.is_empty() {
        let names = ALL.map(|(name, _)| format!("`{name}`")).join(", ");
        return Err(UsageError(format!("--only {}: no operation is called so; there are {names}", only.join(" "))));
    }
    Ok(wanted)
}

fn words(report: &Report) -> String {
    let headings = [&["operation", "shape", "side"][..], &SPEED_HEADINGS, &["ratio"]].concat();
    let mut rows = Vec::new();
    for Timed { name, shape, outcome, .. } in &report.results {
        let ratio = outcome.ratio.map(|ratio| ratio.words());
        let sides = [("fused", outcome.fused.as_ref(), ratio), ("reference", outcome.reference.as_ref(), None)];
        for (side, speed, ratio) in sides {
            if let Some(speed) = speed {
                let first = [(*name).to_owned(), shape.clone(), side.to_owned()];
                let cells = first.into_iter().chain(speed_cells(speed)).chain(ratio);
                rows.push(cells.collect());
            }
        }
    }
    let mut text = table(3, &headings, &rows);
    text += &format!("\nms of a call, the median of {} rounds\n", report.setup.rounds);
    if let Some(limits) = &report.setup.limits {
        text += &format!("{}\n", limits.words());
    }
    text
}
