//! Which of the tokens may be drawn.

use super::config::{SamplerConfig, Xtc};

/// The logit of a token that may not be chosen. Finite, so that an infinite one still says that a model is broken.
pub(crate) const EXCLUDED: f32 = f32::MIN;

/// No score of a token that may be chosen is so low, and one that may not be stays below it whatever a penalty makes of
/// it.
const LEAST: f64 = f32::MIN as f64 * 1e-6;

/// A token with its probability relative to the likeliest token's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weighted {
    pub(super) token: u32,
    pub(super) weight: f64,
}

impl Weighted {
    /// Likelier first, then by number: a total order, so that every choice among equals is settled.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        other.weight.total_cmp(&self.weight).then(self.token.cmp(&other.token))
    }
}

/// What the filters know beside the settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// Whether XTC acts on this draw.
    pub(super) excludes_top: bool,
    /// Mirostat's bound on the surprise, in bits.
    pub(super) bound: f64,
}

/// Temperature and filters; at least one token is left, with a weight above 0. In the order of the tokens' numbers.
pub(super) fn filter<S: Copy + Into<f64>>(
    config: &SamplerConfig,
    scores: &[S],
    highest: f64,
    circumstances: Circumstances,
    candidates: &mut Vec<Weighted>,
) {
    candidates.clear();
    let temperature = f64::from(config.temperature);
    // At most 0, and exactly 0 for the likeliest: nothing overflows and the sum of the weights is never 0.
    let exponent = |score: f64| (score - highest) / temperature;
    let sigma = config.top_n_sigma.map(|count| highest - f64::from(count) * deviation(scores));
    // Penalties of the greatest size may bring all tokens below what is left out; the likeliest stays.
    let floor = sigma.unwrap_or(LEAST).max(LEAST).min(highest);
    let allowed = scores.iter().map(|&score| score.into()).enumerate().filter(|&(_, score)| score >= floor);
    let allowed = allowed.map(|(token, score)| Weighted { token: token as u32, weight: exponent(score) });
    match config.top_k {
        Some(count) if count < scores.len() => keep_highest(allowed, count, candidates),
        _ => candidates.extend(allowed),
    }
    candidates.iter_mut().for_each(|candidate| candidate.weight = candidate.weight.exp());
    if let Some(count) = config.top_k {
        keep_likeliest(candidates, count);
    }
    if let Some(share) = config.top_p.filter(|&share| share < 1.0) {
        keep_share(candidates, share);
    }
    if let Some(share) = config.min_p {
        candidates.retain(|candidate| candidate.weight as f32 >= share);
    }
    if let Some(share) = config.typical_p.filter(|&share| share < 1.0) {
        keep_typical(candidates, share);
    }
    if let Some(xtc) = config.xtc.filter(|_| circumstances.excludes_top) {
        exclude_top(candidates, xtc);
    }
    if config.mirostat.is_some() {
        keep_expected(candidates, circumstances.bound);
    }
    // The filters leave some order of theirs; a draw must depend on the numbers alone.
    if !candidates.is_sorted_by_key(|candidate| candidate.token) {
        candidates.sort_unstable_by_key(|candidate| candidate.token);
    }
}

