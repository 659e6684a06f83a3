//! Tests of the built-in corpus: against grammars worked out by hand, against slow and independent ways to the same
//! numbers, and of the tales themselves.

mod chart;
mod corpus;
mod entropy;
mod grammar;
mod prefix_code;
mod probability;
mod tales;
mod unambiguity;

use std::sync::Arc;

use rand_chacha::rand_core::Rng;

use super::entropy::Entropy;
use super::generate::{draw, random_words};
use super::grammar::Grammar;
use super::program::Program;
use super::source::Body::{Each, OneOf};
use super::source::{Body, Domain, Rule, Source};
use super::tales::TALES;

/// A source without domains.
const fn source(rules: &'static [Rule]) -> Source {
    Source { start: "S", domains: &[], rules }
}

/// A rule that is given nothing.
const fn rule(name: &'static str, body: Body) -> Rule {
    Rule { name, given: &[], body }
}

/// Any number of `a`, then `b`: the length is geometric, and each character is an independent draw.
const GEOMETRIC: Source = source(&[rule("S", OneOf(&[(3, "a{S}"), (1, "b")]))]);

/// Two nonterminals that call each other.
const MUTUAL: Source =
    source(&[rule("S", OneOf(&[(1, "x{T}"), (1, "y")])), rule("T", OneOf(&[(2, "z{S}"), (1, "w")]))]);

/// Alternatives that look alike for a while, and brackets that must be closed: not a regular language.
const NESTED: Source = source(&[
    rule("S", OneOf(&[(4, "ab{T}c"), (2, "aba{S}e"), (1, "({S}{S})"), (5, "abe")])),
    rule("T", OneOf(&[(2, "x"), (1, "y{T}"), (1, "c")])),
]);

/// One text with two derivations.
const AMBIGUOUS: Source = source(&[
    rule("S", OneOf(&[(1, "{T}c"), (1, "a{U}")])),
    rule("T", OneOf(&[(1, "ab"), (1, "b")])),
    rule("U", OneOf(&[(1, "bc"), (1, "d")])),
]);

/// A grammar in all its forms.
struct Language {
    grammar: Grammar,
    program: Arc<Program>,
    entropy: Entropy,
}

fn language(source: &Source) -> Language {
    let grammar = Grammar::build(source).expect("a sound grammar");
    let entropy = Entropy::of(&grammar).expect("a grammar that comes to an end");
    Language { program: Arc::new(Program::new(&grammar)), grammar, entropy }
}

/// A text of a language with the alternatives it was made by, leftmost first, and its code length as a product of their
/// probabilities.
struct Derivation {
    text: String,
    choices: Vec<usize>,
    nats: f64,
}

/// The first texts of a language, from the same random numbers that the corpus of this seed is written with.
fn derivations(language: &Language, seed: u64, number: usize) -> Vec<Derivation> {
    let mut generator = random_words(seed);
    let mut derive = || {
        let (mut text, mut choices, mut nats) = (String::new(), Vec::new(), 0.0);
        language.program.derive(&mut text, |entries| {
            let choice = draw(entries, || generator.next_u32());
            choices.push(choice);
            nats -= entries[choice].probability.ln();
            choice
        });
        Derivation { text, choices, nats }
    };
    (0..number).map(|_| derive()).collect()
}
