//! Damaged and hostile token files: errors, never a panic, and nothing is allocated on their word.

use std::path::Path;
use std::sync::LazyLock;

use kiln_hostile::{Fate, Form};
use proptest::prelude::*;

use super::super::{ExampleReading, ShardError, TokenFile, TooLong};
use super::{TOKENIZER, folder, write};
use crate::batches::EvaluationPlan;

/// A small file, changed by `change`, and what opening it gives.
fn changed(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<TokenFile, ShardError> {
    static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let folder = super::folder();
        let file = write(&folder.path().join("a.tokens"), 300, &[1, 2, 3, 299]);
        std::fs::read(file.path()).expect("it was written")
    });
    let path = folder.join("a.tokens");
    let mut bytes = WHOLE.clone();
    change(&mut bytes);
    std::fs::write(&path, bytes).expect("the folder can be written");
    TokenFile::open(&path, &TOKENIZER)
}

/// Makes the header's hash agree with what it says now.
fn sign(bytes: &mut [u8]) {
    let hash = *blake3::hash(&bytes[..224]).as_bytes();
    bytes[224..256].copy_from_slice(&hash);
}

fn reason(result: Result<TokenFile, ShardError>) -> String {
    match result {
        Err(ShardError::Invalid { path, reason }) => {
            assert!(path.ends_with("a.tokens"));
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_flipped_bit_of_the_header_is_noticed() {
    let folder = folder();
    for bit in 0..256 * 8 {
        changed(folder.path(), |bytes| bytes[bit / 8] ^= 1 << (bit % 8)).expect_err("one bit is wrong");
    }
}

#[test]
fn a_file_cut_short_or_grown_is_noticed_at_every_length() {
    let folder = folder();
    for length in (0..264).chain(265..270) {
        let reason = reason(changed(folder.path(), |bytes| bytes.resize(length, 0)));
        assert!(reason.contains(&format!("{length} bytes long")), "{reason}");
    }
}

#[test]
fn a_signed_header_that_lies_is_refused() {
    let folder = folder();
    let with = |place: usize, value: u64| {
        reason(changed(folder.path(), |bytes| {
            bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
            sign(bytes);
        }))
    };
    // Lengths that overflow when they are multiplied or added.
    for tokens in [0, 3, 5, u64::MAX, u64::MAX / 2 + 1, (u64::MAX - 255) / 2, 1 << 60] {
        assert_eq!(with(24, tokens), format!("it says {tokens} tokens of 2 bytes, but is 264 bytes long"));
    }
    for vocabulary in [0, 65_537, u64::MAX, 1 << 33] {
        assert_eq!(with(16, vocabulary), format!("it says 2 bytes a token for a vocabulary of {vocabulary}"));
    }
    // Version 2, and 3 bytes a token.
    assert!(with(8, 2 | 2 << 32).contains("version 2"));
    assert!(with(8, 1 | 3 << 32).contains("3 bytes a token"));
}

#[test]
fn a_token_beyond_the_vocabulary_is_named_with_its_place() {
    let folder = folder();
    let file = changed(folder.path(), |bytes| bytes[256 + 4..256 + 6].copy_from_slice(&300_u16.to_le_bytes()));
    let file = file.expect("the header is whole");
    file.read(0, &mut [0; 2]).expect("the first two are whole");
    let error = file.read(1, &mut [0; 3]).expect_err("the third is not");
    assert!(
        matches!(error, ShardError::TokenOutOfRange { index: 2, offset: 260, token: 300, vocabulary: 300, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("a.tokens: token 2 (at byte 260) is 300"), "{error}");
    file.verify().expect_err("it is not what was written");
}

#[test]
fn tokens_that_changed_within_the_vocabulary_are_found_by_verifying() {
    let folder = folder();
    let file = changed(folder.path(), |bytes| bytes[256] ^= 2).expect("the header is whole");
    file.read(0, &mut [0; 4]).expect("all are in the vocabulary");
    assert!(matches!(file.verify(), Err(ShardError::Invalid { .. })));
}

#[test]
fn a_file_cut_short_while_it_is_read_is_an_error_and_no_signal() {
    let folder = folder();
    let path = folder.path().join("a.tokens");
    let file = write(&path, 300, &[5; 1000]);
    let shortened = std::fs::OpenOptions::new().write(true).open(&path).expect("it is there");
    shortened.set_len(300).expect("it can be cut");
    let error = file.read(0, &mut [0; 1000]).expect_err("most of it is gone");
    assert!(matches!(&error, ShardError::Read { path, .. } if path.ends_with("a.tokens")), "{error:?}");
}

#[test]
fn folders_and_other_files_are_refused() {
    let folder = folder();
    assert!(TokenFile::open(folder.path(), &TOKENIZER).is_err());
    let text = folder.path().join("text");
    std::fs::write(&text, [b'x'; 1000]).expect("the folder can be written");
    let error = TokenFile::open(&text, &TOKENIZER).expect_err("it is text");
    assert!(error.to_string().contains("it does not begin as one"), "{error}");
    #[cfg(unix)]
    assert!(TokenFile::open(Path::new("/dev/zero"), &TOKENIZER).is_err());
}

/// Mutants as they are, and with the header's hash made right, so that what is behind it is reached.
#[test]
fn every_mutant_is_refused_by_name_or_holds_tokens_of_its_vocabulary() {
    let folder = folder();
    let path = folder.path().join("a.tokens");
    let valid = [(300, vec![1, 2, 3, 299]), (70_000, vec![69_999; 5])]
        .map(|(vocabulary, tokens)| std::fs::read(write(&path, vocabulary, &tokens).path()).expect("it was written"));
    for signed in [false, true] {
        let tally = kiln_hostile::each_mutant(&valid, Form::Bytes, |bytes| {
            let mut bytes = bytes.to_vec();
            if signed && bytes.len() >= 256 {
                sign(&mut bytes);
            }
            std::fs::write(&path, &bytes).expect("the folder can be written");
            let file = match TokenFile::open_any(&path) {
                Ok(file) => file,
                Err(error) => {
                    assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
                    return Fate::Refused;
                }
            };
            assert!(file.len() <= bytes.len() as u64);
            let mut tokens = vec![0; file.len() as usize];
            match file.read(0, &mut tokens) {
                Ok(()) => assert!(tokens.iter().all(|token| (*token as usize) < file.vocabulary_size())),
                Err(error) => assert!(error.to_string().contains("at byte"), "{error}"),
            }
            if file.verify().is_ok() {
                let hash = blake3::hash(&bytes[256..]);
                assert_eq!(file.hash(), *hash.as_bytes());
            }
            Fate::Read
        });
        assert!(tally.read > 100 && tally.refused > 5000, "{tally:?}");
    }
}

#[test]
fn every_mutant_of_marks_is_refused_or_gives_examples_within_the_tokens() {
    let folder = folder();
    let tokens = write(&folder.path().join("a.tokens"), 300, &[1, 2, 3, 4, 5, 6, 7]);
    let path = folder.path().join("a.marks");
    // Two examples, of three and of four tokens.
    let valid = std::fs::read(write(&path, 4, &[2, 0, 1, 2, 1, 0, 1]).path()).expect("it was written");
    let tally = kiln_hostile::each_mutant(&[valid], Form::Bytes, |bytes| {
        let mut bytes = bytes.to_vec();
        if bytes.len() >= 256 {
            sign(&mut bytes);
        }
        std::fs::write(&path, &bytes).expect("the folder can be written");
        let opened = TokenFile::open_any(&path).and_then(|marks| {
            tokens.clone().with_examples(marks, ExampleReading { too_long: TooLong::Cut, pairs: false })
        });
        let Ok(file) = opened else { return Fate::Refused };
        let counted = file.examples().map(|examples| (examples.count(), examples.counted()));
        assert!(counted.is_some_and(|(count, counted)| 0 < count && count + counted <= 7), "{counted:?}");
        if let Ok(plan) = EvaluationPlan::new(&file, 1.0, 2, 3, false) {
            for index in 0..plan.batches() {
                let batch = plan.read(&file, index).expect("the tokens are whole");
                assert!(batch.scored > 0 && batch.columns <= 3);
            }
        }
        Fate::Read
    });
    assert!(tally.read > 10 && tally.refused > 1000, "{tally:?}");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_read() {
    let folder = folder();
    for path in kiln_hostile::no_files(folder.path()) {
        let name = path.display().to_string();
        let error =
            kiln_hostile::in_time(&name, move || TokenFile::open(&path, &TOKENIZER).expect_err("it is not a file"));
        assert!(
            error.to_string().starts_with(&format!("{name} is not a whole token file: it is not a file")),
            "{error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn signed_nonsense_never_panics(
        changes in prop::collection::vec((8..224_usize, any::<u8>()), 1..12),
        length in prop_oneof![Just(264_usize), 0..600_usize],
        start in any::<u64>(),
        count in 0..2000_usize,
    ) {
        let folder = folder();
        let opened = changed(folder.path(), |bytes| {
            for (place, byte) in changes {
                bytes[place] = byte;
            }
            sign(bytes);
            bytes.resize(length, 0xAA);
        });
        if let Ok(file) = opened {
            let _ = file.read(start % 8, &mut vec![0; count % 8]);
            let _ = file.read(start, &mut vec![0; count]);
            let _ = file.verify();
        }
    }
}
