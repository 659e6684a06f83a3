//! The probability of each next character, against slower ways to it.

use super::{GEOMETRIC, NESTED, TALES, derivations, language};
use crate::corpus::builtin::grammar::{Grammar, Symbol};
use crate::corpus::builtin::{BuiltinConfig, BuiltinCorpus, CharacterModel, ImpossibleCharacter};

/// The probability that an endless sequence of texts begins with `text`, by its definition: the sum over all ways to
/// rewrite what is still to be written, `form` from its end.
fn prefix_probability(grammar: &Grammar, form: &[Symbol], text: &str) -> f64 {
    if text.is_empty() {
        return 1.0;
    }
    match form.split_last() {
        None => prefix_probability(grammar, &[Symbol::Nonterminal(grammar.start)], text),
        Some((Symbol::Text(written), rest)) => {
            let common = written.len().min(text.len());
            if written.as_bytes()[..common] != text.as_bytes()[..common] {
                return 0.0;
            }
            prefix_probability(grammar, rest, &text[common..])
        }
        Some((Symbol::Nonterminal(nonterminal), rest)) => {
            let nonterminal = &grammar.nonterminals[*nonterminal];
            let alternatives = nonterminal.alternatives.iter();
            let through = alternatives.map(|alternative| {
                let form: Vec<Symbol> = rest.iter().chain(alternative.symbols.iter().rev()).cloned().collect();
                nonterminal.probability(alternative) * prefix_probability(grammar, &form, text)
            });
            through.sum()
        }
    }
}

/// The code length of the first `end` characters, each number on the way compared with the definition.
fn assert_prefix_probabilities(source: &super::Source, characters: usize) {
    let language = language(source);
    let text: String = derivations(&language, 6, 100).into_iter().map(|derivation| derivation.text).collect();
    let mut model = CharacterModel::new(language.program.clone());
    let mut nats = 0.0;
    for end in 1..=characters {
        nats += model.advance(char::from(text.as_bytes()[end - 1])).expect("text of the language");
        let expected = -prefix_probability(&language.grammar, &[], &text[..end]).ln();
        assert!((nats - expected).abs() < 1e-9, "{nats}, not {expected}, for {:?}", &text[..end]);
    }
}

#[test]
fn prefix_probabilities_are_sums_over_all_derivations() {
    assert_prefix_probabilities(&GEOMETRIC, 100);
    assert_prefix_probabilities(&NESTED, 200);
    assert_prefix_probabilities(&TALES, 1200);
}

#[test]
fn a_geometric_repetition_has_the_same_distribution_everywhere() {
    let mut model = CharacterModel::new(language(&GEOMETRIC).program);
    for character in "aabababbbaaaaaaaab".chars() {
        assert_eq!(model.next_distribution(), vec![('a', 0.75), ('b', 0.25)]);
        let expected: f64 = if character == 'a' { 0.75 } else { 0.25 };
        assert_eq!(model.advance(character), Ok(-expected.ln()));
    }
}

#[test]
fn the_code_length_of_a_tale_is_that_of_its_derivation() {
    let language = language(&TALES);
    let mut model = CharacterModel::new(language.program.clone());
    for derivation in derivations(&language, 7, 1000) {
        let nats: f64 = derivation.text.chars().map(|character| model.advance(character).expect("a tale")).sum();
        assert!((nats - derivation.nats).abs() < 1e-9, "{nats}, not {}, for {}", derivation.nats, derivation.text);
    }
}

#[test]
fn distributions_sum_to_one_and_give_the_code_lengths() {
    let corpus = BuiltinCorpus::new(&BuiltinConfig { characters: 30_000, seed: 8 });
    let mut model = corpus.model();
    for character in corpus.text().chars() {
        let distribution = model.next_distribution();
        assert!(distribution.is_sorted_by(|a, b| a.0 < b.0));
        let sum: f64 = distribution.iter().map(|(_, probability)| probability).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum} at {}", model.position());
        let (_, probability) = distribution.into_iter().find(|(next, _)| *next == character).expect("possible");
        let nats = model.advance(character).expect("a tale");
        assert!((nats + probability.ln()).abs() < 1e-12);
        assert!(nats >= 0.0);
    }
    assert_eq!(model.position(), 30_000);
}

#[test]
fn an_impossible_character_is_refused_and_changes_nothing() {
    let mut model = BuiltinCorpus::new(&BuiltinConfig::default()).model();
    for character in "Anna and the ".chars() {
        model.advance(character).expect("a title");
    }
    let before = model.next_distribution();
    for character in ['s', '\n', 'é', '\u{1F98A}'] {
        assert_eq!(model.advance(character), Err(ImpossibleCharacter { character, position: 13 }));
    }
    assert_eq!(model.next_distribution(), before);
    assert!((model.advance('W').expect("a wooden flute") - (21.0_f64 / 2.0).ln()).abs() < 1e-12);
}

/// Nesting that goes on for longer than frames are kept without cleaning.
#[test]
fn open_brackets_are_remembered_however_many_there_are() {
    let mut model = CharacterModel::new(language(&NESTED).program);
    let depth = 40_000;
    for _ in 0..depth {
        model.advance('(').expect("always possible");
    }
    for place in 0..depth {
        for character in if place == 0 { "abeabe)".chars() } else { "abe)".chars() } {
            model.advance(character).expect("a bracket to close");
        }
    }
    assert_eq!(model.next_distribution().iter().map(|(next, _)| *next).collect::<String>(), "(a");
}
