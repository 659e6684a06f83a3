//! The configuration of an experiment: TOML in, one checked [`Experiment`] out, or all mistakes at once.

use std::path::Path;

use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::ScheduleConfig;
use kiln_settings::Violation;
use kiln_settings::{ConfigErrors, ConfigFileError, Override, Source, read, read_source};
use serde::{Deserialize, Serialize};

use crate::data::DataConfig;
use crate::memory::too_large;
use crate::problem::ProblemConfig;
use crate::range::RATES;
use crate::theorems::BoundChoice;

/// What a file of the lab is.
#[derive(Debug, Clone, PartialEq)]
pub enum LabFile {
    /// One experiment.
    Experiment(Box<Experiment>),
    /// Several.
    Lecture(Lecture),
}

/// Several experiments, made by one command into one report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lecture {
    /// The title of the report.
    pub title: String,
    /// The files of the experiments, relative to the folder of this file.
    pub experiments: Vec<String>,
}

/// One problem, some curves, one figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Experiment {
    /// The title of the figure.
    pub title: String,
    /// What is to be seen in it, for the report. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// Seed of the data, the samples and the noise; at most 2^63 - 1. Default `1`.
    #[serde(default = "one")]
    pub seed: u64,
    /// R, independent repeats of every curve whose gradients are random, >= 1. Default `200`.
    #[serde(default = "default_repeats")]
    pub repeats: usize,
    /// Updates, >= 10.
    pub steps: u64,
    /// The problem of every curve that has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemConfig>,
    /// The curves.
    pub curves: Vec<CurveConfig>,
    /// How the axes of the figure are divided. Default `semi-logarithmic`.
    #[serde(default)]
    pub axes: Axes,
    /// Errors epsilon, each > 0 and below the one before: also count the updates until each is reached. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub iterations_to: Vec<f64>,
    /// Updates between two losses that schedules are given as validation losses: the objective itself. Default `10`.
    #[serde(default = "ten")]
    pub validate_every: u64,
    /// Updates between two evaluations of F on all samples; figures, numbers and verdicts have the evaluated updates
    /// alone. A schedule that asks for F - F* at every update is given it all the same. Default `1`.
    #[serde(default = "evaluate_every")]
    pub evaluate_every: u64,
    /// Updates between two measurements of the sharpness, on curves of the full gradient, >= 1. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharpness_every: Option<u64>,
    /// What the figure's axis counts. Default `updates`.
    #[serde(default)]
    pub x: Horizontal,
    /// Which theorem curves are held against that do not choose one themselves. Default `lecture`.
    #[serde(default)]
    pub bound: BoundChoice,
}

/// What the axis of a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Horizontal {
    /// Updates.
    #[default]
    Updates,
    /// Samples whose gradients were computed: b for each update, all n for that of a full gradient.
    Samples,
}

/// How the samples of mini-batches are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Each by itself, as the theorems have it.
    #[default]
    WithReplacement,
    /// Epoch by epoch in an order drawn anew, as networks are trained.
    Reshuffled,
}

/// How the axes of a figure are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axes {
    /// A logarithmic error over a linear number of updates: geometric convergence is a straight line.
    #[default]
    SemiLogarithmic,
    /// Both logarithmic: a power law is a straight line.
    Logarithmic,
}

/// One curve: how it descends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CurveConfig {
    /// Its name in the legend.
    pub label: String,
    /// b, samples in a mini-batch, >= 1. Default: none, every update takes the full gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Its updates, >= 10. Default: those of the experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Its updates between two evaluations of F. Default: those of the experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluate_every: Option<u64>,
    /// Its learning rates.
    pub schedule: ScheduleConfig,
    /// Whether an update's rate is (F - F*) / |grad F|², Polyak's, up to that of the schedule; for full gradients.
    /// Default `false`.
    #[serde(default)]
    pub polyak_step: bool,
    /// How gradients become updates. Default: plain gradient descent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<OptimizerConfig>,
    /// A problem of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemConfig>,
    /// Whether the schedule is given the problem's constants; without them it has to estimate, as on a network. Default
    /// `true`.
    #[serde(default = "yes")]
    pub tell_constants: bool,
    /// How its mini-batches are drawn. Default `with-replacement`.
    #[serde(default)]
    pub sampling: Sampling,
    /// Whether it is Nesterov's method for F that is convex and no more: update t looks ahead with the momentum
    /// t / (t + 3), and F is that of the weights before it does. Default `false`.
    #[serde(default)]
    pub accelerated: bool,
    /// Whether F is that of the mean of all weights so far, w_0 to w_t. Default `false`.
    #[serde(default)]
    pub average: bool,
    /// Which theorem it is held against. Default: that of the experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<BoundChoice>,
    /// Whether it is meant to diverge; another curve's divergence is a failure of the run. Default `false`.
    #[serde(default)]
    pub diverges: bool,
}

fn one() -> u64 {
    1
}

fn evaluate_every() -> u64 {
    1
}

