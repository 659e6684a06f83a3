//! R descents side by side, as one batched tensor.

use burn::tensor::Tensor;
use kiln_optimization::optimizers::{Moving, OptimizerConfig, ParameterView, Rate, SgdConfig, Slots, UpdateRule};
use kiln_optimization::schedules::{Schedule, ScheduleConfig, Theory};
use kiln_parameters::Role;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::device::numbers;
use crate::gradients::{Gradients, Watch};
use crate::memory::too_large;
use crate::problem::{Draws, Problem, Sampled};
use crate::sharpness::Sharpness;
use crate::statistics::{Band, confidence_half_width};
use crate::theorems::floor_per_rate;
use crate::{Arithmetic, CurveConfig, FirstRepeat, LabError, Variance, Window};

/// Errors this many times the first one, or the first rate's error floor if that is higher, are no convergence.
const DIVERGED: f64 = 1e6;

/// Repeats are also averaged in this many groups, whose scatter gives the error of what is fitted to the mean.
const GROUPS: usize = 10;

/// What descends, and how.
pub(crate) struct Descent<'a> {
    /// The objective.
    pub(crate) problem: &'a dyn Problem,
    /// The curve.
    pub(crate) curve: &'a CurveConfig,
    /// Seed of the samples and the noise.
    pub(crate) seed: u64,
    /// Which curve of its experiment it is: each has draws of its own.
    pub(crate) index: u64,
    /// R. Where nothing is random one is enough, and is made.
    pub(crate) repeats: usize,
    /// Updates.
    pub(crate) steps: u64,
    /// Updates between two losses that schedules are given as validation losses.
    pub(crate) validate_every: u64,
    /// Updates between two measurements of the sharpness, if it is measured.
    pub(crate) sharpness_every: Option<u64>,
    /// Updates between two evaluations of F on all samples.
    pub(crate) evaluate_every: u64,
    /// Where to compute.
    pub(crate) arithmetic: &'a Arithmetic,
}

/// The path of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// R.
    pub repeats: usize,
    /// Whether the gradients are random, so that a mean says something and one path doesn't.
    pub is_noisy: bool,
    /// The updates t after which F was evaluated: 0, every `evaluate-every`th, the last.
    pub times: Vec<u64>,
    /// The mean of F(w_t) - F* over the repeats with its 95 % confidence, at each of `times`.
    pub error: Vec<Band>,
    /// The same means over groups of repeats, `[group][evaluation]`.
    pub groups: Vec<Vec<f64>>,
    /// Averages over time of each repeat; those that a divergence came before are left out.
    pub windows: Vec<Window>,
    /// The mean over the repeats of the rate of each update.
    pub rates: Vec<f64>,
    /// F(w_t) - F* of each repeat, averaged over the last quarter of the updates.
    pub late_errors: Vec<f64>,
    /// The gradients, where every update was evaluated and a theorem asks for them.
    pub gradients: Option<Gradients>,
    /// sigma²: exact, or the largest value met on the paths; `None` where no theorem asks for it.
    pub variance: Option<f64>,
    /// Updates, and the largest eigenvalue of the Hessian after them, where that was asked for.
    pub sharpness: Vec<(u64, f64)>,
    /// The path of the first repeat.
    pub first: FirstRepeat,
    /// After how many updates the error left every bound, if it did.
    pub diverged: Option<u64>,
}

impl Descent<'_> {
    /// How often F is evaluated.
    fn evaluations(&self) -> usize {
        (self.steps / self.evaluate_every + u64::from(!self.steps.is_multiple_of(self.evaluate_every)) + 1) as usize
    }
}

