//! What is written is read again, from many threads and in any order.

use proptest::prelude::*;

use super::super::{ShardError, TextIdentity, TokenFile, TokenFileWriter};
use super::{TOKENIZER, folder, read, write};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn tokens_come_back_from_any_place(
        tokens in prop::collection::vec(any::<u32>(), 0..40_000),
        wide in any::<bool>(),
        start in any::<prop::sample::Index>(),
        end in any::<prop::sample::Index>(),
    ) {
        let vocabulary = if wide { 1 << 32 } else { 1 << 16 };
        let tokens: Vec<u32> = tokens.iter().map(|token| (u64::from(*token) % vocabulary as u64) as u32).collect();
        let folder = folder();
        let path = folder.path().join("a.tokens");
        let file = write(&path, vocabulary, &tokens);
        prop_assert_eq!(&read(&file), &tokens);
        let (start, end) = (start.index(tokens.len() + 1), end.index(tokens.len() + 1));
        let mut some = vec![0; end.saturating_sub(start)];
        file.read(start as u64, &mut some).expect("it is in the file");
        prop_assert_eq!(&some[..], &tokens[start..end.max(start)]);
        let length = std::fs::metadata(&path).expect("it is there").len();
        prop_assert_eq!(length, 256 + tokens.len() as u64 * if wide { 4 } else { 2 });
        file.verify().expect("it is whole");
    }
}

#[test]
fn the_header_tells_about_text_and_tokenizer() {
    let folder = folder();
    let path = folder.path().join("a.tokens");
    let file = write(&path, 300, &[1, 2, 299]);
    assert_eq!((file.len(), file.bytes(), file.characters(), file.vocabulary_size()), (3, 9, 6, 300));
    assert_eq!((file.text_hash(), file.tokenizer_hash(), file.path()), ([9; 32], TOKENIZER, path.as_path()));
    assert_eq!(file.hash(), *blake3::hash(&[1, 0, 2, 0, 43, 1]).as_bytes());
    assert_eq!(TokenFile::open(&path, &TOKENIZER).expect("it is whole").hash(), file.hash());
}

#[test]
fn another_tokenizer_is_refused() {
    let folder = folder();
    let path = folder.path().join("a.tokens");
    write(&path, 300, &[1]);
    let error = TokenFile::open(&path, &[8; 32]).expect_err("another tokenizer");
    assert!(matches!(&error, ShardError::WrongTokenizer { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("({})", "07".repeat(32))), "{error}");
    assert!(error.to_string().contains("a.tokens"), "{error}");
}

#[test]
fn more_than_there_is_cannot_be_read() {
    let folder = folder();
    let file = write(&folder.path().join("a.tokens"), 300, &[1, 2, 3]);
    for (start, count) in [(0, 4), (3, 1), (4, 0), (u64::MAX, 1), (u64::MAX, 0), (2, 2)] {
        let error = file.read(start, &mut vec![0; count]).expect_err("it is not there");
        assert!(matches!(error, ShardError::OutOfBounds { tokens: 3, .. }), "{error:?}");
    }
    file.read(3, &mut []).expect("nothing is always there");
}

#[test]
fn tokens_beyond_the_vocabulary_are_not_written() {
    let folder = folder();
    let path = folder.path().join("a.tokens");
    let mut writer = TokenFileWriter::create(&path, TOKENIZER, 300).expect("the folder can be written");
    writer.push(&[1, 2]).expect("they are in the vocabulary");
    let error = writer.push(&[299, 300]).expect_err("300 is not");
    assert!(matches!(error, ShardError::TokenOutOfRange { index: 3, offset: 262, token: 300, .. }), "{error:?}");
}

#[test]
fn a_file_has_its_name_only_when_it_is_whole() {
    let folder = folder();
    let path = folder.path().join("a.tokens");
    let files = || std::fs::read_dir(folder.path()).expect("it is a folder").count();
    let mut writer = TokenFileWriter::create(&path, TOKENIZER, 300).expect("the folder can be written");
    writer.push(&[1, 2]).expect("they are in the vocabulary");
    assert!(!path.exists());
    drop(writer);
    assert_eq!(files(), 0);
    let writer = TokenFileWriter::create(&path, TOKENIZER, 300).expect("the folder can be written");
    writer.finish(TextIdentity::default()).expect("the folder can be written");
    assert_eq!(files(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let folder = folder();
    let path = folder.path().join("no").join("a.tokens");
    assert!(matches!(TokenFileWriter::create(&path, TOKENIZER, 300), Err(ShardError::Write { .. })));
    assert!(matches!(TokenFile::open(&path, &TOKENIZER), Err(ShardError::Read { .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    // Writing to /dev/full fails as a full disk does; the name beside it leads there.
    let folder = folder();
    let path = folder.path().join("a.tokens");
    std::os::unix::fs::symlink("/dev/full", folder.path().join("a.tokens.part")).expect("the folder can be written");
    let mut writer = TokenFileWriter::create(&path, TOKENIZER, 300).expect("it can be opened");
    let error = match writer.push(&vec![1; 2 << 20]) {
        Err(error) => error,
        Ok(()) => writer.finish(TextIdentity::default()).expect_err("nothing can be written"),
    };
    assert!(
        matches!(&error, ShardError::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
        "{error:?}"
    );
    assert!(!path.exists());
}

#[test]
fn many_threads_read_at_once() {
    let folder = folder();
    let tokens: Vec<u32> = (0..100_000).map(|index| index % 1000).collect();
    let file = write(&folder.path().join("a.tokens"), 1000, &tokens);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (file, tokens) = (file.clone(), &tokens);
            scope.spawn(move || {
                for start in (thread * 100..90_000).step_by(777) {
                    let mut some = vec![0; 500];
                    file.read(start as u64, &mut some).expect("it is in the file");
                    assert_eq!(some, tokens[start..start + 500]);
                }
            });
        }
    });
}

#[test]
fn a_text_in_memory_is_read_like_its_file() {
    let text = "äbc abc ".repeat(3000);
    let config: kiln_models::TokenizerConfig = toml::from_str("[character]").expect("it is a tokenizer");
    let tokenizer = kiln_models::Tokenizer::train(&config, &mut std::iter::once(Ok(text.clone()))).expect("a text");
    let memory = TokenFile::in_memory(&text, &tokenizer).expect("its own text");
    let folder = folder();
    let mut writer =
        TokenFileWriter::create(&folder.path().join("a.tokens"), tokenizer.hash(), tokenizer.vocabulary_size())
            .expect("a folder");
    writer.push(&tokenizer.encode(&text).expect("its own text")).expect("room");
    let hash = *blake3::hash(text.as_bytes()).as_bytes();
    let file = writer.finish(TextIdentity { bytes: 27_000, characters: 24_000, hash }).expect("room");
    assert_eq!(read(&memory), read(&file));
    assert_eq!((memory.hash(), memory.text_hash(), memory.tokenizer_hash()), (file.hash(), hash, tokenizer.hash()));
    assert_eq!((memory.bytes(), memory.characters(), memory.len()), (27_000, 24_000, 24_000));
    memory.verify().expect("it is whole");
    let mut some = [0; 3];
    memory.read(20_000, &mut some).expect("it is in the text");
    assert_eq!(some[..], read(&file)[20_000..20_003]);
    assert!(matches!(memory.read(23_999, &mut some), Err(ShardError::OutOfBounds { .. })));
}
