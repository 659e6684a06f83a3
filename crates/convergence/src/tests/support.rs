//! Experiments written in a few lines.

use burn::tensor::Device;
use kiln_settings::{ConfigErrors, Source};

use crate::problem::{Problem, ProblemConfig};
use crate::{Arithmetic, CurveOutcome, Experiment, ExperimentOutcome, LabError, run};

pub(super) fn arithmetic() -> Arithmetic {
    Arithmetic::of(Device::flex())
}

/// Reads an experiment; curves that [`curve`] called alike are numbered from the second on.
pub(super) fn read(text: &str) -> Result<Experiment, ConfigErrors> {
    let mut parts = text.split("label = \"curve\"");
    let mut numbered = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        let label = if index == 0 { "curve".to_owned() } else { format!("curve {}", index + 1) };
        numbered += &format!("label = {label:?}{part}");
    }
    Experiment::read(&Source::new("lab.toml", numbered), &[])
}

pub(super) fn try_run(text: &str) -> Result<ExperimentOutcome, LabError> {
    run(&read(text).unwrap_or_else(|errors| panic!("{errors}\n{text}")), &arithmetic(), &mut |_| true)
}

/// The curves of an experiment.
pub(super) fn curves(text: &str) -> Vec<CurveOutcome> {
    try_run(text).unwrap_or_else(|error| panic!("{error}\n{text}")).curves
}

/// A problem from its table, without the part `problem.` of the name.
pub(super) fn problem(table: &str) -> Result<Box<dyn Problem>, LabError> {
    let config: ProblemConfig = toml::from_str(table).unwrap_or_else(|error| panic!("{error}\n{table}"));
    assert_eq!(config.validate(), [], "{table}");
    config.build(1, &arithmetic())
}

/// A curve of mini-batches, or of the full gradient with `batch` 0, with a table of a schedule such as
/// `constant]\nrate = 0.1`.
pub(super) fn curve(batch: usize, schedule: &str) -> String {
    let batch = if batch == 0 { String::new() } else { format!("batch = {batch}\n") };
    format!("[[curves]]\nlabel = \"curve\"\n{batch}[curves.schedule.{schedule}\n")
}
