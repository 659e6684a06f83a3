//! What makes a grammar unsound.

use super::{Body, Domain, Each, OneOf, Rule, Source, language, rule, source};
use crate::corpus::builtin::corpus::Language;
use crate::corpus::builtin::grammar::Symbol;
use crate::corpus::builtin::source::{GrammarError, Piece, parse_template};

const DOMAINS: &[Domain] = &[Domain {
    name: "pet",
    attributes: &["name", "sound"],
    values: &[(2, &["cat", "purrs"]), (1, &["dog", "barks"])],
}];

fn error(source: &Source) -> GrammarError {
    Language::new(source).expect_err("an unsound grammar")
}

/// The error of a grammar whose start has this body, beside a rule `T` that must be given a pet.
macro_rules! error_of {
    ($body:expr) => {{
        const BODY: Body = $body;
        const RULES: &[Rule] =
            &[rule("S", BODY), Rule { name: "T", given: &["pet"], body: OneOf(&[(1, "the {pet.name}")]) }];
        error(&Source { start: "S", domains: DOMAINS, rules: RULES })
    }};
}

fn unknown(name: &str) -> GrammarError {
    GrammarError::Unknown { rule: "S".into(), name: name.into() }
}

fn not_given(name: &str) -> GrammarError {
    GrammarError::NotGiven { rule: "S".into(), name: name.into(), domain: "pet".into() }
}

#[test]
fn templates_fall_apart_into_text_rules_and_attributes() {
    let attribute = Piece::Attribute { domain: "b", attribute: "c" };
    assert_eq!(
        parse_template("x {a}{b.c}."),
        Some(vec![Piece::Text("x "), Piece::Rule("a"), attribute, Piece::Text(".")])
    );
    for broken in ["{a", "a}", "{a{b}}", "{a}}"] {
        assert_eq!(parse_template(broken), None, "{broken}");
    }
}

#[test]
fn rules_are_copied_for_the_values_they_are_given() {
    const PETS: Source = Source {
        start: "S",
        domains: DOMAINS,
        rules: &[
            rule("S", Each("pet", "The {pet.name} {T}")),
            Rule { name: "T", given: &["pet"], body: OneOf(&[(3, "{pet.sound}."), (1, "and {S}")]) },
        ],
    };
    let grammar = language(&PETS).grammar;
    let names: Vec<&str> = grammar.nonterminals.iter().map(|nonterminal| nonterminal.name.as_str()).collect();
    assert_eq!(names, ["S", "T(cat)", "T(dog)"]);
    assert_eq!(
        grammar.nonterminals[0].alternatives[1].symbols,
        [Symbol::Text("The dog ".into()), Symbol::Nonterminal(2)]
    );
    assert_eq!(grammar.nonterminals[2].alternatives[0].symbols, [Symbol::Text("barks.".into())]);
    assert_eq!(grammar.nonterminals[0].weight, 3);
}

#[test]
fn names_must_be_known_and_values_given() {
    assert_eq!(error_of!(OneOf(&[(1, "x {nobody}")])), unknown("nobody"));
    assert_eq!(error_of!(Each("pet", "{pet.colour}")), unknown("pet.colour"));
    assert_eq!(error_of!(Each("car", "x")), unknown("car"));
    assert_eq!(error_of!(OneOf(&[(1, "{pet.name}")])), not_given("pet.name"));
    assert_eq!(error_of!(OneOf(&[(1, "{T}")])), not_given("T"));
}

#[test]
fn alternatives_must_have_text_and_weight() {
    let rule = || "S".to_string();
    assert_eq!(error_of!(OneOf(&[(1, "x"), (1, "")])), GrammarError::Empty { rule: rule() });
    assert_eq!(error_of!(OneOf(&[])), GrammarError::Empty { rule: rule() });
    assert_eq!(error_of!(OneOf(&[(0, "x")])), GrammarError::Weight { rule: rule() });
    assert_eq!(error_of!(OneOf(&[(u32::MAX, "x"), (1, "y")])), GrammarError::Weight { rule: rule() });
    assert_eq!(error_of!(OneOf(&[(1, "caf\u{e9}")])), GrammarError::NotAscii { rule: rule() });
    assert_eq!(error_of!(OneOf(&[(1, "{x")])), GrammarError::Brace { rule: rule(), template: "{x".into() });
}

#[test]
fn a_rule_must_not_begin_with_itself() {
    const DIRECT: Source = source(&[rule("S", OneOf(&[(1, "{S}a"), (1, "b")]))]);
    const ROUNDABOUT: Source = source(&[
        rule("S", OneOf(&[(1, "x{T}")])),
        rule("T", OneOf(&[(1, "{U}a"), (1, "b")])),
        rule("U", OneOf(&[(1, "{T}")])),
    ]);
    assert_eq!(error(&DIRECT), GrammarError::LeftRecursion { rule: "S".into() });
    assert_eq!(error(&ROUNDABOUT), GrammarError::LeftRecursion { rule: "T".into() });
}

#[test]
fn a_rule_must_come_to_an_end() {
    const FOR_EVER: Source = source(&[rule("S", OneOf(&[(1, "a{S}")]))]);
    const MORE_AND_MORE: Source = source(&[rule("S", OneOf(&[(2, "a{S}{S}"), (1, "b")]))]);
    assert_eq!(error(&FOR_EVER), GrammarError::Endless { rule: "S".into() });
    assert_eq!(error(&MORE_AND_MORE), GrammarError::Endless { rule: "S".into() });
}
