//! `kiln bench kernels --check`: whether a device computes what the compositions of Burn's operations compute on the
//! CPU in double precision.

use burn::tensor::{DType, Device, Tensor};
use kiln_kernels::{MatrixPrecision, mixed_precision_lacks, set_matrix_precision};
use serde::Serialize;

use super::super::measuring::MeasuringArguments;
use super::super::table::table;
use super::cases::{self, Case, Form, constants, numbers};
use crate::exit::{Disagreement, UsageError};
use crate::terminal::say;

/// The largest difference over the largest magnitude, of outputs and of gradients: what single precision costs.
const TOLERANCE: f64 = 1e-5;
/// The same where products round their operands to bfloat16.
const MIXED_TOLERANCE: f64 = 1e-2;

/// What a program reads.
#[derive(Debug, Serialize)]
struct Report {
    kiln: &'static str,
    device: String,
    device_description: String,
    tolerance: f64,
    results: Vec<Compared>,
}

/// How far the two sides of a case are apart.
#[derive(Debug, Serialize)]
struct Compared {
    name: &'static str,
    shape: String,
    /// Of the outputs; `null` in JSON if one is NaN.
    forward: f64,
    /// Of the gradients.
    backward: f64,
    /// Whether the bits differ from those of the composition on the same device: then a body of its own was at work. A
    /// body that rounds where the composition rounds gives the same bits.
    own_bits: bool,
}

/// `kiln bench kernels --check`.
pub(super) fn check(only: &[String], is_mixed: bool, measuring: &MeasuringArguments) -> anyhow::Result<()> {
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|text| name.contains(text));
    let operations: Vec<_> = cases::ALL.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    if operations.is_empty() {
        let (names, only) = (cases::ALL.map(|(name, _)| format!("`{name}`")).join(", "), only.join(" "));
        let text = format!("--only {only}: no operation that is checked is called so; there are {names}");
        return Err(UsageError(text).into());
    }
    let chosen = measuring.open_device()?;
    let tolerance = if is_mixed { MIXED_TOLERANCE } else { TOLERANCE };
    if is_mixed {
        if let Some(lacks) = mixed_precision_lacks(&chosen.device) {
            return Err(UsageError(format!("--mixed on {}: {lacks}", chosen.name)).into());
        }
        set_matrix_precision(MatrixPrecision::Mixed);
    }
    let cases = operations.into_iter().flat_map(|(name, make)| make().into_iter().map(move |case| (name, case)));
    let mut results = Vec::new();
    for (name, case) in cases {
        let compared = Compared::new(name, case, &chosen.device);
        // On a GPU that compiles everything first this takes minutes, and who stops it has seen something.
        let [forward, backward] = [compared.forward, compared.backward];
        say(&format!("{name}, {}: output {forward:.1e}, gradients {backward:.1e}", compared.shape));
        results.push(compared);
    }
    let wrong = results
        .iter()
        .find(|compared| !compared.agrees(tolerance))
        .map(|wrong| format!("{}, {}", wrong.name, wrong.shape));
    let (device, device_description) = (chosen.name.clone(), chosen.description.clone());
    let report = Report { kiln: env!("CARGO_PKG_VERSION"), device, device_description, tolerance, results };
    measuring.print(&report, || words(&report))?;
    wrong.map_or(Ok(()), |wrong| Err(Disagreement(wrong).into()))
}

impl Compared {
    fn new(name: &'static str, case: Case, device: &Device) -> Self {
        let inputs = |device: &Device, dtype| -> Vec<Tensor<1>> {
            (1..).zip(&case.lengths).map(|(seed, length)| numbers(*length, seed, device, dtype)).collect()
        };
        let single = inputs(device, DType::F32);
        let (fused, composed) = (evaluate(&case.fused, &single), evaluate(&case.reference, &single));
        let expected = evaluate(&case.reference, &inputs(&Device::flex(), DType::F64));
        let differences: Vec<f64> =
            fused.iter().zip(&expected).map(|(fused, expected)| apart(fused, expected)).collect();
        let backward = differences[1..].iter().copied().fold(0.0, largest);
        Self { name, shape: case.shape, forward: differences[0], backward, own_bits: fused != composed }
    }

