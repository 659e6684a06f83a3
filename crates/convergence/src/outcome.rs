//! An experiment, made: every curve with its constants, its bound, its fits and a verdict.

use std::collections::BTreeMap;

use kiln_optimization::schedules::Follows;

use crate::descent::{Descent, descend};
use crate::fits::{floor, power_law, rate_per_step};
use crate::iterations::iterations_to;
use crate::problem::{Problem, ProblemConfig};
use crate::statistics::Band;
use crate::theorems::{Theorem, exact_quadratic, is_plain};
use crate::{Arithmetic, Bound, Constants, CurveConfig, Estimate, Experiment, IterationsTo, LabError, Trace};

/// What came of an experiment.
pub struct ExperimentOutcome {
    /// The curves, in the order of the file.
    pub curves: Vec<CurveOutcome>,
}

/// What came of a curve.
pub struct CurveOutcome {
    /// Its name.
    pub label: String,
    /// Its problem, in words.
    pub problem: String,
    /// The problem's constants; `None` where no theorem holds.
    pub constants: Option<Constants>,
    /// Its path.
    pub trace: Trace,
    /// The bound, or why there is none.
    pub bound: Result<Bound, String>,
    /// What theory gives exactly, where it does: E F(w_t) - F* of a quadratic at a constant rate.
    pub exact: Option<Vec<f64>>,
    /// What the bound and the path say together.
    pub verdict: Verdict,
    /// The factor of the error with each update; where geometric convergence is measured.
    pub rate_per_step: Option<Estimate>,
    /// What that factor is by the arithmetic of a quadratic in its slowest direction, (1 - eta c)².
    pub exact_rate_per_step: Option<f64>,
    /// The exponent of a power law; where the rates fall as a power of the updates or follow the error.
    pub exponent: Option<Estimate>,
    /// The mean error over the last quarter of the updates; where the rate is constant, the gradient noisy, and the
    /// error at rest.
    pub floor: Option<Estimate>,
    /// The floor that a quadratic has exactly.
    pub exact_floor: Option<f64>,
    /// Updates to given errors, if they were asked for.
    pub iterations: Option<IterationsTo>,
}

/// What a bound and a path say together.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// At every update the mean, or the lower end of its confidence interval, lies under the bound.
    Holds {
        /// How many times the measured mean the bound is after update `until`.
        tightness: f64,
        /// The last update whose error is not mere rounding.
        until: u64,
    },
    /// At some updates it does not.
    Broken {
        /// The first such update.
        step: u64,
        /// The mean there.
        error: f64,
        /// The bound there.
        bound: f64,
        /// How many updates there are at which it does not.
        updates: usize,
    },
    /// There is no bound to compare with.
    NoTheorem,
    /// The error left every bound.
    Diverged {
        /// After this many updates.
        step: u64,
        /// The largest rate so far.
        rate: f64,
        /// 2 / L, beyond which plain gradient descent grows along the steepest direction of F; `None` where L is not
        /// known and
        /// for other optimizers, whose limits differ.
        limit: Option<f64>,
    },
}

/// How far an experiment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Updates made, of all curves.
    pub done: u64,
    /// Updates to make.
    pub total: u64,
}

/// Makes an experiment; `proceed` is given how far it is and may stop it.
///
/// # Errors
/// When data cannot be read or do not determine a minimum, when a mini-batch is larger than the data, when it is
/// stopped, or the device fails.
pub fn run(
    experiment: &Experiment,
    arithmetic: &Arithmetic,
    proceed: &mut dyn FnMut(Progress) -> bool,
) -> Result<ExperimentOutcome, LabError> {
    let total = experiment.steps * experiment.curves.len() as u64;
    let mut problems: BTreeMap<String, Box<dyn Problem>> = BTreeMap::new();
    let mut curves = Vec::new();
    for (index, curve) in experiment.curves.iter().enumerate() {
        // A valid experiment has a problem for every curve.
        let Some(config) = experiment.problem_of(curve) else { continue };
        let problem = problem(&mut problems, config, experiment, arithmetic)?;
        let descent = Descent {
            problem,
            curve,
            seed: experiment.seed,
            index: index as u64,
            repeats: experiment.repeats,
            steps: experiment.steps,
            validate_every: experiment.validate_every,
            arithmetic,
        };
        let before = experiment.steps * index as u64;
        let trace = descend(&descent, &mut |made| proceed(Progress { done: before + made, total }))?;
        curves.push(CurveOutcome::new(experiment, curve, problem, trace, arithmetic));
    }
    Ok(ExperimentOutcome { curves })
}

/// The problem of a configuration, built once.
fn problem<'a>(
    problems: &'a mut BTreeMap<String, Box<dyn Problem>>,
    config: &ProblemConfig,
    experiment: &Experiment,
    arithmetic: &Arithmetic,
) -> Result<&'a dyn Problem, LabError> {
    let key = format!("{config:?}");
    if !problems.contains_key(&key) {
        problems.insert(key.clone(), config.build(experiment.seed, arithmetic)?);
    }
    Ok(&*problems[&key])
}

