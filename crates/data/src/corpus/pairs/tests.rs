use std::collections::{HashMap, HashSet};

use kiln_hostile::{Fate, Form};

use super::{BuiltinPairsConfig, Pair, PairFileError, Pairs, PairsConfig};
use crate::corpus::{CorpusError, DataConfig, Piece, Split};

fn builtin(pairs: usize) -> (Vec<Pair>, usize) {
    BuiltinPairsConfig { pairs, ..BuiltinPairsConfig::default() }.write(0.1)
}

/// Worked by hand from the table of the language.
#[test]
fn sentences_are_translated_by_the_rules() {
    use super::language::*;
    let the = |noun, adjective| Phrase { noun, determiner: Determiner::The, adjective };
    let fox = the(&BEINGS[0], Some(TEMPERS[0]));
    let river = the(&PLACES[1], Some(LOOKS[0]));
    let hills = Phrase { noun: &PLACES[2], determiner: Determiner::Number(1), adjective: None };
    let walked = Clause {
        subject: fox,
        verb: MOTIONS[0],
        object: None,
        places: vec![(PREPOSITIONS[4], river), (PREPOSITIONS[0], hills)],
    };
    let key = Phrase { noun: &THINGS[0], determiner: Determiner::A, adjective: None };
    let witches = Phrase { noun: &BEINGS[9], determiner: Determiner::Number(0), adjective: Some(TEMPERS[5]) };
    let stole = Clause { subject: witches, verb: DEEDS[2], object: Some(key), places: Vec::new() };
    let both = [walked, stole];
    assert_eq!(
        english(&both),
        "The hungry fox walked over the dark river near three hills and two tiny witches stole a silver key."
    );
    assert_eq!(
        invented(&both),
        "Raval famo kumbeiri tri op narethela temala tra paset selunei pikai bi kelmarem su ladrin ke."
    );
}

#[test]
fn what_validates_is_new_and_longer_than_half_of_what_is_trained_on() {
    let (pairs, trained) = builtin(1000);
    assert_eq!((pairs.len(), trained), (1000, 900));
    let distinct: HashSet<&str> = pairs.iter().map(|pair| pair.source.as_str()).collect();
    assert_eq!(distinct.len(), 1000);
    let words = |pair: &Pair| pair.source.split(' ').count();
    for held_out in &pairs[trained..] {
        let shorter = pairs[..trained].iter().filter(|pair| words(pair) < words(held_out)).count();
        assert!(shorter > trained / 2, "{} has {shorter} shorter ones", held_out.source);
    }
    assert_eq!(builtin(1000), (pairs, trained), "a seed gives the same sentences");
}

#[test]
fn a_source_has_one_translation_and_its_words_have_few_forms() {
    let (pairs, _) = builtin(3000);
    let mut of_word: HashMap<&str, usize> = HashMap::new();
    for pair in &pairs {
        for word in pair.target.trim_end_matches('.').split(' ') {
            *of_word.entry(word).or_default() += 1;
        }
    }
    // Every form is learned from several sentences.
    assert!(of_word.len() < 500, "{}", of_word.len());
}

fn files(contents: &[(&str, &str)], config: impl Fn(&str) -> PairsConfig) -> Result<Vec<Pair>, CorpusError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in contents {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let pairs = Some(config(folder.path().to_str().unwrap()));
    let config = DataConfig { pairs, validation_fraction: 0.5, ..DataConfig::default() };
    Ok(Pairs::open(&config)?.unwrap().all.into_iter().map(|(pair, _)| pair).collect())
}

fn listed(folder: &str, names: &[&str]) -> PairsConfig {
    PairsConfig { paths: names.iter().map(|name| format!("{folder}/{name}")).collect(), ..PairsConfig::default() }
}

fn aligned(folder: &str) -> PairsConfig {
    PairsConfig { source: Some(format!("{folder}/a")), target: Some(format!("{folder}/b")), ..PairsConfig::default() }
}

fn pair(source: &str, target: &str) -> Pair {
    Pair { source: source.to_owned(), target: target.to_owned() }
}

