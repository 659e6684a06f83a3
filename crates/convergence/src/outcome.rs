//! An experiment, made: every curve with its constants, its bound, its fits and a verdict.

use std::collections::BTreeMap;

use crate::agreement::few_repeats;
use crate::config::Horizontal;
use crate::descent::{Descent, descend};
use crate::exact::{AdditiveNoise, Exact, Momentum};
use crate::fits::{factor_per_step, floor, power_law};
use crate::iterations::iterations_to;
use crate::problem::{Problem, ProblemConfig};
use crate::theorems::{Known, is_plain, power};
use crate::{Agreement, Arithmetic, Bound, Constants, CurveConfig, Experiment, FewRepeats, Fit, IterationsTo};
use crate::{DescentLemma, LabError, Plane, Stationarity, Theorem, Trace, Verdict};

/// What came of an experiment.
pub struct ExperimentOutcome {
    /// The curves, in the order of the file.
    pub curves: Vec<CurveOutcome>,
}

/// What came of a curve.
pub struct CurveOutcome {
    /// Its name.
    pub label: String,
    /// What an update counts on the axis of the figure: 1, or the samples that it took.
    pub per_update: u64,
    /// Its problem, in words.
    pub problem: String,
    /// The problem's constants; `None` where no theorem holds.
    pub constants: Option<Constants>,
    /// L, where it is known though F is not convex.
    pub smoothness: Option<f64>,
    /// The problem as a picture can show it, where it is a quadratic in two dimensions.
    pub plane: Option<Plane>,
    /// Its path.
    pub trace: Trace,
    /// The bound, or why there is none.
    pub bound: Result<Bound, String>,
    /// What theory gives exactly, where it does: E F(w_t) - F* at each evaluation of the path.
    pub exact: Option<Vec<f64>>,
    /// Multiplications that the exact expectation would have taken, and how many are allowed, where it was left out.
    pub left_out: Option<(f64, f64)>,
    /// What the bound and the path say together.
    pub verdict: Verdict,
    /// What the exact expectation and the path say together.
    pub agreement: Option<Agreement>,
    /// Where the mean hangs on few repeats.
    pub few_repeats: Option<FewRepeats>,
    /// The constant rate from which on E F grows without end, where that is known and may be below 2 / L.
    pub stability_limit: Option<f64>,
    /// The factor of the error with each update; where geometric convergence is measured.
    pub factor_per_step: Option<Fit>,
    /// The exponent of a power law, where theory gives one.
    pub exponent: Option<Fit>,
    /// The mean error over the last quarter of the updates; where the rate is constant, the gradient noisy, and the
    /// error at rest.
    pub floor: Option<Fit>,
    /// What the descent lemma promises each update, and what the updates did; where that was measured.
    pub lemma: Option<DescentLemma>,
    /// How small gradients became, where F is not convex, or why the theorem is silent.
    pub stationarity: Option<Result<Stationarity, String>>,
    /// Updates to given errors, if they were asked for.
    pub iterations: Option<IterationsTo>,
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
    let total = experiment.updates();
    let mut before = 0;
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
            steps: experiment.steps_of(curve),
            sharpness_every: experiment.sharpness_every,
            validate_every: experiment.validate_every,
            evaluate_every: curve.evaluate_every.unwrap_or(experiment.evaluate_every),
            arithmetic,
        };
        let trace = descend(&descent, &mut |made| proceed(Progress { done: before + made, total }))?;
        before += descent.steps;
        let plane = Plane::of(problem, arithmetic)?;
        curves.push(CurveOutcome { plane, ..CurveOutcome::new(experiment, curve, problem, trace, arithmetic) });
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
        let family = experiment.curves.len();
        let smoothness = problem.smoothness();
        let constants = problem.constants().cloned();
        let start = trace.error.first().map_or(0.0, |band| band.mean);
        let known = Known {
            constants: constants.as_ref(),
            variance: trace.variance.unwrap_or(0.0),
            start,
            model: problem.model(),
        };
        let bound = Bound::of(curve, curve.bound.unwrap_or(experiment.bound), &known)
            .and_then(|bound| is_met(&bound, &trace).map(|()| bound));
        let limit = constants.as_ref().filter(|_| is_plain(curve)).map(|known| 2.0 / known.smoothness);
        let verdict = match &bound {
            _ if trace.diverged.is_some() => diverged(&trace, limit),
            Err(_) => Verdict::NoTheorem,
            Ok(bound) => Verdict::of(&trace, bound, family, arithmetic),
        };
        let Exact { path: exact, left_out, floor: rest, factor, stability_limit } =
            Exact::of(problem.model(), curve, &trace);
        // Beyond what double precision has there is nothing to compare.
        let exact = exact.filter(|path| path.iter().all(|error| error.is_finite()));
        let path = exact.as_deref();
        let converged = trace.diverged.is_none();
        let spectrum = problem.spectrum().filter(|_| converged);
        let rate = curve.constant_rate();
        // That of the Hessian at w*, where it is not the same everywhere. The mean of all weights has none.
        let local = || Some(AdditiveNoise::at_rest(spectrum?).factor(Momentum::of(curve)?, rate?));
        let factor = if trace.is_noisy || curve.average { None } else { factor.or_else(local) };
        let power = spectrum.and_then(|spectrum| power(curve, spectrum));
        // Which power a curve has that is no more than convex depends on where it starts.
        let is_convex = bound
            .as_ref()
            .is_ok_and(|bound| matches!(bound.theorem, Theorem::Convex { .. } | Theorem::Accelerated { .. }));
        // Beyond the limit of stability the mean is made by paths so rare that no number of repeats shows them.
        let fastest = trace.rates.iter().copied().fold(0.0, f64::max);
        let is_unstable = trace.is_noisy && stability_limit.is_some_and(|limit| fastest > limit);
        // Polyak's steps come from the path itself, and those beyond 2 / L magnify its rounding.
        let judged = path.filter(|_| converged && !curve.polyak_step);
        let agreement = judged.map(|exact| match is_unstable {
            true => Agreement::HeavyTail,
            false => Agreement::of(&trace, exact, family, arithmetic),
        });
        let counted = |epsilons| iterations_to(&trace, epsilons, path, factor, power);
        Self {
            label: curve.label.clone(),
            per_update: match experiment.x {
                Horizontal::Updates => 1,
                Horizontal::Samples => curve.batch.or(problem.samples()).unwrap_or(1) as u64,
            },
            problem: problem.describe(),
            smoothness,
            plane: None,
            agreement,
            factor_per_step: factor.filter(|_| converged).and_then(|limit| factor_per_step(&trace, path, Some(limit))),
            exponent: if power.is_some() || is_convex { power_law(&trace, path, power) } else { None },
            floor: constants.as_ref().zip(rate.filter(|_| converged)).and_then(|(known, rate)| {
                // The slowest direction has to have had its time, and none may grow.
                let has_rested = rate * known.strong_convexity * experiment.steps_of(curve) as f64 / 4.0 >= 1.0;
                // One path says nothing of a mean.
                let is_mean = trace.is_noisy && trace.repeats > 1;
                let is_stable = rate * known.smoothness < 2.0;
                if is_mean && has_rested && is_stable && !curve.average { floor(&trace, path, rest) } else { None }
            }),
            iterations: Some(&experiment.iterations_to[..]).filter(|epsilons| !epsilons.is_empty()).map(counted),
            few_repeats: few_repeats(&trace).filter(|_| trace.is_noisy && trace.repeats > 1),
            lemma: constants
                .as_ref()
                .filter(|_| is_plain(curve) && !curve.average)
                .and_then(|known| DescentLemma::of(&trace, known, arithmetic)),
            stationarity: match constants {
                None if converged => Stationarity::of(&trace, curve, smoothness, family),
                _ => None,
            },
            left_out,
            stability_limit,
            exact,
            constants,
            bound,
            verdict,
            trace,
        }
    }
}

impl CurveOutcome {
    /// Whether gradients are larger than a known L allows.
    pub fn breaks_known_smoothness(&self) -> bool {
        matches!(&self.stationarity, Some(Ok(found)) if found.is_known && !found.holds)
    }
}

/// Whether F was evaluated where a bound says something of it.
fn is_met(bound: &Bound, trace: &Trace) -> Result<(), String> {
    match bound.theorem {
        Theorem::Reshuffled { epoch, .. } if !trace.times.iter().any(|t| *t > 0 && bound.covers(*t)) => Err(format!(
            "it is about the ends of epochs of {epoch} updates, and F was evaluated at none; set `evaluate-every = \
             {epoch}`, and `steps` to that at least"
        )),
        _ => Ok(()),
    }
}

fn diverged(trace: &Trace, limit: Option<f64>) -> Verdict {
    // Rates may have fallen since: what broke stability is the largest.
    let rate = trace.rates.iter().copied().fold(0.0, f64::max);
    Verdict::Diverged { step: trace.diverged.unwrap_or_default(), rate, limit }
}
