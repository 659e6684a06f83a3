//! Where the corpus is cut, and where documents end.

use proptest::prelude::*;

use super::super::{BuiltinConfig, DataConfig, Piece, Split};
use super::{files, folder, open, text, write};

#[test]
fn the_cut_is_that_of_nanogpt() {
    let folder = folder();
    // In Python: text[:int(len(text) * 0.9)] and text[int(len(text) * 0.9):].
    for (characters, train) in [(2, 1), (10, 9), (11, 9), (19, 17), (1_115_394, 1_003_854)] {
        let text: String = "狐a\né".chars().cycle().take(characters).collect();
        write(folder.path(), "a.txt", &text);
        let corpus = open(&files(folder.path(), &["a.txt"])).expect("there is text");
        assert_eq!(corpus.characters_of(Split::Train), train);
        assert_eq!(corpus.characters_of(Split::Validation), characters as u64 - train);
        assert!(super::text(&corpus, Split::Train).chars().eq(text.chars().take(train as usize)));
        assert!(super::text(&corpus, Split::Validation).chars().eq(text.chars().skip(train as usize)));
    }
}

#[test]
fn separators_end_documents_and_so_do_files() {
    let folder = folder();
    write(folder.path(), "a.txt", "one<e>two<e><e>three");
    write(folder.path(), "b.txt", "<e>four<e>five");
    let all = |separator: Option<&str>| {
        let config =
            DataConfig { separator: separator.map(str::to_owned), ..files(folder.path(), &["a.txt", "b.txt"]) };
        let corpus = open(&config).expect("there is text");
        (text(&corpus, Split::Train), text(&corpus, Split::Validation), corpus.characters())
    };
    assert_eq!(all(Some("<e>")), ("one|two|three|four|fi".into(), "ve|".into(), 19));
    assert_eq!(all(Some("")), ("one<e>two<e><e>three|<e>four<e>".into(), "five|".into(), 34));
    assert_eq!(all(None), ("one<e>two<e><e>three<e>four<e>".into(), "five".into(), 34));
}

/// The text of both splits and the number of documents of `a.txt`, `b.txt` and `c.txt`.
fn by_document(separator: Option<&str>, validation: &str) -> (String, String, u64) {
    let folder = folder();
    write(folder.path(), "a.txt", "one<e>two<e><e>three");
    write(folder.path(), "b.txt", "<e>four<e>");
    write(folder.path(), "c.txt", "five<e>six<e>");
    let (separator, validation) = (separator.map(str::to_owned), Some(validation.to_owned()));
    let config = DataConfig { separator, validation, ..files(folder.path(), &["a.txt", "b.txt", "c.txt"]) };
    let corpus = open(&config).expect("there is text");
    let texts = (text(&corpus, Split::Train), text(&corpus, Split::Validation));
    let characters = |text: &str| text.chars().filter(|character| *character != '|').count() as u64;
    assert_eq!(corpus.characters_of(Split::Train), characters(&texts.0));
    assert_eq!(corpus.characters_of(Split::Validation), characters(&texts.1));
    (texts.0, texts.1, corpus.documents())
}

#[test]
fn every_nth_document_validates_as_a_whole() {
    let of = |train: &str, validation: &str, documents| (train.to_owned(), validation.to_owned(), documents);
    // One, two, three, four, five, six; what holds no text is no document.
    let second = of("one|three|five|", "two|four|six|", 6);
    assert_eq!(by_document(Some("<e>"), "every 2nd document"), second);
    assert_eq!(by_document(Some("<e>"), "every 3rd document"), of("one|two|four|five|", "three|six|", 6));
    assert_eq!(by_document(Some("<e>"), "every 6th document"), of("one|two|three|four|five|", "six|", 6));
    // The files are the documents.
    let files = of("one<e>two<e><e>three|five<e>six<e>|", "<e>four<e>|", 3);
    assert_eq!(by_document(Some(""), "every 2nd document"), files);
    // Without a separator they are, too, but nothing marks their ends.
    let joined = of("one<e>two<e><e>three<e>four<e>", "five<e>six<e>", 3);
    assert_eq!(by_document(None, "every 3rd document"), joined);
}

#[test]
fn a_split_by_document_that_leaves_nothing_says_how_many_documents_there_are() {
    let folder = folder();
    write(folder.path(), "a.txt", "one<e>two<e>");
    let validation = Some("every 10th document".to_owned());
    let config = DataConfig { validation, ..files(folder.path(), &["a.txt"]) };
    for (separator, words) in [(None, "1 document, "), (Some("<e>"), "2 documents, ")] {
        let config = DataConfig { separator: separator.map(str::to_owned), ..config.clone() };
        let error = open(&config).expect_err("no document has the number 10").to_string();
        assert!(error.starts_with("the validation split would be empty: ") && error.contains(words), "{error}");
    }
}

#[test]
fn files_for_validation_validate_as_a_whole_and_are_not_trained_on() {
    let folder = folder();
    for (name, text) in [("a.txt", "one<e>two"), ("b.txt", "three<e>"), ("c.txt", "four")] {
        write(folder.path(), name, text);
    }
    let of = |paths: &[&str], validation: &[&str], separator: Option<&str>| {
        let named = files(folder.path(), validation).file.map(|file| file.paths);
        let separator = separator.map(str::to_owned);
        let config = DataConfig { validation_files: named, separator, ..files(folder.path(), paths) };
        open(&config).map(|corpus| (text(&corpus, Split::Train), text(&corpus, Split::Validation)))
    };
    let both = |train: &str, validation: &str| (train.to_owned(), validation.to_owned());
    assert_eq!(of(&["a.txt"], &["c.txt"], None).expect("there is text"), both("one<e>two", "four"));
    assert_eq!(of(&["*.txt"], &["b.txt"], None).expect("there is text"), both("one<e>twofour", "three<e>"));
    assert_eq!(of(&["*.txt"], &["b.txt"], Some("<e>")).expect("there is text"), both("one|two|four|", "three|"));
    assert_eq!(of(&["c.txt"], &["?.txt"], Some("")).map_err(|error| error.to_string()), Err(NO_TRAINING.to_owned()));
}