/// The standard deviation of all scores that may be chosen, around their mean.
fn deviation<S: Copy + Into<f64>>(scores: &[S]) -> f64 {
    let scores = || scores.iter().map(|&score| score.into()).filter(|&score| score > LEAST);
    let count = scores().count() as f64;
    let mean = scores().sum::<f64>() / count;
    (scores().map(|score| (score - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// Collects the candidates that may be among the `count` likeliest, given with exponents in the place of weights, so
/// that the exponential function is computed for few. Those that it might make equal to the last one all stay.
fn keep_highest(candidates: impl Iterator<Item = Weighted>, count: usize, kept: &mut Vec<Weighted>) {
    // Exponents this near may have the same exponential; below -700 it loses its digits.
    const NEAR: f64 = 1e-12;
    const LOST: f64 = -700.0;
    let mut floor = f64::NEG_INFINITY;
    let mut limit = 2 * count + 64;
    let tighten = |kept: &mut Vec<Weighted>, floor: &mut f64| {
        if kept.len() > count {
            kept.select_nth_unstable_by(count - 1, Weighted::order);
            let last = kept[count - 1].weight;
            *floor = if last < LOST { f64::NEG_INFINITY } else { last - NEAR * (1.0 - last) };
            kept.retain(|candidate| candidate.weight >= *floor);
        }
    };
    for candidate in candidates {
        if candidate.weight >= floor {
            kept.push(candidate);
            if kept.len() >= limit {
                tighten(kept, &mut floor);
                // Where many are equal, a look at them all is worth it only now and then.
                limit = limit.max(2 * kept.len());
            }
        }
    }
    tighten(kept, &mut floor);
}

/// Keeps the `count` likeliest candidates.
fn keep_likeliest(candidates: &mut Vec<Weighted>, count: usize) {
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count - 1, Weighted::order);
        candidates.truncate(count);
    }
}

/// Keeps the smallest set of likeliest candidates that together reach `share` of the whole. Compared in single
/// precision, as `share` was written: in double precision 0.5 + 0.3 would not reach the 0.8 of a configuration.
fn keep_share(candidates: &mut Vec<Weighted>, share: f32) {
    // Few reach it mostly: no more are put in order than are needed, some at a time.
    const FIRST: usize = 64;
    const GROWTH: usize = 4;
    let total = total(candidates);
    let (mut ordered, mut count, mut reached) = (0, FIRST, 0.0);
    while ordered < candidates.len() {
        let rest = &mut candidates[ordered..];
        if count < rest.len() {
            rest.select_nth_unstable_by(count - 1, Weighted::order);
        }
        let next = rest.len().min(count);
        let next = &mut rest[..next];
        next.sort_unstable_by(Weighted::order);
        for candidate in next {
            reached += candidate.weight;
            ordered += 1;
            if (reached / total) as f32 >= share {
                candidates.truncate(ordered);
                return;
            }
        }
        count *= GROWTH;
    }
}

/// The place of the first candidate with which, in their order, `share` of the whole is reached.
fn place_of_share(candidates: &[Weighted], share: f32) -> Option<usize> {
    let total = total(candidates);
    let mut reached = 0.0;
    candidates.iter().position(|candidate| {
        reached += candidate.weight;
        (reached / total) as f32 >= share
    })
}

/// Keeps the candidates whose surprise is nearest to the entropy and that together reach `share` of the whole.
fn keep_typical(candidates: &mut Vec<Weighted>, share: f32) {
    let total = total(candidates);
    let surprise = |candidate: &Weighted| -(candidate.weight / total).ln();
    // What has no probability adds nothing.
    let possible = candidates.iter().filter(|candidate| candidate.weight > 0.0);
    let entropy: f64 = possible.map(|candidate| candidate.weight / total * surprise(candidate)).sum();
    let distance = |candidate: &Weighted| (surprise(candidate) - entropy).abs();
    candidates.sort_by(|one, other| distance(one).total_cmp(&distance(other)).then(one.token.cmp(&other.token)));
    if let Some(last) = place_of_share(candidates, share) {
        let farthest = distance(&candidates[last]);
        candidates.retain(|candidate| distance(candidate) <= farthest);
    }
}

/// Leaves all candidates out that reach the threshold, but the least likely of them.
fn exclude_top(candidates: &mut Vec<Weighted>, xtc: Xtc) {
    let total = total(candidates);
    let reaches = |candidate: &Weighted| (candidate.weight / total) as f32 >= xtc.threshold;
    let last = candidates.iter().filter(|candidate| reaches(candidate)).copied().max_by(Weighted::order);
    if let Some(last) = last {
        candidates.retain(|candidate| !reaches(candidate) || candidate.token == last.token);
    }
}

/// Keeps the candidates whose surprise is at most `bound` bits, or else the likeliest.
fn keep_expected(candidates: &mut Vec<Weighted>, bound: f64) {
    let total = total(candidates);
    let likeliest = candidates.iter().copied().min_by(Weighted::order);
    candidates.retain(|candidate| -(candidate.weight / total).log2() <= bound);
    if candidates.is_empty() {
        candidates.extend(likeliest);
    }
}

pub(super) fn total(candidates: &[Weighted]) -> f64 {
    candidates.iter().map(|candidate| candidate.weight).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Weighted, keep_share, total};

    /// As it is defined: everything in order, then the first ones.
    fn by_sorting(mut candidates: Vec<Weighted>, share: f32) -> Vec<u32> {
        candidates.sort_by(Weighted::order);
        let (total, mut reached) = (total(&candidates), 0.0);
        let mut kept = Vec::new();
        for candidate in candidates {
            reached += candidate.weight;
            kept.push(candidate.token);
            if (reached / total) as f32 >= share {
                break;
            }
        }
        kept
    }

    proptest! {
        /// Flat and steep distributions, with equals among them.
        #[test]
        fn a_share_is_that_of_all_candidates_in_order(
            levels in proptest::collection::vec(0_u32..200, 1..3000),
            steepness in 0.0_f64..0.5,
            share in 0.001_f32..1.0,
        ) {
            let weighted = |(token, level): (usize, &u32)| Weighted {
                token: token as u32,
                weight: (-steepness * f64::from(*level)).exp(),
            };
            let mut candidates: Vec<Weighted> = levels.iter().enumerate().map(weighted).collect();
            let expected = by_sorting(candidates.clone(), share);
            keep_share(&mut candidates, share);
            prop_assert_eq!(candidates.iter().map(|kept| kept.token).collect::<Vec<u32>>(), expected);
        }
    }
}
