//! Whether a device computes, and how fast: a small matrix product.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use kiln_kernels::{Abilities, abilities};
use serde::{Deserialize, Serialize};

use super::child::run_ourselves;
use super::entry::{DeviceEntry, Kind};
use super::open::{open, without_panic};

/// Side of the square matrices of which the result is checked.
const CHECKED: usize = 128;
/// Side of the square matrices of which the product is timed: 2 * 512^3 = 0.27 GFLOP each.
const TIMED: usize = 512;

/// How much to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// One addition: the device opens, compiles a kernel, runs it and gives back the result.
    Quick,
    /// A checked matrix product and a timed one.
    Full,
}

/// How a trial went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(crate) enum Trial {
    /// The results were right.
    Works {
        /// Seconds from nothing to the first result: opening, compiling kernels, and on GPUs trying out variants of
        /// them.
        first_seconds: f64,
        /// Speed of the product afterwards in 10^9 floating-point operations a second, after [`Depth::Full`].
        gigaflops: Option<f64>,
        /// What a GPU's driver says that it can do, one fact a line, after [`Depth::Full`].
        #[serde(default)]
        abilities: Vec<String>,
    },
    /// They were not, or there were none.
    Fails {
        /// What happened.
        problem: String,
    },
}

/// Tries a device in a child process with a time limit.
pub(crate) fn try_apart(entry: &DeviceEntry, depth: Depth) -> Trial {
    let fails = |problem: String| Trial::Fails { problem };
    let entry_text = match serde_json::to_string(entry) {
        Ok(text) => text,
        Err(error) => return fails(error.to_string()),
    };
    let mut arguments = vec!["devices", "--try", &entry_text];
    if depth == Depth::Quick {
        arguments.push("--quick");
    }
    // The first product on a GPU waits for kernels to be compiled and compared, once for each machine.
    let limit = if entry.kind.is_gpu() { Duration::from_secs(120) } else { Duration::from_secs(60) };
    match run_ourselves(&arguments, limit) {
        Ok(answer) => serde_json::from_str(&answer)
            .unwrap_or_else(|error| fails(format!("the answer of the trial cannot be read: {error}"))),
        Err(silence) => fails(silence.to_string()),
    }
}

/// Tries a device in this process: the body of the child.
pub(crate) fn try_here(entry: &DeviceEntry, depth: Depth) -> Trial {
    let started = Instant::now();
    let outcome = open(entry).and_then(|device| {
        without_panic(|| match depth {
            Depth::Quick => check_sum(&device).map(|()| (started.elapsed(), None, Vec::new())),
            Depth::Full => {
                check_product(&device)?;
                let first = started.elapsed();
                let gigaflops = time_products(&device, entry.kind)?;
                Ok((first, Some(gigaflops), abilities(&device).map_or(Vec::new(), |abilities| facts(&abilities))))
            }
        })?
    });
    match outcome {
        Ok((first, gigaflops, abilities)) => Trial::Works { first_seconds: first.as_secs_f64(), gigaflops, abilities },
        Err(problem) => Trial::Fails { problem },
    }
}

/// The facts for people, one a line.
fn facts(abilities: &Abilities) -> Vec<String> {
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let [least, most] = abilities.plane_units;
    let plane = if least == most { least.to_string() } else { format!("{least} to {most}") };
    let processors = abilities.processors.map_or(String::new(), |count| format!("{count} processors, "));
    let mut facts = vec![
        format!("calculates with {}; also stores {}", list(&abilities.arithmetic), list(&abilities.storage)),
        format!(
            "{processors}{plane} units in step, at most {} in a cube with {} KiB of shared memory; buffers up to {:.1} \
             GiB",
            abilities.cube_units,
            abilities.shared_bytes / 1024,
            abilities.buffer_bytes as f64 / (1u64 << 30) as f64
        ),
        format!("cooperative matrices: {}", list(&abilities.matrix_products)),
    ];
    if abilities.matrix_products_of_cubes {
        facts.push("cooperative matrices of a whole cube, too".to_owned());
    }
    facts
}

