//! Whether a device's memory is enough for a training.

use kiln_training::estimate::MemoryEstimate;

use crate::sizes::bytes;

/// That a device has less memory than training needs.
pub(crate) struct Shortage {
    /// How much is missing, and what helps.
    pub(crate) words: String,
    /// Whether training cannot work: weights, gradients and optimizer alone, whose sizes are exact, are too large; or
    /// all of it, which is estimated, is more than [`SURELY_TOO_MUCH`] times the memory.
    pub(crate) is_certain: bool,
}

/// By this factor an estimate is above what there is when it can be trusted: it was never off by as much.
const SURELY_TOO_MUCH: u64 = 2;

/// What training that needs `needed` for batches of `batch` windows lacks of `memory` bytes, that `place` has.
pub(super) fn shortage(place: &str, memory: u64, needed: &MemoryEstimate, batch: usize) -> Option<Shortage> {
    if needed.total() <= memory {
        return None;
    }
    let for_weights = needed.total() - needed.activations;
    let for_one_window = for_weights.saturating_add(needed.activations / batch.max(1) as u64);
    let has = format!("{place} has {} of memory, and ", bytes(memory));
    let words = if for_weights > memory {
        let alone = bytes(for_weights);
        format!("{has}weights, gradients and optimizer alone take {alone}: train a smaller model")
    } else if for_one_window > memory {
        let one = bytes(for_one_window);
        format!("{has}one window takes about {one}: shorten `run.context`, or train a smaller model")
    } else {
        let recompute = needed.activations_recomputed.map_or_else(String::new, |activations| {
            format!(
                " (`run.recompute = true` takes {} less and gives the same updates more slowly)",
                bytes(needed.activations.saturating_sub(activations))
            )
        });
        format!(
            "{has}about {} are needed{recompute}: halve `run.batch` and double `run.accumulate`, which gives the same \
             updates, or train a smaller model",
            bytes(needed.total())
        )
    };
    let is_certain = for_weights > memory || needed.total() > memory.saturating_mul(SURELY_TOO_MUCH);
    Some(Shortage { words, is_certain })
}