const NO_TRAINING: &str = "the training split would be empty: every file that is named for it is named for the \
                           other one too";

#[test]
fn a_split_that_ends_with_a_document_ends_it() {
    let folder = folder();
    write(folder.path(), "a.txt", "123456789<e>x<e>");
    let config = DataConfig { separator: Some("<e>".into()), ..files(folder.path(), &["a.txt"]) };
    let corpus = open(&config).expect("there is text");
    assert_eq!((text(&corpus, Split::Train), text(&corpus, Split::Validation)), ("123456789|".into(), "x|".into()));
}

#[test]
fn places_tell_file_and_byte() {
    let folder = folder();
    write(folder.path(), "a.txt", "\u{FEFF}é<e>b");
    write(folder.path(), "b.txt", "cdefghijklmnopqr");
    let config = DataConfig { separator: Some("<e>".into()), ..files(folder.path(), &["a.txt", "b.txt"]) };
    let corpus = open(&config).expect("there is text");
    let places = |split| -> Vec<(String, usize, u64)> {
        let piece = |piece| match piece {
            Ok(Piece::Text { text, place, .. }) => {
                assert!(corpus.path(place).is_some_and(|path| path.is_file()));
                Some((text, place.file, place.offset))
            }
            _ => None,
        };
        corpus.pieces(split).filter_map(piece).collect()
    };
    assert_eq!(places(Split::Train), [("é".into(), 0, 3), ("b".into(), 0, 8), ("cdefghijklmnop".into(), 1, 0)]);
    assert_eq!(places(Split::Validation), [("qr".into(), 1, 14)]);
}

#[test]
fn the_tales_are_split_as_files_are() {
    let builtin = BuiltinConfig { characters: 100_003, seed: 7 };
    let corpus = open(&DataConfig { builtin: Some(builtin), ..DataConfig::default() }).expect("there is text");
    let tales = corpus.tales().expect("they are built in").text();
    assert_eq!(corpus.characters_of(Split::Train), 90_002);
    assert_eq!(corpus.expected_bytes(Split::Validation), 10_001);
    assert!(text(&corpus, Split::Train) == tales[..90_002]);
    assert!(text(&corpus, Split::Validation) == tales[90_002..]);
}

#[test]
fn a_large_file_comes_in_small_pieces() {
    let folder = folder();
    write(folder.path(), "a.txt", "0123456789".repeat(500_000));
    let config = DataConfig { separator: Some("34".into()), ..files(folder.path(), &["a.txt"]) };
    for config in [DataConfig { separator: None, ..config.clone() }, config] {
        let corpus = open(&config).expect("there is text");
        for piece in corpus.pieces(Split::Train) {
            assert!(
                matches!(piece, Ok(Piece::Text { text, .. }) if text.len() <= 256 << 10) || config.separator.is_some()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_document_is_on_one_side_and_whole(
        texts in prop::collection::vec("[<e>éx]{0,12}", 1..4),
        every in 2..5_usize,
    ) {
        let folder = folder();
        let names: Vec<String> = (0..texts.len()).map(|index| format!("{index}.txt")).collect();
        for (name, text) in names.iter().zip(&texts) {
            write(folder.path(), name, text);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let ordinal = ["2nd", "3rd", "4th"][every - 2];
        let validation = Some(format!("every {ordinal} document"));
        let config = DataConfig { separator: Some("<e>".into()), validation, ..files(folder.path(), &names) };
        let documents = || texts.iter().flat_map(|text| text.split("<e>")).filter(|text| !text.is_empty());
        prop_assume!(documents().count() >= every);
        let of = |validates: bool| -> String {
            let of_split = documents().enumerate().filter(|(index, _)| ((index + 1) % every == 0) == validates);
            of_split.map(|(_, text)| format!("{text}|")).collect()
        };
        let corpus = open(&config).expect("there is text");
        prop_assert_eq!(corpus.documents(), documents().count() as u64);
        prop_assert_eq!(text(&corpus, Split::Train), of(false));
        prop_assert_eq!(text(&corpus, Split::Validation), of(true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn documents_are_those_of_a_plain_split(
        texts in prop::collection::vec("[<e>éx]{0,12}", 1..4),
        fraction in 0.05..0.95_f64,
    ) {
        let folder = folder();
        let names: Vec<String> = (0..texts.len()).map(|index| format!("{index}.txt")).collect();
        for (name, text) in names.iter().zip(&texts) {
            write(folder.path(), name, text);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let config = files(folder.path(), &names);
        let config = DataConfig { separator: Some("<e>".into()), validation_fraction: fraction, ..config };
        let documents = texts.iter().flat_map(|text| text.split("<e>")).filter(|text| !text.is_empty());
        let documents: String = documents.map(|text| format!("{text}|")).collect();
        let characters = documents.chars().filter(|character| *character != '|').count();
        let train = (characters as f64 * (1.0 - fraction)) as usize;
        prop_assume!(train > 0 && train < characters);
        let corpus = open(&config).expect("there is text");
        prop_assert_eq!(corpus.characters(), characters as u64);
        let (train_text, validation_text) = (text(&corpus, Split::Train), text(&corpus, Split::Validation));
        prop_assert_eq!(train_text.chars().filter(|character| *character != '|').count(), train);
        prop_assert_eq!(train_text + &validation_text, documents);
    }
}
