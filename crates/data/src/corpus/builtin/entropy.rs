//! The exact entropy of a grammar.

use super::grammar::{Alternative, Grammar, Nonterminal};
use super::linear::solve;
use super::source::GrammarError;

/// What is known exactly about an endless sequence of independent texts of an unambiguous grammar.
///
/// For an unambiguous grammar the probability of a text is that of its only derivation, so that the entropy of the
/// text is the entropy of the derivation. With p_i the probability of alternative i of the nonterminal A, and B over
/// the nonterminals in alternative i:
///
/// ```text
/// H(A) = sum_i p_i ( -ln p_i + sum_B H(B) )      entropy of what A yields, nats
/// L(A) = sum_i p_i ( characters_i + sum_B L(B) ) expected length of what A yields, characters
/// ```
///
/// These are linear equations with one solution. The entropy a character of the sequence is H(S) / L(S) for the start
/// symbol S, by the renewal theorem.
///
/// Sources: U. Grenander, "Syntax-controlled probabilities", Brown University, 1967; S. Soule, "Entropies of
/// probabilistic grammars", Information and Control 25(1), 57-74, 1974 (entropies of a derivation, of a sentence, and
/// of a character in a stream of sentences).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entropy {
    /// Entropy of one tale, in nats.
    pub nats_per_tale: f64,
    /// Expected length of one tale, in characters, with the blank line after it.
    pub characters_per_tale: f64,
    /// Entropy rate: the least expected loss that any model of the characters can have, in nats a character.
    pub nats_per_character: f64,
    /// Standard deviation of the code length: that of n characters has mean n * `nats_per_character` and standard
    /// deviation `deviation` * sqrt(n), for large n, and is normal in the limit. In nats.
    pub deviation: f64,
}

impl Entropy {
    /// Solves the equations of `grammar`.
    ///
    /// # Errors
    /// If the expected length of a text is not finite.
    pub(super) fn of(grammar: &Grammar) -> Result<Self, GrammarError> {
        let matrix: Vec<_> = grammar.nonterminals.iter().map(expected_calls).collect();
        let endless = |place: usize| GrammarError::Endless { rule: grammar.nonterminals[place].name.clone() };
        let expect = |constants: &[f64]| solve(&matrix, constants).ok_or_else(|| endless(grammar.start));

        let lengths = expect(&each_expected(grammar, |_, alternative| alternative.characters() as f64))?;
        // A matrix without negative entries has a solution without negative entries exactly if the expected numbers of
        // calls add up to a finite sum (theorem of Perron and Frobenius).
        if let Some(place) = lengths.iter().position(|length| !length.is_finite() || *length < 0.0) {
            return Err(endless(place));
        }
        let entropies = expect(&each_expected(grammar, surprise))?;
        let rate = entropies[grammar.start] / lengths[grammar.start];

        // The excess X(A) = code length - rate * length of what A yields. Its mean over a tale is zero, and the
        // variance of a tale's excess over the expected length is the variance a character of the sum (central limit
        // theorem for renewal-reward processes). Second moments solve linear equations of the same matrix: E X(A)^2 =
        // sum_i p_i ( (c_i + sum_B E X(B))^2 + sum_B (E X(B)^2 - (E X(B))^2) ), c_i of alternative i itself.
        let excess: Vec<f64> = entropies.iter().zip(&lengths).map(|(nats, length)| nats - rate * length).collect();
        let squares = expect(&each_expected(grammar, |nonterminal, alternative| {
            let own = surprise(nonterminal, alternative) - rate * alternative.characters() as f64;
            let mean = own + alternative.calls().map(|called| excess[called]).sum::<f64>();
            mean * mean - alternative.calls().map(|called| excess[called] * excess[called]).sum::<f64>()
        }))?;
        Ok(Self {
            nats_per_tale: entropies[grammar.start],
            characters_per_tale: lengths[grammar.start],
            nats_per_character: rate,
            deviation: (squares[grammar.start] / lengths[grammar.start]).max(0.0).sqrt(),
        })
    }
}

fn surprise(nonterminal: &Nonterminal, alternative: &Alternative) -> f64 {
    -nonterminal.probability(alternative).ln()
}

/// For each nonterminal the expected value of a quantity of its alternatives.
fn each_expected(grammar: &Grammar, quantity: impl Fn(&Nonterminal, &Alternative) -> f64) -> Vec<f64> {
    let expected = |nonterminal: &Nonterminal| {
        let alternatives = nonterminal.alternatives.iter();
        alternatives.map(|alternative| nonterminal.probability(alternative) * quantity(nonterminal, alternative)).sum()
    };
    grammar.nonterminals.iter().map(expected).collect()
}

/// How often a nonterminal is expected to call each other one directly.
fn expected_calls(nonterminal: &Nonterminal) -> Vec<(usize, f64)> {
    let calls = |alternative| {
        let probability = nonterminal.probability(alternative);
        alternative.calls().map(move |called| (called, probability))
    };
    nonterminal.alternatives.iter().flat_map(calls).collect()
}
