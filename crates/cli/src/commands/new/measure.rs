//! How long the updates of each size take on the device.

use std::time::{Duration, Instant};

use kiln_data::batches::EvaluationPlan;
use kiln_data::shards::{PreparedData, TokenFile};
use kiln_settings::Source;
use kiln_training::config::Config;
use kiln_training::estimate::Estimate;
use kiln_training::evaluation::{self, evaluate};
use kiln_training::misleading::is_vocabulary_large;

use super::ladder::Size;
use super::plan::Plan;
use super::text::Text;
use super::written;
use crate::commands::bench::median;
use crate::device::Chosen;
use crate::terminal::{progress_bar, say};
use crate::training_data;
use crate::updates::TimedUpdates;

/// How long a size is timed at first, in each of the rounds in turns, and how long the one that was chosen.
const FIRST: Duration = Duration::from_millis(400);
const IN_TURN: Duration = Duration::from_millis(300);
const ROUNDS: usize = 4;
const CHOSEN: Duration = Duration::from_secs(3);

/// About how long sizes are timed in all, but for the one that was chosen: with minutes without an end, even the
/// largest would have to be.
const PLANNING: Duration = Duration::from_secs(20);

/// How many times longer the next size of a ladder takes to be timed, at most.
const NEXT: u32 = 3;

/// Updates before those that are timed.
const WARM_UP: u64 = 2;

/// Batches of the evaluation that is timed.
const EVALUATED: f64 = 8.0;

/// A size on the device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub(super) size: Size,
    pub(super) parameters: u64,
    /// Of the training split.
    pub(super) training_tokens: u64,
    /// Seconds of an update.
    pub(super) seconds: f64,
    /// Seconds of an evaluation on the whole validation split.
    pub(super) evaluation_seconds: f64,
}

/// A size that is being timed.
struct Contestant {
    updates: TimedUpdates,
    measured: Measured,
}

/// Chooses the size. The sizes are timed from the smallest on, until two in a row are expected to do worse than the
/// best, or one has hardly any updates in the minutes; then in turns, so that what else the machine does meets all of
/// them. Gives all that were timed, and the one that was chosen, which was timed for longer.
pub(super) fn choose(
    plan: &mut Plan,
    sizes: &[Size],
    text: &Text,
    chosen: &Chosen,
) -> anyhow::Result<(Vec<Measured>, Measured)> {
    let data = prepare(plan, sizes[0], text)?;
    let bar = progress_bar((sizes.len() + ROUNDS) as u64, "timing updates [{bar:30}]");
    let mut contestants: Vec<Contestant> = Vec::new();
    let planning = Instant::now();
    for size in sizes {
        let started = Instant::now();
        let config = config_of(plan, *size, text)?;
        let memory = Estimate::new(&config, data.tokenizer.vocabulary_size()).memory;
        if !contestants.is_empty() && chosen.shortage(&memory, config.run.batch).is_some() {
            break;
        }
        contestants.push(Contestant::new(&config, *size, &data, chosen)?);
        bar.inc(1);
        let losses: Vec<f64> = contestants.iter().map(|other| plan.expected_loss(&other.measured)).collect();
        let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let are_worse = losses.iter().rev().take(2).filter(|loss| **loss > best).count() == 2;
        if are_worse || contestants.last().is_some_and(|last| plan.is_slow(&last.measured)) {
            break;
        }
        if planning.elapsed() + started.elapsed() * NEXT > PLANNING {
            let largest = size.words(plan.family);
            say(&format!("no size above a {largest} was timed: that would take too long on this device"));
            break;
        }
    }
    for _ in 0..ROUNDS {
        if planning.elapsed() > PLANNING {
            break;
        }
        contestants.iter_mut().try_for_each(|contestant| contestant.time(IN_TURN))?;
        bar.inc(1);
    }
    let measured: Vec<Measured> = contestants.iter().map(|contestant| contestant.measured).collect();
    let size = plan.choose(&measured).map_or(sizes[0], |best| best.size);
    drop(contestants);
    let mut best = Contestant::new(&config_of(plan, size, text)?, size, &data, chosen)?;
    best.time(CHOSEN)?;
    bar.finish_and_clear();
    // The mean, since a run takes the slow updates, too.
    let seconds = best.updates.seconds();
    best.measured.seconds = seconds.iter().sum::<f64>() / seconds.len().max(1) as f64;
    plan.take(&best.measured);
    Ok((measured, best.measured))
}

/// The tokens of the plan, with a smaller vocabulary where those of the first choice turn out too rare.
fn prepare(plan: &mut Plan, size: Size, text: &Text) -> anyhow::Result<PreparedData> {
    loop {
        let data = training_data::prepare(&config_of(plan, size, text)?)?;
        let is_large = is_vocabulary_large(data.train.len(), data.tokenizer.vocabulary_size());
        if !is_large || !plan.take_smaller_vocabulary(text) {
            return Ok(data);
        }
    }
}

/// The configuration as it would be written for a size.
fn config_of(plan: &Plan, size: Size, text: &Text) -> anyhow::Result<Config> {
    let plan = Plan { size, ..plan.clone() };
    Ok(Config::read(&Source::new("a size", written::settings(&plan, text)), &[])?)
}

impl Contestant {
    fn new(config: &Config, size: Size, data: &PreparedData, chosen: &Chosen) -> anyhow::Result<Self> {
        let mut updates = TimedUpdates::new(config, data, chosen)?;
        updates.warm_up(WARM_UP)?;
        let evaluation_seconds = evaluation_seconds(config, &updates, &data.validation)?;
        let parameters = Estimate::new(config, data.tokenizer.vocabulary_size()).parameters;
        let training_tokens = data.train.len();
        let measured = Measured { size, parameters, training_tokens, seconds: f64::NAN, evaluation_seconds };
        let mut contestant = Self { updates, measured };
        contestant.time(FIRST)?;
        Ok(contestant)
    }

    /// Times updates for a while; what counts is the median of all until now.
    fn time(&mut self, timing: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < timing {
            self.updates.round(1)?;
        }
        self.measured.seconds = median(self.updates.seconds());
        Ok(())
    }
}

/// What an evaluation on the whole validation split would take, from one on a few batches of it.
fn evaluation_seconds(config: &Config, updates: &TimedUpdates, validation: &TokenFile) -> anyhow::Result<f64> {
    let run = &config.run;
    let batch = (run.batch * run.context) as f64;
    let fraction = (EVALUATED * batch / validation.len() as f64).clamp(f64::MIN_POSITIVE, 1.0);
    let plan = evaluation::Plan::from(EvaluationPlan::new(validation, fraction, run.batch, run.context, false)?);
    let model = updates.model();
    let started = Instant::now();
    evaluate(&model, validation, &plan, &mut |_| true)?;
    let all = validation.len().saturating_sub(1) as f64 / plan.targets() as f64;
    Ok(started.elapsed().as_secs_f64() * all)
}