/// Whole numbers between -5 and 5. Their products and sums are exact in every floating-point format that a backend may
/// choose inside, so that any difference is a fault.
pub(super) fn whole_numbers(side: usize, row_step: usize, column_step: usize) -> Vec<f32> {
    let number = |row: usize, column: usize| ((row * row_step + column * column_step) % 11) as f32 - 5.0;
    (0..side).flat_map(|row| (0..side).map(move |column| number(row, column))).collect()
}

/// The matrix that moves each column one to the right, the last to the front.
pub(super) fn column_shift(side: usize) -> Vec<f32> {
    let one_or_zero = |row: usize, column: usize| if (row + 1) % side == column { 1.0 } else { 0.0 };
    (0..side).flat_map(|row| (0..side).map(move |column| one_or_zero(row, column))).collect()
}

/// The product of two square matrices in plain arithmetic.
pub(super) fn product_on_host(left: &[f32], right: &[f32], side: usize) -> Vec<f32> {
    let cell = |row: usize, column: usize| {
        (0..side).map(|inner| left[row * side + inner] * right[inner * side + column]).sum::<f32>()
    };
    (0..side).flat_map(|row| (0..side).map(move |column| cell(row, column))).collect()
}

fn matrix(values: Vec<f32>, side: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, [side, side]), device)
}

fn values(tensor: Tensor<2>) -> Result<Vec<f32>, String> {
    tensor.try_into_vec_as::<f32>().map_err(|error| error.to_string())
}

fn compare(what: &str, expected: &[f32], computed: &[f32]) -> Result<(), String> {
    match expected.iter().zip(computed).position(|(expected, computed)| expected != computed) {
        None if expected.len() == computed.len() => Ok(()),
        None => Err(format!("{what} has {} elements instead of {}", computed.len(), expected.len())),
        Some(place) => {
            Err(format!("{what} is wrong: element {place} is {} instead of {}", computed[place], expected[place]))
        }
    }
}

fn check_sum(device: &Device) -> Result<(), String> {
    let numbers = whole_numbers(CHECKED, 7, 3);
    let expected: Vec<f32> = numbers.iter().map(|number| number + number).collect();
    let tensor = matrix(numbers, CHECKED, device);
    compare("a sum", &expected, &values(tensor.clone() + tensor)?)
}

fn check_product(device: &Device) -> Result<(), String> {
    let (left, right) = (whole_numbers(CHECKED, 7, 3), whole_numbers(CHECKED, 5, 2));
    let expected = product_on_host(&left, &right, CHECKED);
    let product = matrix(left, CHECKED, device).matmul(matrix(right, CHECKED, device));
    compare("a matrix product", &expected, &values(product)?)
}

/// Multiplies by [`column_shift`] again and again, which keeps the numbers whole and the result checkable.
fn time_products(device: &Device, kind: Kind) -> Result<f64, String> {
    let numbers = whole_numbers(TIMED, 7, 3);
    let shift = matrix(column_shift(TIMED), TIMED, device);
    let run = |products: usize| -> Result<Duration, String> {
        let mut tensor = matrix(numbers.clone(), TIMED, device);
        device.sync().map_err(|error| error.to_string())?;
        let started = Instant::now();
        for _ in 0..products {
            tensor = tensor.matmul(shift.clone());
        }
        let computed = values(tensor)?;
        let elapsed = started.elapsed();
        compare("a chain of matrix products", &shifted(&numbers, products), &computed)?;
        Ok(elapsed)
    };
    // The first chain compiles the kernels of this size, the second one tells how many products fill a quarter of a
    // second.
    run(1)?;
    let once = run(1)?.as_secs_f64().max(1e-6);
    let most = if kind.is_gpu() { 1000.0 } else { 100.0 };
    let products = (0.25 / once).clamp(1.0, most) as usize;
    let elapsed = run(products)?.as_secs_f64().max(1e-9);
    Ok(products as f64 * 2.0 * (TIMED as f64).powi(3) / elapsed / 1e9)
}

/// `numbers` after `times` products with [`column_shift`].
fn shifted(numbers: &[f32], times: usize) -> Vec<f32> {
    let rotate = |row: &[f32]| {
        let mut row = row.to_vec();
        row.rotate_right(times % TIMED);
        row
    };
    numbers.chunks(TIMED).flat_map(rotate).collect()
}
