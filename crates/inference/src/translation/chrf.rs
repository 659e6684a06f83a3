//! chrF, as `sacrebleu` computes it by default: characters up to 6-grams, blanks left out, beta 2.

use std::collections::HashMap;

const ORDER: usize = 6;
const BETA: f64 = 2.0;

/// chrF2 of a corpus, 0 to 100 (Popovic 2015, <https://doi.org/10.18653/v1/W15-3049>): pairs of what was written and
/// what it should be.
pub fn corpus_chrf<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
    // For each order: n-grams that were written, of the reference, and in both.
    let mut statistics = [[0_u64; 3]; ORDER];
    for (written, reference) in pairs {
        let [written, reference] = [written, reference].map(characters);
        for (order, [of_written, of_reference, of_both]) in (1..).zip(&mut statistics) {
            let (found, expected) = (counts(&written, order), counts(&reference, order));
            let of_this = expected.values().sum::<u64>();
            // A line whose reference has no n-gram of this order counts nothing there.
            *of_written += if of_this > 0 { found.values().sum::<u64>() } else { 0 };
            *of_reference += of_this;
            *of_both +=
                found.iter().map(|(gram, count)| (*count).min(expected.get(gram).copied().unwrap_or(0))).sum::<u64>();
        }
    }
    let (mut precision, mut recall, mut effective) = (0.0, 0.0, 0);
    for [written, reference, both] in statistics {
        if written > 0 && reference > 0 {
            precision += both as f64 / written as f64;
            recall += both as f64 / reference as f64;
            effective += 1;
        }
    }
    if effective == 0 {
        return 0.0;
    }
    let [precision, recall] = [precision, recall].map(|sum| sum / f64::from(effective));
    if precision + recall == 0.0 {
        return 0.0;
    }
    let factor = BETA * BETA;
    100.0 * (1.0 + factor) * precision * recall / (factor * precision + recall)
}

fn characters(line: &str) -> Vec<char> {
    line.chars().filter(|character| !character.is_whitespace()).collect()
}

fn counts(characters: &[char], order: usize) -> HashMap<&[char], u64> {
    let mut counts = HashMap::new();
    for gram in characters.windows(order) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}
