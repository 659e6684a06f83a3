//! What a curve takes of memory, before it takes it.

/// 800 MB in double precision; a few tensors as large stand beside one another.
const MOST_NUMBERS: usize = 100_000_000;

/// Numbers that a sample takes on the device for each repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// In a mini-batch: its features, or hidden units if there are more.
    pub drawn: usize,
    /// When F is evaluated on all samples: its loss, or what a hidden layer gives for it.
    pub evaluated: usize,
}

/// What would be too large for a curve, and what helps.
///
/// Repeats lie side by side, so a mini-batch holds repeats x batch samples, and F on all n samples repeats x n losses.
pub(crate) fn too_large(
    repeats: usize,
    batch: Option<usize>,
    samples: Option<usize>,
    footprint: Footprint,
) -> Option<(String, &'static str)> {
    let repeats = if batch.is_some() { repeats } else { 1 };
    let Footprint { drawn, evaluated } = footprint;
    let product = |factors: [usize; 3]| factors.into_iter().fold(1, usize::saturating_mul);
    let of_batch = product([repeats, batch.filter(|_| samples.is_some()).unwrap_or(1), drawn]);
    if of_batch > MOST_NUMBERS {
        let what = match (batch, samples) {
            (Some(batch), Some(_)) => {
                format!("{repeats} repeats of a mini-batch of {batch} with {drawn} numbers a sample")
            }
            _ => format!("{repeats} repeats of {drawn} weights"),
        };
        let message = format!("needs {of_batch} numbers at once for {what}; {MOST_NUMBERS} are allowed");
        return Some((message, "fewer repeats, or a smaller batch"));
    }
    let of_all = product([repeats, samples.unwrap_or(0), evaluated]);
    (of_all > MOST_NUMBERS).then(|| {
        let samples = samples.unwrap_or_default();
        let of_each = if evaluated > 1 { format!(" and {evaluated} hidden units") } else { String::new() };
        let message = format!(
            "needs {of_all} numbers at once for the losses of all {samples} samples{of_each} in {repeats} repeats; \
             {MOST_NUMBERS} are allowed"
        );
        (message, "fewer repeats, or fewer samples")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_said_with_its_numbers() {
        let linear = Footprint { drawn: 500, evaluated: 1 };
        assert_eq!(too_large(200, Some(8), Some(100_000), linear), None);
        let batch = too_large(100_000, Some(100), Some(500), linear).unwrap().0;
        assert!(
            batch.contains("needs 5000000000 numbers at once for 100000 repeats of a mini-batch of 100"),
            "{batch}"
        );
        let all = too_large(20_000, Some(1), Some(100_000), Footprint { drawn: 2, evaluated: 1 }).unwrap().0;
        assert!(all.contains("2000000000 numbers at once for the losses of all 100000 samples in 20000"), "{all}");
        // The full gradient is one path.
        assert_eq!(too_large(20_000, None, Some(100_000), Footprint { drawn: 2, evaluated: 1 }), None);
        // Noise that is added needs its weights, whatever the batch.
        let added = Footprint { drawn: 1000, evaluated: 1 };
        assert_eq!(too_large(200, Some(1_000_000_000), None, added), None);
        assert!(too_large(100_001, Some(1), None, added).unwrap().0.contains("100001 repeats of 1000 weights"));
    }
}
