//! From a configuration to tokens, once.

use std::path::Path;

use kiln_models::{
    BytePairTokenizerConfig, ByteTokenizerConfig, CharacterTokenizerConfig, TokenizerConfig, TokenizerFileConfig,
    Unknown,
};

use super::super::{DataError, PrepareProgress, PreparedData, prepare, prepare_evaluation, prepare_validation};
use super::{folder, read};
use crate::corpus::{BuiltinConfig, CorpusError, DataConfig, FileConfig, OpenProgress, Split};

const TALE: &str = "A fox, an owl and a well.\nThe owl asked: \"Où est la clé?\" 狐 knew.\n";

fn write_text(folder: &Path, text: &str) -> DataConfig {
    let path = folder.join("text.txt");
    std::fs::write(&path, text).expect("the temporary folder can be written");
    DataConfig { file: Some(FileConfig { paths: vec![path.to_string_lossy().into_owned()] }), ..DataConfig::default() }
}

fn byte(special_tokens: &[&str]) -> TokenizerConfig {
    let special_tokens = special_tokens.iter().map(|token| (*token).to_owned()).collect();
    TokenizerConfig::Byte(ByteTokenizerConfig { special_tokens })
}

fn byte_pair() -> TokenizerConfig {
    let special_tokens = vec!["<|end|>".into()];
    TokenizerConfig::BytePair(BytePairTokenizerConfig { vocabulary_size: 300, special_tokens, training_bytes: 1 << 20 })
}

fn prepared(data: &DataConfig, tokenizer: &TokenizerConfig, cache: &Path) -> PreparedData {
    prepare(data, tokenizer, cache, &mut |_| ()).expect("all is well")
}

#[test]
fn both_splits_decode_to_their_text() {
    let (folder, cache) = (folder(), folder());
    let text = TALE.repeat(5000);
    let data = write_text(folder.path(), &text);
    let cut = (text.chars().count() as f64 * 0.9) as usize;
    let (train, validation): (String, String) = (text.chars().take(cut).collect(), text.chars().skip(cut).collect());
    for tokenizer in [TokenizerConfig::Character(CharacterTokenizerConfig::default()), byte(&[]), byte_pair()] {
        let prepared = prepared(&data, &tokenizer, cache.path());
        for (file, text) in [(&prepared.train, &train), (&prepared.validation, &validation)] {
            assert!(prepared.tokenizer.decode(&read(file)) == *text);
            assert!(read(file) == prepared.tokenizer.encode(text).expect("all text is known"));
            assert_eq!((file.bytes(), file.characters()), (text.len() as u64, text.chars().count() as u64));
            assert_eq!(file.text_hash(), *blake3::hash(text.as_bytes()).as_bytes());
            assert_eq!(file.vocabulary_size(), prepared.tokenizer.vocabulary_size());
        }
        assert_eq!(prepared.floor, None);
    }
}

#[test]
fn tokens_are_made_once_and_again_when_anything_changes() {
    let (folder, cache) = (folder(), folder());
    let data = write_text(folder.path(), &TALE.repeat(10));
    let steps = |data: &DataConfig, tokenizer: &TokenizerConfig| {
        let mut steps = 0;
        prepare(data, tokenizer, cache.path(), &mut |_| steps += 1).expect("all is well");
        steps
    };
    assert!(steps(&data, &byte(&[])) > 0);
    assert_eq!(steps(&data, &byte(&[])), 0);
    assert!(steps(&data, &byte_pair()) > 0);
    assert!(steps(&DataConfig { validation_fraction: 0.2, ..data.clone() }, &byte(&[])) > 0);
    let data = write_text(folder.path(), &TALE.repeat(11));
    assert!(steps(&data, &byte(&[])) > 0);
    assert_eq!(steps(&data, &byte(&[])), 0);
}

