//! `kiln bench products`: matrix products on a GPU by Kiln's kernels and by Burn's, at the sizes of real models.

use std::io::Write;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use clap::Args;
use kiln_kernels::{MatrixPrecision, matrix_product};

use super::statistics::median;
use crate::arguments::DeviceArguments;
use crate::exit::UsageError;

/// Arguments of `kiln bench products`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each product is timed three ways: the forward pass of a layer (both operands lie by rows), the gradient
of its input (the second operand lies by columns) and that of its weight (the first one does).
GFLOP/s, the median of the rounds; the error is |found - exact| / |exact|, exact in double precision on
the CPU.")]
pub(super) struct ProductsArguments {
    /// Rows, inner and columns of the products, for example 8192x768x3072; may be repeated
    #[arg(long = "size", value_name = "MxKxN")]
    sizes: Vec<String>,

    /// Rounds, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,

    /// Leave out Burn's kernels, whose tuning takes seconds a size
    #[arg(long)]
    without_burn: bool,

    #[command(flatten)]
    device: DeviceArguments,
}

/// The products of a layer of nanoGPT's character model (64 windows of 256) and of GPT-2's smallest (8 of 1024).
const USUAL: [&str; 8] = [
    "16384x384x384",
    "16384x384x1152",
    "16384x384x1536",
    "16384x1536x384",
    "8192x768x768",
    "8192x768x2304",
    "8192x768x3072",
    "8192x3072x768",
];

/// Whose kernels multiply.
#[derive(Clone, Copy, PartialEq)]
enum Body {
    Single,
    Mixed,
    Burn,
}

const BODIES: [(Body, &str); 3] = [(Body::Single, "kiln"), (Body::Mixed, "kiln mixed"), (Body::Burn, "burn")];

/// Runs the command.
///
/// # Errors
/// A size that cannot be read, a device that fails.
pub(super) fn products(arguments: &ProductsArguments) -> anyhow::Result<()> {
    let given: Vec<&str> = arguments.sizes.iter().map(String::as_str).collect();
    let sizes = if given.is_empty() { USUAL.to_vec() } else { given };
    let sizes = sizes.into_iter().map(size).collect::<Result<Vec<_>, _>>()?;
    let chosen = arguments.device.open()?;
    let mut stdout = std::io::stdout().lock();
    for (body, name) in BODIES {
        writeln!(stdout, "error of {name:<10}  {}", error(body, &chosen.device))?;
    }
    writeln!(stdout, "{:<20} {:<8} {:>10} {:>10} {:>10}  GFLOP/s", "M x K x N", "", "kiln", "kiln mixed", "burn")?;
    for [rows, inner, columns] in sizes {
        for (way, shape) in
            [("forward", [rows, inner, columns]), ("input", [rows, columns, inner]), ("weight", [inner, rows, columns])]
        {
            let operands = operands(shape, way, &chosen.device);
            let speeds = speeds(&operands, shape, arguments, &chosen.device)?;
            let [single, mixed, burn] = speeds.map(|speed| speed.map_or("-".to_owned(), |speed| format!("{speed:.0}")));
            let size = format!("{rows} x {inner} x {columns}");
            writeln!(stdout, "{size:<20} {way:<8} {single:>10} {mixed:>10} {burn:>10}")?;
            stdout.flush()?;
        }
    }
    Ok(())
}

fn size(text: &str) -> Result<[usize; 3], UsageError> {
    let numbers: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    match numbers.as_deref() {
        Ok([rows, inner, columns]) if rows * inner * columns > 0 => Ok([*rows, *inner, *columns]),
        _ => Err(UsageError(format!("--size {text}: write three whole numbers, as in 8192x768x3072"))),
    }
}

/// The operands of a product, each as it lies in that pass.
fn operands([rows, inner, columns]: [usize; 3], way: &str, device: &Device) -> [Tensor<2>; 2] {
    let random = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Uniform(-1.0, 1.0), device);
    match way {
        "input" => [random([rows, inner]), random([columns, inner]).transpose()],
        "weight" => [random([inner, rows]).transpose(), random([inner, columns])],
        _ => [random([rows, inner]), random([inner, columns])],
    }
}

fn multiply([left, right]: &[Tensor<2>; 2], body: Body) -> Option<Tensor<2>> {
    match body {
        Body::Single => matrix_product(left, right, MatrixPrecision::Single),
        Body::Mixed => matrix_product(left, right, MatrixPrecision::Mixed),
        Body::Burn => Some(left.clone().matmul(right.clone())),
    }
}

/// GFLOP/s of each body; `None` for one that cannot compute it.
fn speeds(
    operands: &[Tensor<2>; 2],
    [rows, inner, columns]: [usize; 3],
    arguments: &ProductsArguments,
    device: &Device,
) -> anyhow::Result<[Option<f64>; 3]> {
    let flops = 2.0 * rows as f64 * inner as f64 * columns as f64;
    // About 20 ms at 20 TFLOP/s.
    let calls = (4e11 / flops).clamp(2.0, 200.0) as usize;
    let mut seconds: [Vec<f64>; 3] = Default::default();
    for round in 0..=arguments.rounds {
        for ((body, _), seconds) in BODIES.iter().zip(&mut seconds) {
            if arguments.without_burn && *body == Body::Burn {
                continue;
            }
            device.sync()?;
            let started = Instant::now();
            // The first round compiles, tunes and is not counted.
            for _ in 0..if round == 0 { 1 } else { calls } {
                if multiply(operands, *body).is_none() {
                    break;
                }
            }
            device.sync()?;
            if round > 0 {
                seconds.push(started.elapsed().as_secs_f64() / calls as f64);
            }
        }
    }
    let mut index = 0;
    Ok(seconds.map(|times| {
        let body = BODIES[index].0;
        index += 1;
        let is_timed = !times.is_empty() && multiply(operands, body).is_some();
        is_timed.then(|| flops / median(&times) / 1e9)
    }))
}

/// The largest relative error over operands by rows and by columns at a size beside the edges of tiles.
fn error(body: Body, device: &Device) -> String {
    let shape = [516, 1028, 260];
    let mut worst: f64 = 0.0;
    for way in ["forward", "input", "weight"] {
        let operands = operands(shape, way, device);
        let exact = operands.clone().map(|operand| operand.to_data().iter::<f64>().collect::<Vec<_>>());
        let Some(found) = multiply(&operands, body) else { return "not on this device".to_owned() };
        let (mut difference, mut size) = (0.0, 0.0);
        for (place, found) in found.to_data().iter::<f64>().enumerate() {
            let (row, column) = (place / shape[2], place % shape[2]);
            let sum: f64 = (0..shape[1]).map(|k| exact[0][row * shape[1] + k] * exact[1][k * shape[2] + column]).sum();
            difference += (found - sum).powi(2);
            size += sum.powi(2);
        }
        worst = worst.max((difference / size).sqrt());
    }
    format!("{worst:.2e}")
}