/// Descends from the problem's start; `proceed` is given the number of updates made and may stop it.
///
/// # Errors
/// When a mini-batch is larger than the data, when it is stopped, or the device fails.
pub(crate) fn descend(descent: &Descent<'_>, proceed: &mut dyn FnMut(u64) -> bool) -> Result<Trace, LabError> {
    if let (Some(batch), Some(samples)) = (descent.curve.batch, descent.problem.samples())
        && batch > samples
    {
        return Err(LabError::BatchTooLarge { label: descent.curve.label.clone(), batch, samples });
    }
    let Descent { problem, curve, repeats, .. } = *descent;
    if let Some((what, help)) = too_large(repeats, curve.batch, problem.samples(), problem.footprint()) {
        return Err(LabError::TooLarge { label: curve.label.clone(), what, help });
    }
    let mut walk = Walk::new(descent);
    let mut sharpness = Sharpness::new(problem, descent.arithmetic);
    for t in 0..=descent.steps {
        let is_evaluated = t.is_multiple_of(descent.evaluate_every) || t == descent.steps;
        let errors = if is_evaluated || walk.schedules_need_errors(t) {
            numbers(descent.problem.excess(walk.evaluated()))?
        } else {
            Vec::new()
        };
        if is_evaluated {
            walk.record(&errors, t);
        }
        walk.trace.first.pass(descent.problem, &walk.weights, t)?;
        if descent.sharpness_every.is_some_and(|every| curve.batch.is_none() && t.is_multiple_of(every)) {
            walk.trace.sharpness.push((t, sharpness.at(&walk.weights)?));
        }
        if walk.trace.diverged.is_some() || t == descent.steps {
            break;
        }
        walk.update(&errors, t)?;
        if !proceed(t + 1) {
            return Err(LabError::Stopped);
        }
    }
    Ok(walk.finished())
}

/// A descent on its way.
struct Walk<'a> {
    descent: &'a Descent<'a>,
    /// `[R, d]`.
    weights: Tensor<2>,
    /// One for all repeats where the rates do not depend on what is seen, else one for each.
    schedules: Vec<Box<dyn Schedule>>,
    rule: Box<dyn UpdateRule>,
    slots: Slots,
    draws: Draws,
    /// The mean of all weights so far, where that is what counts.
    mean: Option<Tensor<2>>,
    /// The weights before the look-ahead, where a growing momentum looks ahead.
    before_look_ahead: Option<Tensor<2>>,
    /// Looks at the gradients, where a theorem asks for them.
    watch: Option<Watch>,
    quantile: f64,
    /// The error floor of the first rate with the variance at the start: that met on a path that diverges would grow
    /// with it.
    first_floor: f64,
    trace: Trace,
}

impl<'a> Walk<'a> {
    fn new(descent: &'a Descent<'a>) -> Self {
        let curve = descent.curve;
        let rows = if curve.batch.is_some() { descent.repeats } else { 1 };
        let schedules = if curve.schedule.is_by_time() { 1 } else { rows };
        let plain = OptimizerConfig::Sgd(SgdConfig::default());
        let mut draws = ChaCha8Rng::seed_from_u64(descent.seed);
        // Stream 0 made the data.
        draws.set_stream(descent.index + 2);
        let weights = descent.problem.start().repeat(rows);
        let variance = descent.problem.constants().map(|constants| match constants.variance {
            Variance::Exact(variance) => variance,
            Variance::Sampled => 0.0,
        });
        Self {
            descent,
            weights: descent.arithmetic.tensor(weights, [rows, descent.problem.dimension()]),
            schedules: (0..schedules).map(|_| curve.schedule.build(descent.steps)).collect(),
            rule: curve.optimizer.as_ref().unwrap_or(&plain).rule(),
            slots: Slots::default(),
            draws: Draws::new(draws, curve.sampling),
            mean: None,
            before_look_ahead: None,
            watch: (descent.evaluate_every == 1 && (curve.batch.is_none() || descent.problem.constants().is_none()))
                .then(Watch::default),
            quantile: confidence_half_width(rows),
            first_floor: 0.0,
            trace: Trace {
                repeats: rows,
                is_noisy: curve.batch.is_some(),
                times: Vec::new(),
                windows: Window::all(descent.evaluations(), rows),
                error: Vec::new(),
                groups: vec![Vec::new(); rows.min(GROUPS)],
                rates: Vec::new(),
                late_errors: vec![0.0; rows],
                gradients: None,
                variance,
                sharpness: Vec::new(),
                first: FirstRepeat::default(),
                diverged: None,
            },
        }
    }

    /// The weights whose error counts: those that move, unless the curve or the optimizer averages.
    fn evaluated(&self) -> Tensor<2> {
        if let Some(weights) = self.mean.as_ref().or(self.before_look_ahead.as_ref()) {
            return weights.clone();
        }
        if !self.rule.has_evaluation_weights() || self.trace.rates.is_empty() {
            return self.weights.clone();
        }
        let [rows, d] = self.weights.dims();
        let flat = self.weights.clone().reshape([rows * d]);
        self.rule.evaluation_weights(flat, &self.slots).reshape([rows, d])
    }