    fn agrees(&self, tolerance: f64) -> bool {
        // Not `>`, which NaN would pass.
        self.forward <= tolerance && self.backward <= tolerance
    }
}

/// The larger one, or the one that is NaN.
fn largest(a: f64, b: f64) -> f64 {
    if b.is_nan() || b > a { b } else { a }
}

/// The output, and the gradients of the inputs of the sum of output times fixed weights.
fn evaluate(form: &Form, inputs: &[Tensor<1>]) -> Vec<Vec<f64>> {
    let inputs: Vec<_> = inputs.iter().map(|input| Tensor::from_inner(input.clone()).require_grad()).collect();
    let output = form(&inputs);
    let weights = constants(output.dims()[0], 99, &output);
    let gradients = (output.clone() * weights).sum().backward();
    let values = |tensor: Tensor<1>| tensor.into_data().iter::<f64>().collect::<Vec<_>>();
    let of = |input: &Tensor<1>| input.grad(&gradients).map_or(Vec::new(), values);
    let gradients: Vec<_> = inputs.iter().map(of).collect();
    [vec![values(output.inner())], gradients].concat()
}

/// The largest difference over the largest expected magnitude; NaN if a number is, or if the lengths differ.
fn apart(found: &[f64], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::NAN;
    }
    let scale = expected.iter().map(|x| x.abs()).fold(1e-30, largest);
    found.iter().zip(expected).map(|(found, expected)| (found - expected).abs() / scale).fold(0.0, largest)
}

fn words(report: &Report) -> String {
    let row = |compared: &Compared| {
        let verdict = if compared.agrees(report.tolerance) { "agrees" } else { "DIFFERS" };
        let cell = |difference: f64| format!("{difference:.1e}");
        let (name, shape) = (compared.name.to_owned(), compared.shape.clone());
        let bits = if compared.own_bits { "its own" } else { "as composed" };
        vec![name, shape, verdict.to_owned(), cell(compared.forward), cell(compared.backward), bits.to_owned()]
    };
    let rows: Vec<_> = report.results.iter().map(row).collect();
    let text = table(3, &["operation", "shape", "", "output", "gradients", "bits"], &rows);
    format!("{text}\nlargest difference over largest magnitude; tolerance {:.0e}\n", report.tolerance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_or_is_nan_is_found() {
        assert_eq!(apart(&[1.0, -4.0], &[1.0, -4.0]), 0.0);
        assert_eq!(apart(&[1.5, -4.0], &[1.0, -4.0]), 0.125);
        assert!(apart(&[f64::NAN, -4.0], &[1.0, -4.0]).is_nan());
        assert!(apart(&[1.0, -4.0], &[f64::NAN, -4.0]).is_nan());
        assert!(apart(&[1.0], &[1.0, -4.0]).is_nan());
        let compared =
            |forward, backward| Compared { name: "", shape: String::new(), forward, backward, own_bits: true };
        assert!(compared(1e-5, 0.0).agrees(TOLERANCE));
        for differing in [compared(1.1e-5, 0.0), compared(0.0, 1.1e-5), compared(0.0, f64::NAN)] {
            assert!(!differing.agrees(TOLERANCE));
        }
    }

    #[test]
    fn a_wrong_gradient_is_found() {
        let device = Device::flex();
        let form = |factor: f32| -> Form {
            Box::new(move |inputs| {
                let [x, y] = [inputs[0].clone(), inputs[1].clone()];
                // The same values; gradients of y that differ by the factor.
                x * (y.clone().detach() + (y.clone() - y.detach()) * factor)
            })
        };
        let case =
            |factor| Case { shape: String::new(), lengths: vec![7, 7], fused: form(factor), reference: form(1.0) };
        let right = Compared::new("right", case(1.0), &device);
        assert!(right.agrees(TOLERANCE) && !right.own_bits, "{right:?}");
        let wrong = Compared::new("wrong", case(1.001), &device);
        assert!(wrong.forward <= TOLERANCE && wrong.backward > 9e-4 && wrong.own_bits, "{wrong:?}");
    }
}
