//! What came out of an entrant, over its seeds.

use kiln_convergence::Band;

use crate::recorded::{Measure, RecordedRun};

/// An entrant with its runs, in the order of the seeds.
pub(super) struct EntrantResult {
    pub(super) label: String,
    pub(super) runs: Vec<RecordedRun>,
    /// The step after which halving left it behind.
    pub(super) left_at: Option<u64>,
}

impl EntrantResult {
    /// The first of its runs that diverged, with the step.
    pub(super) fn diverged(&self) -> Option<u64> {
        self.runs.iter().find_map(|run| run.diverged.as_ref()).map(|diverged| diverged.step)
    }

    /// The losses of the last evaluations; nothing where a run has none or diverged, since a mean over the others would
    /// flatter the entrant.
    pub(super) fn final_losses(&self, measure: Measure) -> Option<Vec<f64>> {
        let loss = |run: &RecordedRun| {
            run.last_evaluation().filter(|_| run.diverged.is_none()).map(|entry| measure.loss(entry))
        };
        self.runs.iter().map(loss).collect()
    }

    /// The mean of the final losses, with its interval where there are several seeds.
    pub(super) fn final_loss(&self, measure: Measure) -> Option<Band> {
        Some(Band::of_95(&self.final_losses(measure)?))
    }

    /// The mean of the lowest losses.
    pub(super) fn best_loss(&self, measure: Measure) -> Option<f64> {
        let best = |run: &RecordedRun| run.best_evaluation().map(|entry| measure.loss(entry));
        let losses: Vec<f64> = self.runs.iter().filter(|run| run.diverged.is_none()).filter_map(best).collect();
        (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
    }
}

/// The unit in which all entrants can be compared.
pub(super) fn measure(results: &[EntrantResult]) -> Measure {
    Measure::of(results.iter().flat_map(|result| &result.runs))
}

/// The entrants in the order of their mean final losses; those that halving left behind after the others, the later
/// ones first, and those that diverged last.
pub(super) fn ranked(results: &[EntrantResult]) -> Vec<&EntrantResult> {
    let measure = measure(results);
    let mut ranked: Vec<&EntrantResult> = results.iter().collect();
    let loss = |result: &EntrantResult| result.final_loss(measure).map_or(f64::INFINITY, |loss| loss.mean);
    ranked.sort_by(|left, right| {
        let place = |result: &EntrantResult| {
            let left_at = result.left_at.unwrap_or(u64::MAX);
            (result.diverged().is_some(), std::cmp::Reverse(left_at))
        };
        place(left).cmp(&place(right)).then(loss(left).total_cmp(&loss(right)))
    });
    ranked
}