#[test]
fn files_of_all_kinds_give_the_same_pairs() {
    let expected = vec![pair("a cat", "eine Katze"), pair("two \"dogs\"", "zwei Hunde")];
    let tabs = [("a.tsv", "\u{FEFF}a cat\teine Katze\r\ntwo \"dogs\"\tzwei Hunde")];
    assert_eq!(files(&tabs, |folder| listed(folder, &["a.tsv"])).unwrap(), expected);
    let json = "{\"source\": \"a cat\", \"target\": \"eine Katze\"}\n{\"target\":\"zwei \
                Hunde\",\"source\":\"two \\\"dogs\\\"\"}\n";
    assert_eq!(files(&[("a.jsonl", json)], |folder| listed(folder, &["a.jsonl"])).unwrap(), expected);
    let two = [("a", "a cat\ntwo \"dogs\"\n"), ("b", "eine Katze\nzwei Hunde")];
    assert_eq!(files(&two, aligned).unwrap(), expected);
}

#[test]
fn what_is_no_pair_is_named_with_its_line() {
    let error = |name: &str, content: &str| {
        let found = files(&[(name, content)], |folder| listed(folder, &[name]));
        found.unwrap_err().to_string().split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(error("a.tsv", "a\tb\nno tab\n"), "it has no tab, which stands between source and target");
    assert_eq!(error("a.tsv", "a\tb\n\nc\td\n"), "it is empty");
    assert_eq!(error("a.tsv", "a\tb\tc"), "it has 2 tabs, and one stands between source and target");
    assert_eq!(error("a.tsv", "a\t "), "its target is empty");
    assert_eq!(error("a.tsv", "a <|end|>\tb"), "its source holds `<|end|>`, which ends a text");
    assert!(error("a.jsonl", "{\"source\": \"a\"}").starts_with("missing field `target`"));
    let line = files(&[("a.tsv", "a\tb\nc\n")], |folder| listed(folder, &["a.tsv"])).unwrap_err().to_string();
    assert!(line.starts_with("line 2 of ") && line.contains("a.tsv is no pair"), "{line}");
    let uneven = files(&[("a", "1\n2\n"), ("b", "1\n")], aligned).unwrap_err().to_string();
    assert!(uneven.contains("a has 2 lines and ") && uneven.contains("b has 1, but line n"), "{uneven}");
    let empty = files(&[("a", "1\n2\n"), ("b", "1\n\n")], aligned).unwrap_err().to_string();
    assert!(empty.contains("line 2 of ") && empty.contains("b is no pair: its target is empty"), "{empty}");
}

#[test]
fn a_corpus_of_pairs_gives_sources_and_targets_in_turn() {
    let config = BuiltinPairsConfig { pairs: 20, clauses: 1, seed: 3 };
    let data = DataConfig { builtin_pairs: Some(config.clone()), ..DataConfig::default() };
    let corpus = data.open(std::path::Path::new("unused"), &mut |_| {}).unwrap();
    let (pairs, trained) = config.write(0.1);
    let mut documents = Vec::new();
    for piece in [Split::Train, Split::Validation].into_iter().flat_map(|split| corpus.pieces(split)) {
        match piece.unwrap() {
            Piece::Text { text, is_predicted, .. } => documents.push((text, is_predicted)),
            Piece::End => {}
        }
    }
    let expected = pairs.iter().flat_map(|pair| [(pair.source.clone(), false), (pair.target.clone(), true)]);
    assert_eq!(documents, expected.collect::<Vec<_>>());
    assert_eq!((trained, corpus.documents()), (18, 20));
}

/// Damaged files of all kinds end in pairs or an error that names the file.
#[test]
fn every_mutant_of_a_file_of_pairs_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = [("a.tsv", "eins\tone\nzwei\ttwo\n"), ("a.jsonl", "{\"source\": \"eins\", \"target\": \"one\"}\n")];
    for (name, content) in kinds {
        let path = folder.path().join(name);
        let config = listed(folder.path().to_str().unwrap(), &[name]);
        let data = DataConfig { pairs: Some(config), ..DataConfig::default() };
        let tally = kiln_hostile::each_mutant(&[content.as_bytes().to_vec()], Form::Bytes, |mutant| {
            std::fs::write(&path, mutant).unwrap();
            match Pairs::open(&data) {
                Ok(_) => Fate::Read,
                // Too few of them are a mistake of no single file.
                Err(CorpusError::Pairs(PairFileError::TooFew { .. })) => Fate::Read,
                Err(error) => {
                    assert!(error.to_string().contains(name), "{error}");
                    Fate::Refused
                }
            }
        });
        assert!(tally.read > 100 && tally.refused > 100, "{tally:?}");
    }
}