fn ten() -> u64 {
    10
}

fn default_repeats() -> usize {
    200
}

fn yes() -> bool {
    true
}

impl LabFile {
    /// Reads a file of the lab, with keys set on the command line.
    ///
    /// # Errors
    /// When it cannot be read or is wrong.
    pub fn open(path: &Path, overrides: &[Override]) -> Result<Self, ConfigFileError> {
        let source = read_source(path)?;
        // A file that is not TOML is reported as an experiment's mistake.
        let is_lecture = source.text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("experiments"));
        Ok(if is_lecture {
            Self::Lecture(read(&source, overrides, Lecture::validate)?)
        } else {
            Self::Experiment(Box::new(Experiment::read(&source, overrides)?))
        })
    }
}

impl Lecture {
    fn validate(&self) -> Vec<Violation> {
        let empty = self.experiments.is_empty().then(|| {
            Violation::new("experiments", "is empty").with_help("name files, for example `[\"mini-batch.toml\"]`")
        });
        empty.into_iter().collect()
    }
}

impl Experiment {
    /// Reads an experiment from its text, with keys set on the command line.
    ///
    /// # Errors
    /// Every problem that the text and the overrides have.
    pub fn read(source: &Source, overrides: &[Override]) -> Result<Self, ConfigErrors> {
        read(source, overrides, Self::validate)
    }

    /// The experiment as TOML with every default spelled out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# this experiment has no form in TOML: {error}\n"))
    }

    /// The problem of a curve.
    pub fn problem_of<'a>(&'a self, curve: &'a CurveConfig) -> Option<&'a ProblemConfig> {
        curve.problem.as_ref().or(self.problem.as_ref())
    }

    /// The updates of a curve.
    pub fn steps_of(&self, curve: &CurveConfig) -> u64 {
        curve.steps.unwrap_or(self.steps)
    }

    /// The updates of all curves.
    pub fn updates(&self) -> u64 {
        self.curves.iter().map(|curve| self.steps_of(curve)).sum()
    }

    /// Every broken rule.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if i64::try_from(self.seed).is_err() {
            violations.push(Violation::new("seed", format!("must be at most {}, is {}", i64::MAX, self.seed)));
        }
        if !(1..=MOST_REPEATS).contains(&self.repeats) {
            let message = match self.repeats {
                0 => "must be 1 or more, is 0".to_string(),
                repeats => format!("must be at most {MOST_REPEATS}, is {repeats}"),
            };
            violations.push(
                Violation::new("repeats", message)
                    .with_help("a mean with a band that means something needs 30 or more"),
            );
        }
        violations.extend(right_steps(self.steps));
        violations.extend(right_interval("validate-every", self.validate_every));
        violations.extend(right_interval("evaluate-every", self.evaluate_every));
        violations.extend(self.sharpness_every.and_then(|updates| right_interval("sharpness-every", updates)));
        violations.extend(self.thresholds());
        violations.extend(self.problem.iter().flat_map(ProblemConfig::validate).map(|v| v.under("problem")));
        if self.curves.is_empty() {
            violations.push(Violation::new("curves", "is empty").with_help("write a table `[[curves]]`"));
        }
        violations.extend(self.labels());
        let curves = self.curves.iter().enumerate();
        violations.extend(curves.flat_map(|(index, curve)| self.of_curve(curve, &format!("curves[{index}]"))));
        violations
    }

    /// Rows and legends are distinguished by labels alone.
    fn labels(&self) -> Vec<Violation> {
        let label = |index: usize| self.curves[index].label.trim();
        let wrong = (0..self.curves.len()).filter_map(|index| {
            let message = match label(index) {
                "" => "is empty".to_string(),
                name if (0..index).any(|other| label(other) == name) => format!("is that of another curve, `{name}`"),
                _ => return None,
            };
            Some(Violation::new(format!("curves[{index}].label"), message))
        });
        wrong.collect()
    }

    /// Noise that is added has no epochs.
    fn samples_are_reshuffled(&self, curve: &CurveConfig) -> Option<Violation> {
        let has_samples =
            self.problem_of(curve).is_none_or(|problem| problem.data().is_some()) && curve.batch.is_some();
        (curve.sampling == Sampling::Reshuffled && !has_samples).then(|| {
            Violation::new("sampling", "must be `with-replacement` where there are no mini-batches of samples")
                .with_help("a quadratic adds noise to its gradient; take `[problem.linear-regression]` and a `batch`")
        })
    }

    /// Polyak's step needs F* and the full gradient.
    fn polyak_step_fits(&self, curve: &CurveConfig) -> Option<Violation> {
        let has_minimum = self.problem_of(curve).is_none_or(ProblemConfig::is_convex);
        let message = match (curve.batch, has_minimum) {
            _ if !curve.polyak_step => return None,
            (Some(_), _) => "is for the full gradient, and the curve has a `batch`",
            (None, false) => "needs F*, which is not known where F is not convex",
            (None, true) => return None,
        };
        Some(Violation::new("polyak-step", message))
    }

    /// Theorems divide by rates and by their squares.
    fn rates_are_carried(&self, curve: &CurveConfig) -> Option<Violation> {
        let first = curve.schedule.build(self.steps_of(curve)).next_rate();
        (!RATES.contains(&first)).then(|| {
            let (least, most) = RATES.into_inner();
            let name = curve.schedule.name();
            let message = format!("must begin with a rate from {least:e} to {most:e}, begins with {first:e}");
            Violation::new(format!("schedule.{name}"), message)
                .with_help("squares of others leave the range of double precision; write the problem in another unit")
        })
    }

    fn thresholds(&self) -> Option<Violation> {
        let right = self.iterations_to.iter().all(|epsilon| *epsilon > 0.0 && epsilon.is_finite())
            && self.iterations_to.windows(2).all(|pair| pair[0] > pair[1]);
        (!right).then(|| Violation::new("iterations-to", "must be errors above 0, each below the one before"))
    }

    fn of_curve(&self, curve: &CurveConfig, path: &str) -> Vec<Violation> {
        let mut violations = Vec::new();
        if curve.batch == Some(0) {
            violations.push(
                Violation::new("batch", "must be 1 or more, is 0").with_help("leave it out for the full gradient"),
            );
        }
        violations.extend(curve.steps.and_then(right_steps));
        violations.extend(curve.evaluate_every.and_then(|updates| right_interval("evaluate-every", updates)));
        violations.extend(self.polyak_step_fits(curve));
        if curve.accelerated && (curve.optimizer.is_some() || curve.average || curve.polyak_step) {
            let message = "is a method of its own: it has no `optimizer`, no `average` and no `polyak-step`";
            violations.push(Violation::new("accelerated", message));
        }
        let of_schedule = curve.schedule.validate(self.steps_of(curve));
        if of_schedule.is_empty() {
            violations.extend(self.rates_are_carried(curve));
        }
        violations.extend(of_schedule.into_iter().map(|v| v.under("schedule")));
        violations.extend(curve.optimizer.iter().flat_map(rules_of_optimizer).map(|v| v.under("optimizer")));
        violations.extend(curve.problem.iter().flat_map(ProblemConfig::validate).map(|v| v.under("problem")));
        violations.extend(self.samples_are_reshuffled(curve));
        match self.problem_of(curve) {
            None => violations.push(
                Violation::new("problem", "is missing, and the file has no `[problem]` for all curves")
                    .with_help("write `[problem.quadratic]` with `spectrum = [1.0, 2.0]`"),
            ),
            Some(problem) => {
                violations.extend(batch_fits(curve.batch, self.repeats, problem));
                if self.x == Horizontal::Samples && curve.batch.is_none() && problem.data().is_none() {
                    let message = "is missing: the full gradient of a quadratic has no number of samples";
                    violations.push(
                        Violation::new("batch", message).with_help("set `batch`, or count updates: x = \"updates\""),
                    );
                }
            }
        }
        violations.into_iter().map(|violation| violation.under(path)).collect()
    }
}

