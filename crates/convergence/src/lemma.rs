//! The descent lemma: why the best rate that is sure is 1 / L.

use crate::{Arithmetic, Constants, Trace};

/// What every update of gradient descent lowered F by, beside what is promised:
/// F(w - eta grad F) <= F - eta (1 - eta L / 2) |grad F|², whose right side is lowest at eta = 1 / L.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DescentLemma {
    /// Updates compared: those before the digits of the arithmetic end.
    pub updates: usize,
    /// The first update that lowered F by less than is promised.
    pub broken: Option<u64>,
    /// The smallest number of times what is promised that an update lowered F by; `None` where nothing is promised,
    /// from 2 / L on.
    pub least: Option<f64>,
}

/// F - F* below this part of the first one is given with too few digits for a difference.
const LAST_DIGITS: f64 = 1e-11;

impl DescentLemma {
    /// Of the path of plain gradient descent; `None` where not every update was looked at.
    pub(crate) fn of(trace: &Trace, constants: &Constants, arithmetic: &Arithmetic) -> Option<Self> {
        let gradients = trace.gradients.as_ref().filter(|_| !trace.is_noisy && arithmetic.is_double())?;
        let start = trace.error.first()?.mean;
        let whole = trace.error.iter().take_while(|band| band.mean > LAST_DIGITS * start).count();
        let mut lemma = Self { updates: 0, broken: None, least: None };
        for (t, pair) in trace.error[..whole].windows(2).enumerate() {
            let rate = trace.rates[t];
            let promised = rate * (1.0 - rate * constants.smoothness / 2.0) * gradients.squares[t];
            let fallen = pair[0].mean - pair[1].mean;
            lemma.updates += 1;
            if fallen < promised - 1e-9 * promised.abs() - 1e-14 * pair[0].mean {
                lemma.broken = lemma.broken.or(Some(t as u64 + 1));
            }
            // At 2 / L what is promised is rounding, and so it is at a rate next to nothing.
            if promised > (1e-9 * rate * gradients.squares[t]).max(LAST_DIGITS * pair[0].mean) {
                lemma.least = Some(lemma.least.map_or(fallen / promised, |least| least.min(fallen / promised)));
            }
        }
        (lemma.updates > 0).then_some(lemma)
    }
}
