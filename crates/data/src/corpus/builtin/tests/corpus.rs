//! The corpus as a whole: ranges, pieces, seeds and settings.

use crate::corpus::builtin::generate::draw;
use crate::corpus::builtin::program::Entry;
use crate::corpus::builtin::{BuiltinConfig, BuiltinCorpus};

fn corpus(characters: u64, seed: u64) -> BuiltinCorpus {
    BuiltinCorpus::new(&BuiltinConfig { characters, seed })
}

#[test]
fn the_corpus_is_a_prefix_of_one_endless_text() {
    let long = corpus(20_000, 0).text();
    assert_eq!(long.len(), 20_000);
    for characters in [1, 2, 999, 19_999] {
        assert_eq!(corpus(characters, 0).text(), long[..characters as usize]);
    }
    assert_ne!(corpus(20_000, 1).text(), long);
}

#[test]
fn pieces_of_a_range_are_that_part_of_the_text() {
    let corpus = corpus(200_000, 9);
    let text = corpus.text();
    for (start, end) in
        [(0, 200_000), (0, 1), (1, 2), (5000, 5000), (65_535, 65_537), (180_000, 200_000), (77, 150_001)]
    {
        let pieces: Vec<String> = corpus.pieces(start..end).collect();
        assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= 65_536));
        assert_eq!(pieces.concat(), text[start as usize..end as usize], "{start}..{end}");
    }
}

#[test]
fn a_range_beyond_the_corpus_is_cut_at_its_end() {
    let corpus = corpus(1000, 0);
    assert_eq!(corpus.pieces(900..5000).collect::<String>(), corpus.text()[900..]);
    assert_eq!(corpus.pieces(1000..5000).next(), None);
    assert_eq!(corpus.pieces(4000..5000).next(), None);
    assert_eq!(corpus.code_length(900..5000), corpus.code_length(900..1000));
    assert_eq!(corpus.code_length(1000..5000), 0.0);
}

#[test]
fn code_lengths_of_adjoining_ranges_add_up() {
    let corpus = corpus(100_000, 10);
    let whole = corpus.code_length(0..100_000);
    for place in [1, 10, 4321, 65_536, 90_000, 99_999] {
        let sum = corpus.code_length(0..place) + corpus.code_length(place..100_000);
        assert!((sum - whole).abs() < 1e-8, "{sum}, not {whole}, in two at {place}");
    }
}

#[test]
fn the_code_length_of_a_range_is_conditioned_on_all_text_before_it() {
    let corpus = corpus(60_000, 11);
    let mut model = corpus.model();
    let nats: Vec<f64> = corpus.text().chars().map(|character| model.advance(character).expect("a tale")).collect();
    for (start, end) in [(0, 300), (1234, 2345), (54_000, 60_000), (30_001, 30_002)] {
        let expected: f64 = nats[start..end].iter().sum();
        let actual = corpus.code_length(start as u64..end as u64);
        assert!((actual - expected).abs() < 1e-9, "{actual}, not {expected}, for {start}..{end}");
    }
}

/// With weights 1 and 2, 2^32 = 3 * 1431655765 + 1: one word, zero, is too many, and each third of the others has an
/// integer.
#[test]
fn draws_compare_integers() {
    let entries = [1, 3].map(|cumulative_weight| Entry { address: 0, cumulative_weight, probability: 0.0 });
    let drawn = |words: &[u32]| {
        let mut words = words.iter().copied();
        let choice = draw(&entries, || words.next().expect("enough words"));
        (choice, words.count())
    };
    assert_eq!(drawn(&[1, 7]), (0, 1));
    assert_eq!(drawn(&[1_431_655_765]), (0, 0));
    assert_eq!(drawn(&[1_431_655_766]), (1, 0));
    assert_eq!(drawn(&[u32::MAX]), (1, 0));
    assert_eq!(drawn(&[0, 1]), (0, 0));
}

#[test]
fn settings_have_defaults_and_refuse_what_they_do_not_know() {
    let parse = |text| toml::from_str::<BuiltinConfig>(text);
    assert_eq!(parse("").expect("all defaults"), BuiltinConfig { characters: 1_000_000, seed: 0 });
    assert_eq!(parse("characters = 5\nseed = 7").expect("two keys"), BuiltinConfig { characters: 5, seed: 7 });
    assert!(parse("character = 5").expect_err("a mistyped key").to_string().contains("character"));
    assert!(parse("characters = -5").is_err());
}

#[test]
fn an_empty_corpus_is_a_violation() {
    assert_eq!(BuiltinConfig::default().validate(), vec![]);
    let violations = BuiltinConfig { characters: 0, seed: 0 }.validate();
    assert_eq!(violations.iter().map(|violation| violation.key.as_str()).collect::<Vec<_>>(), ["characters"]);
}