#[test]
fn what_is_damaged_in_the_cache_is_made_again() {
    let (folder, cache) = (folder(), folder());
    let data = write_text(folder.path(), &TALE.repeat(10));
    let first = prepared(&data, &byte_pair(), cache.path());
    let tokens = read(&first.train);
    let place = first.train.path().parent().expect("it is in a folder").to_owned();
    for name in ["train.tokens", "validation.tokens", "tokenizer.json", "facts.json"] {
        std::fs::write(place.join(name), b"damaged").expect("the cache can be written");
        assert_eq!(read(&prepared(&data, &byte_pair(), cache.path()).train), tokens);
        std::fs::remove_file(place.join(name)).expect("it was made again");
        assert_eq!(read(&prepared(&data, &byte_pair(), cache.path()).train), tokens);
    }
    // A token that became another one of the vocabulary: only the hash knows.
    for name in ["train.tokens", "validation.tokens"] {
        let mut bytes = std::fs::read(place.join(name)).expect("it is there");
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        std::fs::write(place.join(name), &bytes).expect("the cache can be written");
        prepared(&data, &byte_pair(), cache.path());
        bytes[last] ^= 1;
        assert_eq!(std::fs::read(place.join(name)).expect("it was made again"), bytes, "{name}");
    }
    let names = std::fs::read_dir(&place).expect("it is a folder").count();
    assert_eq!(names, 5, "four files and the lock, nothing unfinished");
}

#[test]
fn documents_end_with_the_end_token() {
    let (folder, cache) = (folder(), folder());
    let data = write_text(folder.path(), "one<e>two<e>0123456789");
    let data = DataConfig { separator: Some("<e>".into()), validation_fraction: 0.25, ..data };
    let prepared = prepared(&data, &byte(&["<|end|>"]), cache.path());
    assert_eq!(prepared.tokenizer.decode(&read(&prepared.train)), "one<|end|>two<|end|>012345");
    assert_eq!(prepared.tokenizer.decode(&read(&prepared.validation)), "6789<|end|>");
    assert_eq!((prepared.train.bytes(), prepared.validation.characters()), (12, 4));
    let error = prepare(&data, &byte(&[]), cache.path(), &mut |_| ()).expect_err("there is no token for the end");
    assert!(matches!(error, DataError::NoEndToken), "{error:?}");
}

#[test]
fn words_do_not_reach_across_documents() {
    let (folder, cache) = (folder(), folder());
    let text = "the well is deep<e>er than the owl is wise<e>".repeat(30);
    let data = DataConfig { separator: Some("<e>".into()), ..write_text(folder.path(), &text) };
    let prepared = prepared(&data, &byte_pair(), cache.path());
    let encode = |text: &str| prepared.tokenizer.encode(text).expect("all bytes are known");
    let once = [encode("the well is deep"), vec![0], encode("er than the owl is wise"), vec![0]].concat();
    assert_eq!(prepared.tokenizer.end_token(), Some(0));
    assert_eq!(read(&prepared.train)[..once.len()], once);
}

#[test]
fn the_validation_split_alone_is_that_of_training_from_its_cache_or_anew() {
    let (folder, cache, other) = (folder(), folder(), folder());
    let data = write_text(folder.path(), &TALE.repeat(40));
    let trained = prepared(&data, &byte_pair(), cache.path());
    let alone = |cache: &Path| {
        let mut steps = 0;
        let found = prepare_validation(&data, &byte_pair(), &trained.tokenizer, cache, &mut |_| steps += 1);
        (found.expect("all is well").0, steps)
    };
    let (cached, steps) = alone(cache.path());
    assert_eq!((read(&cached), steps), (read(&trained.validation), 0));
    let (anew, steps) = alone(other.path());
    assert_eq!((read(&anew), anew.text_hash()), (read(&trained.validation), trained.validation.text_hash()));
    assert!(steps > 0);
    assert_eq!(alone(other.path()).1, 0);
}

