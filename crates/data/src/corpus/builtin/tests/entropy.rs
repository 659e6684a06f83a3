//! Entropies worked out by hand, and measured ones.

use super::{GEOMETRIC, MUTUAL, OneOf, Source, TALES, derivations, language, rule, source};
use crate::corpus::builtin::entropy::Entropy;
use crate::corpus::builtin::linear::{groups, solve};
use crate::corpus::builtin::{BuiltinConfig, BuiltinCorpus};

fn assert_close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{actual} is not {expected}");
}

fn entropy(source: &Source) -> Entropy {
    language(source).entropy
}

#[test]
fn a_geometric_repetition_is_a_row_of_independent_characters() {
    let (p, q) = (0.75_f64, 0.25_f64);
    let rate = -p * p.ln() - q * q.ln();
    let entropy = entropy(&GEOMETRIC);
    assert_close(entropy.characters_per_tale, 4.0);
    assert_close(entropy.nats_per_tale, 4.0 * rate);
    assert_close(entropy.nats_per_character, rate);
    // The variance of -ln p of one character.
    assert_close(entropy.deviation, (p * q).sqrt() * (p / q).ln());
}

#[test]
fn nonterminals_that_call_each_other_are_solved_together() {
    // H(S) = ln 2 + H(T)/2, H(T) = h + 2/3 H(S) with h = ln 3 - 2/3 ln 2; L(S) = 1 + L(T)/2, L(T) = 1 + 2/3 L(S).
    let h = 3_f64.ln() - 2.0 / 3.0 * 2_f64.ln();
    let entropy = entropy(&MUTUAL);
    assert_close(entropy.nats_per_tale, 1.5 * (2_f64.ln() + h / 2.0));
    assert_close(entropy.characters_per_tale, 2.25);
    assert_close(entropy.nats_per_character, 1.5 * (2_f64.ln() + h / 2.0) / 2.25);
}

#[test]
fn brackets_and_calls_side_by_side_add_up() {
    // Expected calls of S by S: 2 * 1/4. H(S) = h / (1 - 1/2); L(S) = (3/4 * 1 + 1/4 * 2) / (1 - 1/2).
    const BRACKETS: Source = source(&[rule("S", OneOf(&[(1, "({S}{S})"), (3, "x")]))]);
    let entropy = entropy(&BRACKETS);
    let h = -(0.25 * 0.25_f64.ln() + 0.75 * 0.75_f64.ln());
    assert_close(entropy.nats_per_tale, 2.0 * h);
    assert_close(entropy.characters_per_tale, 2.5);
}

#[test]
fn a_language_of_one_text_has_no_entropy() {
    const ONE: Source = source(&[rule("S", OneOf(&[(7, "so {T} it was")])), rule("T", OneOf(&[(1, "be")]))]);
    let entropy = entropy(&ONE);
    assert_eq!((entropy.nats_per_tale, entropy.deviation), (0.0, 0.0));
    assert_close(entropy.characters_per_tale, 12.0);
}

#[test]
fn equations_are_solved_group_by_group() {
    // x0 = 1 + x1/2 + x2/4, x1 = 2 + x0/2, x2 = 3 + x2/4 + x2/4.
    let matrix = vec![vec![(1, 0.5), (2, 0.25)], vec![(0, 0.5)], vec![(2, 0.25), (2, 0.25)]];
    assert_eq!(groups(&matrix), vec![vec![2], vec![0, 1]]);
    let solution = solve(&matrix, &[1.0, 2.0, 3.0]).expect("not singular");
    for (actual, expected) in solution.into_iter().zip([14.0 / 3.0, 13.0 / 3.0, 6.0]) {
        assert_close(actual, expected);
    }
    assert_eq!(solve(&[vec![(0, 1.0)]], &[1.0]), None);
}

/// Means over 20000 tales, within four standard errors taken from the sample.
#[test]
fn length_and_code_length_of_tales_have_the_computed_means() {
    let language = language(&TALES);
    let tales = derivations(&language, 3, 20_000);
    let exact = language.entropy;
    for (values, expected) in [
        (tales.iter().map(|tale| tale.nats).collect::<Vec<_>>(), exact.nats_per_tale),
        (tales.iter().map(|tale| tale.text.len() as f64).collect(), exact.characters_per_tale),
    ] {
        let number = values.len() as f64;
        let mean = values.iter().sum::<f64>() / number;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (number - 1.0);
        let error = (variance / number).sqrt();
        assert!((mean - expected).abs() < 4.0 * error, "{mean} +- {error}, not {expected}");
        assert!(error < 0.01 * expected, "the test says too little");
    }
}

/// The code length a character of 3 million characters, within four standard errors as computed from the grammar.
#[test]
fn code_length_of_a_long_text_converges_to_the_entropy_rate() {
    let characters = 3_000_000;
    let corpus = BuiltinCorpus::new(&BuiltinConfig { characters, seed: 4 });
    let measured = corpus.code_length(0..characters) / characters as f64;
    let error = corpus.entropy().deviation / (characters as f64).sqrt();
    assert!((measured - corpus.entropy_rate()).abs() < 4.0 * error, "{measured} +- {error}");
    assert!(error < 0.005 * corpus.entropy_rate(), "the test says too little");
}

/// The spread of the code lengths of 600 stretches of 5000 characters: the standard error of a standard deviation
/// is one part in sqrt(2 * 600).
#[test]
fn code_lengths_spread_as_computed() {
    let (stretches, length) = (600, 5000);
    let corpus = BuiltinCorpus::new(&BuiltinConfig { characters: stretches * length, seed: 5 });
    let mut model = corpus.model();
    let text = corpus.text();
    let mean = corpus.entropy_rate() * length as f64;
    let mut squares = 0.0;
    for stretch in text.as_bytes().chunks(length as usize) {
        let nats = stretch.iter().map(|&byte| model.advance(char::from(byte)).expect("a tale")).sum::<f64>();
        squares += (nats - mean).powi(2);
    }
    let measured = (squares / (stretches * length) as f64).sqrt();
    let exact = corpus.entropy().deviation;
    assert!((measured / exact - 1.0).abs() < 4.0 / (2.0 * stretches as f64).sqrt(), "{measured}, not {exact}");
}
