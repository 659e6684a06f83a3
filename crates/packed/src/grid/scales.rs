//! Which scale, and which minimum, a group of numbers gets.
//!
//! The search is that of `llama.cpp` in kind: for each of some scales near the one that just covers the group, the
//! numbers are rounded, and the scale of the least weighted squared error for those whole numbers has a closed form.

use super::{Codes, Group, Minimum};

/// Steps of a tenth of a code that are tried on either side of the scale that covers the group.
const STEPS: i16 = 10;

/// The reference's rule for formats about zero: the number of the greatest magnitude gets the code at the end, which
/// for 4 bits is the one below zero that has no counterpart above.
pub(super) fn plain(codes: Codes, numbers: &[f32]) -> Group {
    let far = farthest(numbers);
    let scale = if codes.least == 0 { far / -f32::from(codes.zero) } else { far.abs() / 127.0 };
    Group::new(scale, 0.0)
}

fn farthest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(0.0_f32, |far, number| if number.abs() > far.abs() { *number } else { far })
}

/// The scale about zero of the least weighted error, of either sign.
///
/// With whole numbers `l` the sum of `w (x - s l)^2` is least for `s = sum(w x l) / sum(w l^2)`, where it is
/// `sum(w x^2) - sum(w x l)^2 / sum(w l^2)`.
pub(super) fn symmetric(codes: Codes, numbers: &[f32], weights: &[f32]) -> f32 {
    let far = farthest(numbers);
    if far == 0.0 || !far.is_finite() {
        return 0.0;
    }
    let below = f32::from(codes.zero - codes.least);
    let mut best = (0.0, far / -below);
    let mut consider = |(explained, scale): (f32, f32)| {
        if explained > best.0 {
            best = (explained, scale);
        }
        best.1
    };
    for step in -STEPS..=STEPS {
        let reach = below + 0.1 * f32::from(step);
        consider(refined(codes, -far / reach, numbers, weights));
        consider(refined(codes, far / reach, numbers, weights));
    }
    // The whole numbers may change once more by the scale that was best for them.
    let scale = consider((0.0, 0.0));
    consider(refined(codes, scale, numbers, weights))
}

/// How much of the squares the whole numbers of a scale explain, and the scale that is best for them.
fn refined(codes: Codes, scale: f32, numbers: &[f32], weights: &[f32]) -> (f32, f32) {
    let group = Group::new(scale, 0.0);
    let (mut products, mut squares) = (0.0_f32, 0.0_f32);
    for (number, weight) in numbers.iter().zip(weights) {
        let whole = f32::from(codes.nearest(group, *number)) - f32::from(codes.zero);
        products += weight * number * whole;
        squares += weight * whole * whole;
    }
    if squares > 0.0 { (products * products / squares, products / squares) } else { (0.0, 0.0) }
}

/// The scale and the minimum of the least weighted error: with whole numbers `l` the line `s l + m` of weighted least
/// squares.
pub(super) fn affine(codes: Codes, numbers: &[f32], weights: &[f32]) -> (f32, f32) {
    let most = numbers.iter().fold(f32::NEG_INFINITY, |most, number| most.max(*number));
    let mut least = numbers.iter().fold(f32::INFINITY, |least, number| least.min(*number));
    if codes.minimum == Minimum::NotPositive {
        least = least.min(0.0);
    }
    let range = most - least;
    if range <= 0.0 || !range.is_finite() {
        return (0.0, if least.is_finite() { least } else { 0.0 });
    }
    let greatest = f32::from(codes.greatest);
    let mut best = (f32::INFINITY, range / greatest, least);
    for step in -STEPS..=STEPS {
        let group = Group::new(range / (greatest + 0.1 * f32::from(step)), least);
        if let Some((scale, minimum)) = line(codes, group, numbers, weights) {
            let error = error(codes, Group::new(scale, minimum), numbers, weights);
            if error < best.0 {
                best = (error, scale, minimum);
            }
        }
    }
    (best.1, best.2)
}

/// The line through the codes that `group` gives the numbers.
fn line(codes: Codes, group: Group, numbers: &[f32], weights: &[f32]) -> Option<(f32, f32)> {
    let [mut all, mut of_codes, mut of_numbers, mut of_squares, mut of_products] = [0.0_f64; 5];
    for (number, weight) in numbers.iter().zip(weights) {
        let (code, weight, number) = (f64::from(codes.nearest(group, *number)), f64::from(*weight), f64::from(*number));
        all += weight;
        of_codes += weight * code;
        of_numbers += weight * number;
        of_squares += weight * code * code;
        of_products += weight * code * number;
    }
    let determinant = all * of_squares - of_codes * of_codes;
    let mut scale = (all * of_products - of_codes * of_numbers) / determinant;
    let mut minimum = (of_squares * of_numbers - of_codes * of_products) / determinant;
    if codes.minimum == Minimum::NotPositive && minimum > 0.0 {
        (scale, minimum) = (of_products / of_squares, 0.0);
    }
    let (scale, minimum) = (scale as f32, minimum as f32);
    (scale > 0.0 && scale.is_finite() && minimum.is_finite()).then_some((scale, minimum))
}

fn error(codes: Codes, group: Group, numbers: &[f32], weights: &[f32]) -> f32 {
    let squared = |(number, weight): (&f32, &f32)| {
        let left = group.scale * f32::from(codes.nearest(group, *number)) + group.minimum - number;
        weight * left * left
    };
    numbers.iter().zip(weights).map(squared).sum()
}