#[cfg(unix)]
#[test]
fn another_text_of_the_same_length_and_time_is_noticed() {
    let (folder, cache) = (folder(), folder());
    let data = write_text(folder.path(), &TALE.repeat(40));
    let path = folder.path().join("text.txt");
    let first = prepared(&data, &byte(&[]), cache.path()).train.text_hash();
    let written = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("it is there");
    std::fs::write(&path, TALE.to_uppercase().repeat(40)).expect("it can be written");
    let file = std::fs::File::options().write(true).open(&path).expect("it is there");
    file.set_modified(written).expect("the time can be set");
    assert_ne!(prepared(&data, &byte(&[]), cache.path()).train.text_hash(), first);
}

#[test]
fn a_character_of_the_validation_text_alone_is_named_with_file_and_byte() {
    let (folder, cache) = (folder(), folder());
    let data = write_text(folder.path(), &("é".repeat(95) + "ab狐cd"));
    let character = |unknown| {
        TokenizerConfig::Character(CharacterTokenizerConfig { unknown, ..CharacterTokenizerConfig::default() })
    };
    let error = prepare(&data, &character(Unknown::Error), cache.path(), &mut |_| ()).expect_err("a is unknown");
    match &error {
        DataError::UnknownText { place, character: 'a', offset: 190 } => assert!(place.ends_with("text.txt")),
        other => panic!("{other:?}"),
    }
    assert!(error.to_string().contains("set `unknown = \"token\"`"), "{error}");
    let prepared = prepared(&data, &character(Unknown::Token), cache.path());
    assert_eq!(read(&prepared.validation).iter().filter(|token| **token == 1).count(), 5);
}

#[test]
fn the_tales_come_with_their_floor() {
    let cache = folder();
    let builtin = BuiltinConfig { characters: 50_000, seed: 3 };
    let data = DataConfig { builtin: Some(builtin), ..DataConfig::default() };
    let character = TokenizerConfig::Character(CharacterTokenizerConfig::default());
    let first = prepared(&data, &character, cache.path());
    let floor = first.floor.expect("the entropy is known");
    let corpus = data.open(cache.path(), &mut |_| ()).expect("nothing can fail");
    let tales = corpus.tales().expect("they are built in");
    assert_eq!(floor.nats_per_character, tales.entropy_rate());
    assert_eq!(floor.validation_nats_per_character, tales.code_length(45_000..50_000) / 5_000.0);
    assert_eq!((corpus.characters_of(Split::Train), first.documents), (45_000, 1));
    // From the cache, to the last bit.
    assert_eq!(prepared(&data, &character, cache.path()).floor, Some(floor));
}

#[test]
fn progress_goes_from_counting_to_the_last_byte() {
    let (folder, cache) = (folder(), folder());
    let text = TALE.repeat(20_000);
    let data = write_text(folder.path(), &text);
    let mut encoded = Vec::new();
    let mut learned = 0;
    let mut report = |progress| match progress {
        PrepareProgress::Encoding { split, done, total } => encoded.push((split, done, total)),
        PrepareProgress::Learning { done, .. } => learned = done,
        PrepareProgress::Opening(OpenProgress::Counting { done, total }) => {
            assert!(done <= total && total == text.len() as u64);
        }
        PrepareProgress::Opening(OpenProgress::Downloading { .. }) => panic!("nothing is downloaded"),
    };
    prepare(&data, &byte_pair(), cache.path(), &mut report).expect("all is well");
    assert!(learned > 0);
    assert!(encoded.iter().all(|(_, done, total)| done <= total));
    let ends = encoded.iter().filter(|(_, done, total)| total - done <= 2).count();
    assert!(ends >= 2, "both splits are reported to their end: {:?}", encoded.last());
}

