//! BLEU, as `sacrebleu` computes it by default: its tokenizer `13a`, case kept, one reference, exponential smoothing.

use std::collections::HashMap;

/// The longest n-grams that are counted.
const ORDER: usize = 4;

/// BLEU of a corpus, 0 to 100 (Papineni et al. 2002, <https://doi.org/10.3115/1073083.1073135>; Post 2018,
/// <https://arxiv.org/abs/1804.08771>): pairs of what was written and what it should be.
pub fn corpus_bleu<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
    let (mut correct, mut total) = ([0_u64; ORDER], [0_u64; ORDER]);
    let (mut written_length, mut reference_length) = (0, 0);
    for (written, reference) in pairs {
        let [written, reference] = [written, reference].map(words);
        written_length += written.len();
        reference_length += reference.len();
        for order in 0..ORDER {
            let (found, expected) = (counts(&written, order + 1), counts(&reference, order + 1));
            total[order] += found.values().sum::<u64>();
            correct[order] +=
                found.iter().map(|(gram, count)| (*count).min(expected.get(gram).copied().unwrap_or(0))).sum::<u64>();
        }
    }
    if correct.iter().all(|count| *count == 0) {
        return 0.0;
    }
    let (mut smoothing, mut logarithms) = (1.0, 0.0);
    for order in 0..ORDER {
        if total[order] == 0 {
            // Texts without a 4-gram have no BLEU.
            return 0.0;
        }
        let precision = if correct[order] == 0 {
            smoothing *= 2.0;
            100.0 / (smoothing * total[order] as f64)
        } else {
            100.0 * correct[order] as f64 / total[order] as f64
        };
        logarithms += precision.ln();
    }
    let ratio = reference_length as f64 / written_length.max(1) as f64;
    let brevity = if written_length < reference_length { (1.0 - ratio).exp() } else { 1.0 };
    brevity * (logarithms / ORDER as f64).exp()
}

fn counts<'a>(words: &'a [String], order: usize) -> HashMap<&'a [String], u64> {
    let mut counts = HashMap::new();
    for gram in words.windows(order) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}

/// The words of a line by the tokenizer of mteval-v13a: punctuation stands alone, but for full stops and commas within
/// numbers and hyphens that follow no digit.
fn words(line: &str) -> Vec<String> {
    let line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let line = line.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    let characters: Vec<char> = format!(" {line} ").chars().collect();
    let apart = |character: char| matches!(character, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/');
    let mut text: Vec<char> = Vec::new();
    for character in characters {
        if apart(character) {
            text.extend([' ', character, ' ']);
        } else {
            text.push(character);
        }
    }
    let is_digit = |character: char| character.is_ascii_digit();
    // Each rule consumes what it matches, as a regular expression does.
    let text = pairs_apart(
        &text,
        |first, second| !is_digit(first) && matches!(second, '.' | ','),
        |first, second| vec![first, ' ', second, ' '],
    );
    let text = pairs_apart(
        &text,
        |first, second| matches!(first, '.' | ',') && !is_digit(second),
        |first, second| vec![' ', first, ' ', second],
    );
    let text = pairs_apart(
        &text,
        |first, second| is_digit(first) && second == '-',
        |first, second| vec![first, ' ', second, ' '],
    );
    let text: String = text.into_iter().collect();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Replaces pairs of neighbours that fit, from the left, none of them twice.
fn pairs_apart(
    text: &[char],
    fits: impl Fn(char, char) -> bool,
    replaced: impl Fn(char, char) -> Vec<char>,
) -> Vec<char> {
    let (mut found, mut place) = (Vec::with_capacity(text.len() + 8), 0);
    while place < text.len() {
        match text.get(place + 1) {
            Some(second) if fits(text[place], *second) => {
                found.extend(replaced(text[place], *second));
                place += 2;
            }
            _ => {
                found.push(text[place]);
                place += 1;
            }
        }
    }
    found
}
