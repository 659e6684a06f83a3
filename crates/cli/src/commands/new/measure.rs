//! How long the updates of each size take on the device.

use std::time::{Duration, Instant};

use kiln_data::batches::EvaluationPlan;
use kiln_data::shards::PreparedData;
use kiln_settings::Source;
use kiln_training::config::Config;
use kiln_training::estimate::Estimate;
use kiln_training::evaluation::evaluate;

use super::ladder::Size;
use super::plan::Plan;
use super::text::Text;
use super::written;
use crate::device::{self, Chosen};
use crate::terminal::progress_bar;
use crate::training_data;
use crate::updates::TimedUpdates;

/// How long a size is timed, and the one that was chosen.
const TIMING: Duration = Duration::from_millis(700);
const TIMING_THE_CHOSEN: Duration = Duration::from_secs(3);

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

/// Chooses the size: the sizes are timed from the smallest on, until two in a row are expected to do worse than the
/// best, or one has hardly any updates in the minutes. Gives all that were timed, and the one that was chosen, which was timed for longer.
pub(super) fn choose(
    plan: &mut Plan,
    sizes: &[Size],
    text: &Text,
    chosen: &Chosen,
) -> anyhow::Result<(Vec<Measured>, Measured)> {
    let config = config_of(plan, sizes[0], text)?;
    let data = training_data::prepare(&config)?;
    let bar = progress_bar(sizes.len() as u64, "timing size {pos} of up to {len} [{bar:30}]");
    let mut measured: Vec<Measured> = Vec::new();
    for size in sizes {
        bar.inc(1);
        let config = config_of(plan, *size, text)?;
        let memory = Estimate::new(&config, data.tokenizer.vocabulary_size()).memory.total();
        if !measured.is_empty() && device::too_little_memory(memory).is_some() {
            break;
        }
        measured.push(measure(&config, *size, &data, chosen, TIMING)?);
        let losses: Vec<f64> = measured.iter().map(|measured| plan.expected_loss(measured)).collect();
        let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let are_worse = losses.iter().rev().take(2).filter(|loss| **loss > best).count() == 2;
        if are_worse || measured.last().is_some_and(|last| plan.is_slow(last)) {
            break;
        }
    }
    let size = plan.choose(&measured).map_or(sizes[0], |best| best.size);
    let best = measure(&config_of(plan, size, text)?, size, &data, chosen, TIMING_THE_CHOSEN)?;
    bar.finish_and_clear();
    plan.take(&best);
    Ok((measured, best))
}

/// The configuration as it would be written for a size.
fn config_of(plan: &Plan, size: Size, text: &Text) -> anyhow::Result<Config> {
    let plan = Plan { size, ..plan.clone() };
    Ok(Config::read(&Source::new("a size", written::settings(&plan, text)), &[])?)
}

fn measure(
    config: &Config,
    size: Size,
    data: &PreparedData,
    chosen: &Chosen,
    timing: Duration,
) -> anyhow::Result<Measured> {
    let mut updates = TimedUpdates::new(config, data, chosen)?;
    updates.warm_up(WARM_UP)?;
    let started = Instant::now();
    while started.elapsed() < timing || updates.seconds().is_empty() {
        updates.round(1)?;
    }
    // The mean, since a run takes the slow updates, too.
    let seconds = updates.seconds().iter().sum::<f64>() / updates.seconds().len() as f64;
    let (run, validation) = (&config.run, &data.validation);
    let batch = (run.batch * run.context) as f64;
    let fraction = (EVALUATED * batch / validation.len() as f64).clamp(f64::MIN_POSITIVE, 1.0);
    let plan = EvaluationPlan::new(validation, fraction, run.batch, run.context, false)?;
    let model = updates.model();
    let started = Instant::now();
    evaluate(&model, validation, &plan, &mut |_| true)?;
    let all = validation.len().saturating_sub(1) as f64 / plan.targets() as f64;
    Ok(Measured {
        size,
        parameters: Estimate::new(config, data.tokenizer.vocabulary_size()).parameters,
        training_tokens: data.train.len(),
        seconds,
        evaluation_seconds: started.elapsed().as_secs_f64() * all,
    })
}