    fn record(&mut self, errors: &[f64], t: u64) {
        let floor = self.first_floor;
        let trace = &mut self.trace;
        let band = Band::of(errors, self.quantile);
        let first = trace.error.first().map_or(band.mean, |first| first.mean);
        // A start near the minimum is no reason to call an ordinary floor a divergence.
        let limit = DIVERGED * first.abs().max(floor).max(f64::MIN_POSITIVE);
        if errors.iter().any(|error| !error.is_finite() || error.abs() > limit) {
            trace.diverged = Some(t);
            return;
        }
        let evaluation = trace.error.len();
        trace.error.push(band);
        trace.times.push(t);
        trace.first.errors.extend(errors.first());
        if let Some(window) = trace.windows.iter_mut().find(|window| evaluation < window.end) {
            window.add(errors);
        }
        let groups = trace.groups.len();
        for (index, group) in trace.groups.iter_mut().enumerate() {
            let members = &errors[index * errors.len() / groups..(index + 1) * errors.len() / groups];
            group.push(members.iter().sum::<f64>() / members.len() as f64);
        }
        if t >= self.descent.steps * 3 / 4 {
            trace.late_errors.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error);
        }
    }

    /// The path with all that is an average over time.
    fn finished(mut self) -> Trace {
        let trace = &mut self.trace;
        let late = trace.times.iter().filter(|t| **t >= self.descent.steps * 3 / 4).count() as f64;
        trace.late_errors.iter_mut().for_each(|sum| *sum /= late);
        let evaluations = trace.error.len();
        trace.windows.retain(|window| window.end <= evaluations);
        trace.gradients = self.watch.map(|watch| watch.seen);
        self.trace
    }

    /// Whether a schedule is given F at this update, evaluated for the figure or not.
    fn schedules_need_errors(&self, t: u64) -> bool {
        let Descent { curve, validate_every, .. } = *self.descent;
        curve.polyak_step
            || !curve.schedule.is_by_time()
                && (curve.batch.is_none() || self.knows_floor() || t.is_multiple_of(validate_every))
    }

    /// Whether the schedule asks for F - F* at every update, and is given it.
    fn knows_floor(&self) -> bool {
        let Descent { problem, curve, .. } = *self.descent;
        let asks = matches!(curve.schedule, ScheduleConfig::ErrorFloor(_));
        asks && curve.tell_constants && problem.constants().is_some()
    }

    fn update(&mut self, errors: &[f64], t: u64) -> Result<(), LabError> {
        let Descent { problem, curve, validate_every, .. } = *self.descent;
        let weights = self.weights.clone();
        let (gradient, losses) = match curve.batch {
            None => (problem.gradient(weights), errors.to_vec()),
            Some(batch) => {
                let Sampled { gradient, loss } = problem.sampled(weights, batch, &mut self.draws);
                let losses = if curve.schedule.is_by_time() { Vec::new() } else { numbers(loss)? };
                (gradient, losses)
            }
        };
        if t.is_multiple_of(validate_every) || t + 1 == self.descent.steps {
            self.measure_variance()?;
        }
        self.inform_schedules(errors, &losses, t);
        if let Some(watch) = &mut self.watch {
            let full = if curve.batch.is_some() { problem.gradient(self.weights.clone()) } else { gradient.clone() };
            watch.see(self.weights.clone(), full, gradient.clone())?;
        }
        let rate = if curve.polyak_step { self.polyak_rate(errors, gradient.clone())? } else { self.rate() };
        if t == 0 {
            self.first_floor = self.floors_per_rate().map_or(0.0, |floors| floors.0) * self.trace.rates[0];
        }
        let shape = self.weights.dims();
        let length = [shape[0] * shape[1]];
        // A matrix of repeats and weights, so that a decay acts on the weights.
        let role = Role::HiddenMatrix;
        let moving = Moving {
            parameter: ParameterView { path: "weights", shape: &shape, role, step: t + 1 },
            value: self.weights.clone().reshape(length),
            gradient: gradient.reshape(length),
            slots: &mut self.slots,
        };
        let before = std::mem::replace(&mut self.weights, self.rule.update(moving, &rate).reshape(shape));
        if curve.accelerated {
            let last = self.before_look_ahead.replace(self.weights.clone()).unwrap_or(before.clone());
            let momentum = t as f64 / (t + 3) as f64;
            self.weights = self.weights.clone().add(self.weights.clone().sub(last).mul_scalar(momentum));
        }
        if curve.average {
            // The mean of w_0 to w_{t+1} from that of w_0 to w_t.
            let mean = self.mean.take().unwrap_or(before);
            let step = self.weights.clone().sub(mean.clone()).div_scalar((t + 2) as f64);
            self.mean = Some(mean.add(step));
        }
        Ok(())
    }

    /// The largest variance on the paths so far, where it is not the same everywhere.
    fn measure_variance(&mut self) -> Result<(), LabError> {
        let problem = self.descent.problem;
        let is_sampled = problem.constants().is_some_and(|constants| constants.variance == Variance::Sampled);
        if is_sampled && let Some(variance) = problem.variance(self.weights.clone()) {
            let largest = numbers(variance)?.into_iter().fold(0.0, f64::max);
            self.trace.variance = self.trace.variance.map(|before| before.max(largest));
        }
        Ok(())
    }

    /// Gives the schedules what they would be given on a network and, if they are to know it, what theory says.
    fn inform_schedules(&mut self, errors: &[f64], losses: &[f64], t: u64) {
        let Descent { problem, curve, validate_every, .. } = *self.descent;
        if curve.schedule.is_by_time() {
            return;
        }
        let constants = problem.constants();
        let minimum = constants.map_or(0.0, |constants| constants.minimum);
        let floors = self.floors_per_rate().filter(|_| self.knows_floor());
        for (row, schedule) in self.schedules.iter_mut().enumerate() {
            if t > 0 && t.is_multiple_of(validate_every) {
                schedule.observe_validation(errors[row] + minimum);
            }
            schedule.observe_training(losses[row] + minimum);
            if let Some((floor_per_rate, true_floor_per_rate)) = floors {
                schedule.observe_theory(Theory { excess: errors[row], floor_per_rate, true_floor_per_rate });
            }
        }
    }

    /// The error floor of a rate over that rate, where theory knows one: that of the bound, with the variance met so
    /// far, and the true one.
    fn floors_per_rate(&self) -> Option<(f64, f64)> {
        let constants = self.descent.problem.constants()?;
        let batch = self.descent.curve.batch.map_or(f64::INFINITY, |batch| batch as f64);
        let of_bound = floor_per_rate(constants, self.trace.variance.unwrap_or(0.0) / batch);
        Some((of_bound, constants.noise_at_minimum / (4.0 * batch)))
    }

    /// (F - F*) / |grad F|², up to what the schedule gives; nothing where the gradient has vanished.
    fn polyak_rate(&mut self, errors: &[f64], gradient: Tensor<2>) -> Result<Rate, LabError> {
        let most = self.schedules.iter_mut().map(|schedule| schedule.next_rate()).fold(f64::INFINITY, f64::min);
        let square = numbers(gradient.square().sum())?[0];
        let rate = if square > 0.0 { (errors[0] / square).min(most) } else { 0.0 };
        self.trace.rates.push(rate);
        Ok(Rate::Same(rate))
    }

    /// The rate of this update, for each weight where repeats differ.
    fn rate(&mut self) -> Rate {
        let rates: Vec<f64> = self.schedules.iter_mut().map(|schedule| schedule.next_rate()).collect();
        // The sum of equal numbers is rounded.
        let are_equal = rates.windows(2).all(|pair| pair[0] == pair[1]);
        let mean = if are_equal { rates[0] } else { rates.iter().sum::<f64>() / rates.len() as f64 };
        self.trace.rates.push(mean);
        if let [rate] = rates[..] {
            return Rate::Same(rate);
        }
        self.trace.first.rates.extend(rates.first());
        let d = self.descent.problem.dimension();
        let each: Vec<f64> = rates.into_iter().flat_map(|rate| std::iter::repeat_n(rate, d)).collect();
        let length = [each.len()];
        Rate::Each(self.descent.arithmetic.tensor(each, length))
    }
}
