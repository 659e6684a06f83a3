//! A text of the tales has one derivation.

use super::chart::Chart;
use super::prefix_code::conflict;
use super::{AMBIGUOUS, GEOMETRIC, MUTUAL, NESTED, OneOf, Source, TALES, derivations, language, rule, source};

fn conflict_in(source: &Source) -> Option<(String, usize, usize)> {
    let language = language(source);
    let found = conflict(&language.program, language.grammar.nonterminals.len());
    found.map(|(place, first, second)| (language.grammar.nonterminals[place].name.clone(), first, second))
}

#[test]
fn no_alternative_of_the_tales_begins_with_another_one() {
    assert_eq!(conflict_in(&TALES), None);
}

#[test]
fn alternatives_that_part_late_are_told_apart() {
    assert_eq!(conflict_in(&GEOMETRIC), None);
    assert_eq!(conflict_in(&MUTUAL), None);
    assert_eq!(conflict_in(&NESTED), None);
}

#[test]
fn alternatives_that_begin_alike_to_the_end_are_found() {
    const CAT: Source =
        source(&[rule("S", OneOf(&[(1, "{T}!")])), rule("T", OneOf(&[(1, "dog"), (1, "cat"), (1, "catfish")]))]);
    assert_eq!(conflict_in(&CAT), Some(("T".into(), 1, 2)));
    assert_eq!(conflict_in(&AMBIGUOUS), Some(("S".into(), 0, 1)));
}

#[test]
fn every_tale_has_one_derivation_and_it_is_the_one_that_wrote_it() {
    let language = language(&TALES);
    for derivation in derivations(&language, 1, 300) {
        let mut chart = Chart::new(&language.grammar, &derivation.text);
        assert_eq!(chart.derivations(), 1, "{}", derivation.text);
        assert_eq!(chart.choices(), derivation.choices, "{}", derivation.text);
    }
}

#[test]
fn choices_lead_back_to_the_text() {
    let language = language(&TALES);
    for derivation in derivations(&language, 2, 300) {
        let mut choices = derivation.choices.into_iter();
        let mut text = String::new();
        language.program.derive(&mut text, |_| choices.next().expect("as many choices as before"));
        assert_eq!(text, derivation.text);
        assert_eq!(choices.next(), None);
    }
}

#[test]
fn the_chart_counts_two_derivations_where_there_are_two() {
    let grammar = language(&AMBIGUOUS).grammar;
    assert_eq!(Chart::new(&grammar, "abc").derivations(), 2);
    assert_eq!(Chart::new(&grammar, "bc").derivations(), 1);
    assert_eq!(Chart::new(&grammar, "abd").derivations(), 0);
}
