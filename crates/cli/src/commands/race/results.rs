//! The result of an entrant, from the log of its run.

use kiln_training::race::Diverged;

use crate::recorded::RecordedRun;

/// The end of an entrant in one line.
pub(super) fn words(run: &RecordedRun) -> String {
    let label = &run.name;
    match (&run.diverged, final_loss(run)) {
        (Some(Diverged { step, what }), _) => format!("{label}: diverged at step {step}, the {what} is not finite"),
        (None, Some(loss)) => format!("{label}: done, validation loss {loss:.4}"),
        (None, None) => format!("{label}: done"),
    }
}

/// The validation loss of the last evaluation, nats per token.
pub(super) fn final_loss(run: &RecordedRun) -> Option<f64> {
    run.last_evaluation().map(|entry| entry.valid_loss)
}

/// The entrants in the order of their final losses, those that diverged last.
pub(super) fn ranked(runs: &[RecordedRun]) -> Vec<&RecordedRun> {
    let mut ranked: Vec<&RecordedRun> = runs.iter().collect();
    let key = |run: &RecordedRun| (run.diverged.is_some(), final_loss(run).unwrap_or(f64::INFINITY));
    ranked.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    ranked
}
