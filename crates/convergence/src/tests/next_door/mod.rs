//! The theorems next to the lecture's, against numbers by hand and from outside (scripts/reference/next_door.py).

use std::fs;

use serde::Deserialize;
use tempfile::TempDir;

mod averages;
mod cost;
mod noise;
mod rates;
mod reshuffled;
mod singular;

#[derive(Deserialize)]
struct Fixture {
    descents: Vec<DescentCase>,
    averaged_quadratic: AveragedQuadratic,
    averaged_least_squares: Vec<AveragedLeastSquares>,
    reshuffled: Reshuffled,
    accelerated: Vec<f64>,
    critical: Vec<Critical>,
    polyak: Vec<f64>,
    singular: Singular,
}

#[derive(Deserialize)]
struct Critical {
    batch: usize,
    rate: f64,
    updates: u64,
}

#[derive(Deserialize)]
struct DescentCase {
    method: String,
    rate: f64,
    momentum: f64,
    path: Vec<f64>,
}

#[derive(Deserialize)]
struct AveragedQuadratic {
    rate: f64,
    times: Vec<u64>,
    errors: Vec<f64>,
}

#[derive(Deserialize)]
struct AveragedLeastSquares {
    features: Vec<Vec<f64>>,
    targets: Vec<f64>,
    l2: f64,
    batch: usize,
    rate: f64,
    errors: Vec<f64>,
}

#[derive(Deserialize)]
struct Reshuffled {
    features: Vec<Vec<f64>>,
    targets: Vec<f64>,
    rate: f64,
    without: Vec<f64>,
    with: Vec<f64>,
}

#[derive(Deserialize)]
struct Singular {
    features: Vec<Vec<f64>>,
    targets: Vec<f64>,
    strong_convexity: f64,
    smoothness: f64,
    minimizer: Vec<f64>,
    minimum: f64,
    noise_at_minimum: f64,
    sample_smoothness: f64,
    start_distance: f64,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../../fixtures/next_door.json")).unwrap()
}

/// Samples as a file, and the rest of the table of their problem, after its name.
fn table(features: &[Vec<f64>], targets: &[f64], l2: f64) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    let names: Vec<String> = (0..features[0].len()).map(|index| format!("x{index}")).collect();
    let mut text = format!("{},target\n", names.join(","));
    for (row, target) in features.iter().zip(targets) {
        let row: Vec<String> = row.iter().map(f64::to_string).collect();
        text += &format!("{},{target}\n", row.join(","));
    }
    fs::write(&path, text).unwrap();
    (folder, format!("linear-regression]\nl2 = {l2}\ndata.csv = {{ path = {path:?}, standardise = false }}\n"))
}