#[test]
fn errors_of_text_tokenizer_and_cache_keep_what_they_are() {
    let (folder, cache) = (folder(), folder());
    let missing = DataConfig { file: Some(FileConfig { paths: vec!["no such file".into()] }), ..DataConfig::default() };
    let error = prepare(&missing, &byte(&[]), cache.path(), &mut |_| ()).expect_err("there is no text");
    assert!(matches!(error, DataError::Corpus(CorpusError::Missing { .. })), "{error:?}");
    let data = write_text(folder.path(), TALE);
    let file = TokenizerConfig::File(TokenizerFileConfig { path: folder.path().join("no.json") });
    let error = prepare(&data, &file, cache.path(), &mut |_| ()).expect_err("there is no tokenizer");
    assert!(matches!(error, DataError::Tokenizer(_)), "{error:?}");
    let blocked = folder.path().join("text.txt");
    let error = prepare(&data, &byte(&[]), &blocked, &mut |_| ()).expect_err("a file is no cache");
    assert!(matches!(error, DataError::Cache { .. }), "{error:?}");
    std::fs::write(folder.path().join("text.txt"), b"abc\xFF").expect("the temporary folder can be written");
    let error = prepare(&data, &byte_pair(), cache.path(), &mut |_| ()).expect_err("it is not UTF-8");
    assert!(matches!(error, DataError::Corpus(CorpusError::NotUtf8 { offset: 3, .. })), "{error:?}");
}

#[test]
fn what_fails_leaves_nothing_in_the_cache_and_what_was_complete_stays() {
    let (folder, cache) = (folder(), folder());
    let entries = || std::fs::read_dir(cache.path().join("tokens")).map_or(0, Iterator::count);
    let data = write_text(folder.path(), TALE);
    let characters = TokenizerConfig::Character(CharacterTokenizerConfig::default());
    let tokenizer = prepared(&data, &characters, cache.path()).tokenizer;
    assert_eq!(entries(), 1);
    let path = folder.path().join("other.txt");
    for text in [&b"no such letter: \xC3\x9F"[..], b"abc\xFF", b""] {
        std::fs::write(&path, text).expect("the temporary folder can be written");
        let paths = [path.clone()];
        prepare_evaluation(&paths, None, &tokenizer, cache.path(), &mut |_| ()).expect_err("it cannot be encoded");
        assert_eq!(entries(), 1, "{text:?}");
    }
    let paths = vec![path.to_string_lossy().into_owned()];
    let empty = DataConfig { file: Some(FileConfig { paths }), ..DataConfig::default() };
    prepare(&empty, &characters, cache.path(), &mut |_| ()).expect_err("there is no text");
    prepare_validation(&empty, &characters, &tokenizer, cache.path(), &mut |_| ()).expect_err("there is no text");
    assert_eq!(entries(), 1);
}

#[test]
fn whole_files_are_encoded_for_evaluation() {
    let (folder, cache) = (folder(), folder());
    let data = write_text(folder.path(), TALE);
    let tokenizer = prepared(&data, &byte_pair(), cache.path()).tokenizer;
    let paths = [folder.path().join("text.txt")];
    let mut steps = 0;
    let file = prepare_evaluation(&paths, None, &tokenizer, cache.path(), &mut |_| steps += 1).expect("all is well");
    assert_eq!(tokenizer.decode(&read(&file)), TALE);
    assert_eq!((file.bytes(), file.characters()), (TALE.len() as u64, TALE.chars().count() as u64));
    let before = steps;
    prepare_evaluation(&paths, None, &tokenizer, cache.path(), &mut |_| steps += 1).expect("all is well");
    assert_eq!(before, steps);
}

#[test]
fn a_tokenizer_file_gives_the_same_tokens_as_where_it_came_from() {
    let (folder, cache) = (folder(), folder());
    let data = write_text(folder.path(), &TALE.repeat(20));
    let first = prepared(&data, &byte_pair(), cache.path());
    let path = folder.path().join("tokenizer.json");
    first.tokenizer.save(&path).expect("the folder can be written");
    let again = prepared(&data, &TokenizerConfig::File(TokenizerFileConfig { path }), cache.path());
    assert_eq!(again.train.hash(), first.train.hash());
    assert_eq!(again.tokenizer.hash(), first.tokenizer.hash());
}