/// They lie side by side in memory.
const MOST_REPEATS: usize = 100_000;

/// Every error of every update is kept.
const MOST_STEPS: u64 = 1_000_000;

fn right_steps(steps: u64) -> Option<Violation> {
    let message = format!("must be from 10 to {MOST_STEPS}, is {steps}");
    (!(10..=MOST_STEPS).contains(&steps)).then(|| Violation::new("steps", message))
}

fn right_interval(key: &str, updates: u64) -> Option<Violation> {
    (updates == 0).then(|| Violation::new(key, "must be 1 or more, is 0"))
}

impl CurveConfig {
    /// The rate of all its updates, if it is one.
    pub(crate) fn constant_rate(&self) -> Option<f64> {
        self.schedule.constant_rate().filter(|_| !self.polyak_step)
    }
}

fn rules_of_optimizer(optimizer: &OptimizerConfig) -> Vec<Violation> {
    let mut violations = optimizer.validate();
    if !optimizer.is_elementwise() {
        violations.push(
            Violation::new(optimizer.name(), "is for the matrices of a network; the weights of a problem are a vector")
                .with_help("choose another optimizer"),
        );
    }
    violations
}

/// Data in files are looked at when they have been read.
fn batch_fits(batch: Option<usize>, repeats: usize, problem: &ProblemConfig) -> Option<Violation> {
    let samples = problem.data().and_then(DataConfig::known_samples);
    if let Some(footprint) = problem.known_footprint()
        && let Some((message, help)) = too_large(repeats, batch, samples, footprint)
    {
        return Some(Violation::new("batch", message).with_help(help));
    }
    let (batch, samples) = batch.zip(samples)?;
    (batch > samples).then(|| {
        Violation::new("batch", format!("must be at most the number of samples ({samples}), is {batch}"))
            .with_help("leave `batch` out for the full gradient")
    })
}
