//! The report of a file of the lab: its experiments, how many updates they make, and the memory that those take.

use std::path::Path;

use annotate_snippets::normalize_untrusted_str;
use anyhow::Context;
use comfy_table::{ContentArrangement, Table, presets};
use kiln_convergence::data::{DataConfig, Targets};
use kiln_convergence::problem::ProblemConfig;
use kiln_convergence::{CurveConfig, Experiment, LabError};
use kiln_settings::Override;
use serde::Serialize;

use crate::commands::experiments;
use crate::sizes::bytes;
use crate::training_display::grouped;

/// Numbers of the lab are in double precision.
const BYTES_PER_NUMBER: u64 = 8;
/// Kept of each update of a curve: mean, half-width, rate, and the means of this many groups of repeats.
const GROUPS: u64 = 10;
/// What each repeat has beside its point: a gradient, and what the optimizer with the largest state keeps.
const BESIDE_POINT: u64 = 3;

/// What a file of the lab holds.
#[derive(Debug, Serialize)]
pub(super) struct LabReport {
    config: String,
    title: String,
    /// Of all experiments, counted once for all repeats of a curve, which are made side by side.
    updates: u64,
    /// Of the largest experiment, where all sizes are in the files; they are made one after the other.
    memory_bytes: Option<u64>,
    experiments: Vec<ExperimentReport>,
}

#[derive(Debug, Serialize)]
struct ExperimentReport {
    name: String,
    title: String,
    curves: usize,
    /// Curves whose gradients are random, each of which is repeated so often.
    random_curves: usize,
    repeats: usize,
    /// Of the longest curve.
    steps: u64,
    updates: u64,
    memory_bytes: Option<u64>,
}

impl LabReport {
    /// # Errors
    /// Every mistake of the file, or that of the first of its experiments which has one.
    pub(super) fn of(path: &Path, overrides: &[Override]) -> anyhow::Result<Self> {
        let (title, experiments) = experiments(path, overrides)?;
        for (name, experiment) in &experiments {
            read_data(experiment).with_context(|| format!("{name}.toml"))?;
        }
        let experiments: Vec<ExperimentReport> =
            experiments.into_iter().map(|(name, experiment)| ExperimentReport::of(name, &experiment)).collect();
        let memory: Option<Vec<u64>> = experiments.iter().map(|experiment| experiment.memory_bytes).collect();
        Ok(Self {
            config: path.display().to_string(),
            title,
            updates: experiments.iter().map(|experiment| experiment.updates).sum(),
            memory_bytes: memory.and_then(|bytes| bytes.into_iter().max()),
            experiments,
        })
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["experiment", "curves", "repeats", "updates of a curve", "updates", "memory"]);
        for experiment in &self.experiments {
            let ExperimentReport { name, curves, random_curves, repeats, steps, updates, .. } = experiment;
            let repeats = if *random_curves > 0 { grouped(*repeats as u64) } else { String::new() };
            table.add_row([
                normalize_untrusted_str(name),
                curves.to_string(),
                repeats,
                grouped(*steps),
                grouped(*updates),
                about(experiment.memory_bytes),
            ]);
        }
        let count = match self.experiments.len() {
            1 => "1 experiment".to_owned(),
            several => format!("{several} experiments"),
        };
        let updates = grouped(self.updates);
        format!("{} is valid: {count}, {updates} updates, each of all repeats at once\n\n{table}\n", self.config)
    }
}

fn about(memory: Option<u64>) -> String {
    memory.map_or_else(|| "depends on the data".to_owned(), |memory| format!("about {}", bytes(memory)))
}

impl ExperimentReport {
    fn of(name: String, experiment: &Experiment) -> Self {
        let longest =
            experiment.curves.iter().map(|curve| experiment.steps_of(curve)).max().unwrap_or(experiment.steps);
        let at_work = experiment.curves.iter().map(|curve| at_work(experiment, curve)).collect::<Option<Vec<_>>>();
        let recorded = (experiment.updates() + experiment.curves.len() as u64)
            * (4 + GROUPS.min(experiment.repeats as u64))
            * BYTES_PER_NUMBER;
        Self {
            name,
            title: experiment.title.clone(),
            curves: experiment.curves.len(),
            random_curves: experiment.curves.iter().filter(|curve| curve.batch.is_some()).count(),
            repeats: experiment.repeats,
            steps: longest,
            updates: experiment.updates(),
            // One curve after the other.
            memory_bytes: at_work.map(|bytes| recorded.saturating_add(bytes.into_iter().max().unwrap_or(0))),
        }
    }
}

/// Reads the data files of an experiment, as its run would.
fn read_data(experiment: &Experiment) -> Result<(), LabError> {
    let of_curves = experiment.curves.iter().filter_map(|curve| curve.problem.as_ref());
    for problem in experiment.problem.iter().chain(of_curves) {
        let (data, targets) = match problem {
            ProblemConfig::Quadratic(_) => continue,
            ProblemConfig::LinearRegression(config) => (&config.data, Targets::Numbers),
            ProblemConfig::LogisticRegression(config) => (&config.data, Targets::Classes),
            ProblemConfig::RobustRegression(config) => (&config.data, Targets::Numbers),
            ProblemConfig::NeuralNetwork(config) => (&config.data, Targets::Numbers),
        };
        if matches!(data, DataConfig::Csv(_)) {
            data.samples(targets, experiment.seed)?;
        }
    }
    Ok(())
}

/// The bytes that the repeats of a curve work with; nothing where the sizes are in a file of data.
fn at_work(experiment: &Experiment, curve: &CurveConfig) -> Option<u64> {
    let Dimensions { weights, samples, features } = Dimensions::of(experiment.problem_of(curve)?)?;
    let repeats = if curve.batch.is_some() { experiment.repeats as u64 } else { 1 };
    let drawn = curve.batch.filter(|_| samples > 0).map_or(0, |batch| batch as u64 * (features + 1));
    let of_repeat = (1 + BESIDE_POINT) * weights + samples + drawn;
    Some((repeats * of_repeat + samples * (features + 1)).saturating_mul(BYTES_PER_NUMBER))
}

/// How large a problem is.
struct Dimensions {
    weights: u64,
    samples: u64,
    features: u64,
}

impl Dimensions {
    fn of(problem: &ProblemConfig) -> Option<Self> {
        let (data, hidden) = match problem {
            ProblemConfig::Quadratic(config) => {
                return Some(Self { weights: config.spectrum.len() as u64, samples: 0, features: 0 });
            }
            ProblemConfig::LinearRegression(config) => (&config.data, None),
            ProblemConfig::LogisticRegression(config) => (&config.data, None),
            ProblemConfig::RobustRegression(config) => (&config.data, None),
            ProblemConfig::NeuralNetwork(config) => (&config.data, Some(config.hidden as u64)),
        };
        let DataConfig::Generated(data) = data else { return None };
        let (samples, features) = (data.samples as u64, data.features as u64);
        // A unit has a weight for each feature, a bias and a weight of its own; the output has a bias.
        let weights = hidden.map_or(features, |hidden| hidden * (features + 2) + 1);
        // What the hidden units give is kept for each sample.
        Some(Self { weights, samples: samples * hidden.unwrap_or(1), features })
    }
}