impl CurveOutcome {
    fn new(
        experiment: &Experiment,
        curve: &CurveConfig,
        problem: &dyn Problem,
        trace: Trace,
        arithmetic: &Arithmetic,
    ) -> Self {
        let constants = problem.constants().cloned();
        let start = trace.error.first().map_or(0.0, |band| band.mean);
        let bound = Bound::of(curve, constants.as_ref(), trace.variance.unwrap_or(0.0), start);
        let limit =
            constants.as_ref().filter(|_| is_plain(curve.optimizer.as_ref())).map(|known| 2.0 / known.smoothness);
        let is_one_path = curve.batch.is_some() && trace.repeats == 1;
        let verdict = match bound.as_ref().ok().filter(|_| !is_one_path) {
            _ if trace.diverged.is_some() => diverged(&trace, limit),
            None => Verdict::NoTheorem,
            Some(bound) => verdict(&trace, bound, arithmetic),
        };
        let bound =
            if is_one_path && bound.is_ok() { Err("one repeat says nothing of an expectation".into()) } else { bound };
        let converged = trace.diverged.is_none() && constants.is_some();
        let rate = curve.schedule.constant_rate().filter(|_| converged);
        let quadratic = rate.zip(problem.spectrum()).filter(|_| is_plain(curve.optimizer.as_ref()));
        let noise = curve.batch.map_or(0.0, |batch| trace.variance.unwrap_or(0.0) / batch as f64);
        let at = |t: f64| quadratic.map(|(rate, spectrum)| exact_quadratic(spectrum, rate, noise, start, t));
        let is_noisy = curve.batch.is_some();
        let iterations =
            (!experiment.iterations_to.is_empty()).then(|| iterations_to(&trace, &experiment.iterations_to));
        Self {
            label: curve.label.clone(),
            problem: problem.describe(),
            exact: quadratic.map(|_| (0..trace.error.len()).filter_map(|t| at(t as f64)).collect()),
            rate_per_step: rate.filter(|_| !is_noisy).and_then(|_| rate_per_step(&trace)),
            exact_rate_per_step: quadratic.filter(|_| !is_noisy).map(|(rate, spectrum)| slowest(spectrum, rate)),
            exponent: if converged && has_a_power(curve.schedule.follows()) { power_law(&trace) } else { None },
            // One path says nothing of a mean.
            floor: rate.zip(constants.as_ref()).filter(|_| trace.repeats > 1).and_then(|(rate, known)| {
                // The slowest direction has to have had its time, and none may grow.
                let rested = rate * known.strong_convexity * experiment.steps as f64 / 4.0 >= 1.0;
                if rested && rate * known.smoothness < 2.0 { floor(&trace) } else { None }
            }),
            exact_floor: quadratic
                .filter(|(rate, spectrum)| is_noisy && spectrum.iter().all(|eigenvalue| rate * eigenvalue < 2.0))
                .and_then(|_| at(f64::INFINITY)),
            iterations,
            constants,
            bound,
            verdict,
            trace,
        }
    }

    /// The floor that the theorem gives, where it gives one.
    pub fn bound_floor(&self) -> Option<f64> {
        match self.bound.as_ref().ok()?.theorem {
            Theorem::ConstantRate { floor, .. } => Some(floor),
            Theorem::FullGradient { .. } | Theorem::DecreasingRate { .. } => None,
        }
    }
}

/// Whether the error is to be expected to fall as a power of the updates: the rates do, or follow the error.
fn has_a_power(rates: Follows) -> bool {
    match rates {
        Follows::PowerOfTime | Follows::Losses => true,
        Follows::Time => false,
    }
}

/// The largest factor of the error in any direction: (1 - eta lambda)².
fn slowest(spectrum: &[f64], rate: f64) -> f64 {
    spectrum.iter().map(|eigenvalue| (1.0 - rate * eigenvalue).powi(2)).fold(0.0, f64::max)
}

fn diverged(trace: &Trace, limit: Option<f64>) -> Verdict {
    // Rates may have fallen since: what broke stability is the largest.
    let rate = trace.rates.iter().copied().fold(0.0, f64::max);
    Verdict::Diverged { step: trace.diverged.unwrap_or_default(), rate, limit }
}

/// What a path says of a bound.
pub(crate) fn verdict(trace: &Trace, bound: &Bound, arithmetic: &Arithmetic) -> Verdict {
    // Below this the digits of the arithmetic have ended, and the error with them.
    let digits = bound.start * if arithmetic.is_double() { 1e-15 } else { 1e-6 };
    let is_above =
        |(t, band): &(usize, &Band)| band.mean - band.half_width > bound.at(*t as u64) * (1.0 + 1e-9) + digits;
    let steps = || trace.error.iter().enumerate();
    if let Some((t, band)) = steps().find(is_above) {
        let updates = steps().filter(is_above).count();
        return Verdict::Broken { step: t as u64, error: band.mean, bound: bound.at(t as u64), updates };
    }
    // Where the digits have ended, the ratio would be one of rounding.
    let measured = steps().rfind(|(_, band)| band.mean > digits);
    let (until, tightness) = measured.map_or((0, 1.0), |(t, band)| (t as u64, bound.at(t as u64) / band.mean));
    Verdict::Holds { tightness, until }
}
