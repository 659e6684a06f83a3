//! What the schedule-free optimizers have in common: three points and the weighted mean of one of them.

use burn::tensor::Tensor;

use super::{Rate, SlotNames, Slots};

/// The name of z among the slots.
pub(super) const BASE: &str = "base";
const LARGEST_RATE: &str = "largest_rate";
const WEIGHT_SUM: &str = "weight_sum";

/// The slots of the iteration without a denominator.
pub(super) const SLOTS: SlotNames = SlotNames { numbers: NUMBERS, ..SlotNames::vectors(&[BASE]) };

/// The numbers that the iteration keeps.
pub(super) const NUMBERS: &[&str] = &[LARGEST_RATE, WEIGHT_SUM];

/// The iteration of Defazio et al., "The Road Less Scheduled", 2024, equations 3 to 5, with the weights of its
/// Algorithm 1.
///
/// z is moved by the gradients, x is the mean of all z, and the gradients are taken at y between the two. The model
/// holds y; x is what it is evaluated with. There is no decreasing rate and no end to be planned for: the mean takes
/// its place.
pub(super) struct Interpolation {
    /// beta, in (0, 1): y = (1 - beta) z + beta x.
    pub(super) momentum: f64,
}

impl Interpolation {
    /// The next y, for a direction d (a gradient, scaled or not, with its decay) taken at the present y, rate eta_t and
    /// gamma_t the largest rate so far; z and the sum of weights are in `slots`:
    ///
    /// c_t = gamma_t² / (gamma_1² + ... + gamma_t²), z_t = z_{t-1} - eta_t d, x_t = (1 - c_t) x_{t-1} + c_t z_t,
    /// y_t = (1 - beta) z_t + beta x_t, which without x is
    /// y_t = y_{t-1} + c_t (z_{t-1} - y_{t-1}) + eta_t (beta (1 - c_t) - 1) d.
    pub(super) fn advance(&self, y: Tensor<1>, direction: Tensor<1>, slots: &mut Slots, rate: &Rate) -> Tensor<1> {
        let share = newest_share(slots, rate);
        let z = slots.take(BASE).unwrap_or_else(|| y.clone());
        let toward_base = share.times(z.clone().sub(y.clone()));
        let step = share.scaled(-self.momentum).shifted(self.momentum - 1.0).product(rate);
        let next = y.add(toward_base).add(step.times(direction.clone()));
        slots.put(BASE, z.sub(rate.times(direction)));
        next
    }

    /// x from y and z: x = y + (1 - 1 / beta) (z - y). Before the first update all three are one point.
    pub(super) fn average(&self, y: Tensor<1>, slots: &Slots) -> Tensor<1> {
        match slots.vector(BASE) {
            Some(z) => y.clone().add(z.clone().sub(y).mul_scalar(1.0 - 1.0 / self.momentum)),
            None => y,
        }
    }
}

/// c_t, the share of the newest z in the mean. A rate of 0 from the start on gives it none.
fn newest_share(slots: &mut Slots, rate: &Rate) -> Rate {
    let largest = slots.take_rate(LARGEST_RATE).map_or_else(|| rate.clone(), |before| before.larger(rate));
    let weight = largest.product(&largest);
    let sum = slots.take_rate(WEIGHT_SUM).map_or_else(|| weight.clone(), |before| before.plus(&weight));
    let share = weight.share_of(&sum);
    slots.put_rate(LARGEST_RATE, largest);
    slots.put_rate(WEIGHT_SUM, sum);
    share
}
