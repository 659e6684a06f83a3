//! Which files are read, and what is said about those that cannot be.

use super::super::{CorpusError, Split};
use super::{files, folder, open, text, write};

fn all(corpus: &super::Corpus) -> String {
    text(corpus, Split::Train) + &text(corpus, Split::Validation)
}

#[test]
fn patterns_are_sorted_and_files_are_read_once() {
    let folder = folder();
    for name in ["b.txt", "a.txt", "c.md", "[x].txt"] {
        write(folder.path(), name, format!("{name} "));
    }
    std::fs::create_dir(folder.path().join("d.txt")).expect("the temporary folder can be written");
    let read = |paths: &[&str]| all(&open(&files(folder.path(), paths)).expect("there is text"));
    assert_eq!(read(&["*.txt"]), "[x].txt a.txt b.txt ");
    assert_eq!(read(&["c.md", "?.txt", "a.txt"]), "c.md a.txt b.txt ");
    assert_eq!(read(&["[x].txt"]), "[x].txt ");
}

#[test]
fn hidden_files_are_left_out_unless_the_pattern_names_their_dot() {
    let folder = folder();
    for name in ["a.txt", "._a.txt", ".hidden/b.txt", "c/.checkpoints/d.txt", "c/e.txt"] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("folders can be made");
        std::fs::write(path, format!("{name} ")).expect("a file can be written");
    }
    let read = |path: &str| all(&open(&files(folder.path(), &[path])).expect("there is text"));
    assert_eq!(read("*.txt"), "a.txt ");
    assert_eq!(read("**/*.txt"), "a.txt c/e.txt ");
    assert_eq!(read("._*.txt"), "._a.txt ");
}

#[cfg(unix)]
#[test]
fn a_pattern_does_not_go_round_in_circles() {
    let folder = folder();
    for name in ["a/b.txt", "c/d.txt"] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("folders can be made");
        std::fs::write(path, format!("{name} ")).expect("a file can be written");
    }
    std::os::unix::fs::symlink("..", folder.path().join("a/up")).expect("a link can be made");
    std::os::unix::fs::symlink("c", folder.path().join("e")).expect("a link can be made");
    // The link beside a folder leads to files that are read already.
    assert_eq!(all(&open(&files(folder.path(), &["**/*.txt"])).expect("there is text")), "a/b.txt c/d.txt ");
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_text_is_an_error_where_a_pattern_asks_for_it() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    write(folder.path(), "a.txt", "text");
    std::fs::create_dir(folder.path().join("sub")).expect("a folder can be made");
    let latin = std::path::Path::new("sub").join(std::ffi::OsStr::from_bytes(b"caf\xe9.txt"));
    std::fs::write(folder.path().join(latin), "text").expect("a file can be written");
    for pattern in ["sub/*.txt", "**/*.txt", "*/caf?.txt"] {
        let error = open(&files(folder.path(), &[pattern])).expect_err("it cannot be named");
        assert!(matches!(&error, CorpusError::Unnameable { .. }), "{pattern}: {error:?}");
        assert!(error.to_string().contains("caf\\xE9.txt"), "{error}");
    }
    for pattern in ["*.txt", "*/*.md", "s*/tea*.txt"] {
        assert!(!matches!(open(&files(folder.path(), &[pattern])), Err(CorpusError::Unnameable { .. })), "{pattern}");
    }
}

#[test]
fn brackets_in_the_name_of_a_folder_are_explained() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("data [v2]")).expect("a folder can be made");
    std::fs::write(folder.path().join("data [v2]/a.txt"), "text").expect("a file can be written");
    let error = open(&files(folder.path(), &["data [v2]/*.txt"])).expect_err("nothing matches");
    assert!(error.to_string().contains("data [[]v2]/*.txt"), "{error}");
    // The pattern that is proposed for the folder is one that finds what is in it.
    let error = open(&files(folder.path(), &["data [v2]"])).expect_err("it is a folder").to_string();
    let (_, proposed) = error.split_once("a pattern such as ").expect("one is proposed");
    assert!(proposed.ends_with("data [[]v2[]]/*.txt\""), "{error}");
    for pattern in ["data [[]v2]/*.txt", "data [[]v2[]]/*.txt"] {
        assert_eq!(all(&open(&files(folder.path(), &[pattern])).expect("there is text")), "text");
    }
    let violations = files(folder.path(), &["b[x/*.txt"]).validate();
    assert!(violations.iter().any(|violation| violation.message.contains("is neither a file nor a pattern")));
}

#[test]
fn a_missing_file_and_a_pattern_without_match_are_named() {
    let folder = folder();
    let error = open(&files(folder.path(), &["no.txt"])).expect_err("there is no file");
    assert!(matches!(&error, CorpusError::Missing { path, .. } if path.ends_with("no.txt")), "{error:?}");
    let error = open(&files(folder.path(), &["*.txt"])).expect_err("nothing matches");
    assert!(matches!(&error, CorpusError::NoMatch { pattern, .. } if pattern.ends_with("*.txt")), "{error:?}");
}

#[test]
fn relative_paths_are_looked_for_beside_the_configuration_first() {
    let folder = folder();
    write(folder.path(), "a.txt", "text");
    let named = |paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let mut config = super::DataConfig { file: Some(super::FileConfig { paths }), ..super::DataConfig::default() };
        config.look_in(folder.path());
        config
    };
    for path in ["a.txt", "*.txt"] {
        let config = named(&[path]);
        let there = folder.path().join(path).to_string_lossy().into_owned();
        assert_eq!(config.file.as_ref().map(|file| &file.paths), Some(&vec![there]));
        assert_eq!(all(&open(&config).expect("it is beside the configuration")), "text");
    }
    // This crate's manifest is in the folder that tests are started in.
    let manifest = named(&["Cargo.toml"]);
    assert_eq!(manifest.file.as_ref().map(|file| &file.paths[0]), Some(&"Cargo.toml".to_owned()));
    assert!(all(&open(&manifest).expect("it is in the current folder")).contains("kiln-data"));
    let here = std::env::current_dir().expect("there is a current folder");
    let error = open(&named(&["no.txt"])).expect_err("it is in neither").to_string();
    let places = format!(
        "; it was looked for beside the configuration, in {}, and in the current folder, {}",
        folder.path().display(),
        here.display()
    );
    assert_eq!(error, format!("there is no file \"no.txt\"{places}"));
}

#[test]
fn folders_pipes_and_devices_are_no_text() {
    let folder = folder();
    let error = open(&files(folder.path(), &["."])).expect_err("a folder is no text");
    assert!(matches!(error, CorpusError::NotAFile { .. }), "{error:?}");
    #[cfg(unix)]
    {
        let error = open(&files(std::path::Path::new("/dev"), &["zero"])).expect_err("a device is no text");
        assert!(matches!(error, CorpusError::NotAFile { .. }), "{error:?}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_found_wherever_they_are() {
    let folder = folder();
    // At the start, in the middle, around the end of a piece, unfinished at the end of the file.
    for at in [0, 7, (256 << 10) - 1, 256 << 10, 300_000] {
        let mut bytes = vec![b'a'; 300_001];
        bytes[at] = 0xC3;
        write(folder.path(), "bad.txt", &bytes);
        let error = open(&files(folder.path(), &["bad.txt"])).expect_err("it is not UTF-8");
        match &error {
            CorpusError::NotUtf8 { path, offset } => {
                assert_eq!((path.ends_with("bad.txt"), *offset), (true, at as u64))
            }
            other => panic!("{other:?}"),
        }
        assert!(error.to_string().contains(&format!("the first wrong byte is at offset {at}")), "{error}");
    }
}

#[test]
fn characters_across_pieces_are_whole() {
    let folder = folder();
    for shift in 0..4 {
        let long = "a".repeat(shift) + &"🦊é".repeat(100_000);
        write(folder.path(), "long.txt", &long);
        let corpus = open(&files(folder.path(), &["long.txt"])).expect("there is text");
        assert_eq!(corpus.characters(), 200_000 + shift as u64);
        assert!(all(&corpus) == long);
    }
}

#[test]
fn a_byte_order_mark_is_left_out_and_line_ends_are_kept() {
    let folder = folder();
    write(folder.path(), "a.txt", "\u{FEFF}one\r\ntwo\n");
    write(folder.path(), "b.txt", "\u{FEFF}\u{FEFF}three\r");
    let corpus = open(&files(folder.path(), &["a.txt", "b.txt"])).expect("there is text");
    assert_eq!(all(&corpus), "one\r\ntwo\n\u{FEFF}three\r");
    assert_eq!(corpus.characters(), 16);
}

#[test]
fn a_corpus_without_text_is_an_error() {
    let folder = folder();
    write(folder.path(), "empty.txt", "");
    write(folder.path(), "mark.txt", "\u{FEFF}");
    let error = open(&files(folder.path(), &["*.txt"])).expect_err("there is no text");
    assert!(matches!(error, CorpusError::Empty { .. }), "{error:?}");
    assert!(error.to_string().contains("mark.txt"), "{error}");
}

#[test]
fn a_corpus_too_short_to_be_split_is_an_error() {
    let folder = folder();
    write(folder.path(), "short.txt", "a");
    let error = open(&files(folder.path(), &["short.txt"])).expect_err("one split is empty");
    assert_eq!(
        error.to_string(),
        "the training split would be empty: the corpus has 1 characters and `data.validation-fraction` is 0.1"
    );
}

#[test]
fn a_file_that_changes_between_two_readings_is_noticed() {
    let folder = folder();
    write(folder.path(), "a.txt", "0123456789");
    let corpus = open(&files(folder.path(), &["a.txt"])).expect("there is text");
    write(folder.path(), "a.txt", "01234567890123456789");
    let error = corpus.pieces(Split::Train).find_map(Result::err).expect("the file is longer now");
    assert!(matches!(error, CorpusError::Changed { .. }), "{error:?}");
    std::fs::remove_file(folder.path().join("a.txt")).expect("the file is there");
    let error = corpus.pieces(Split::Train).find_map(Result::err).expect("the file is gone");
    assert!(matches!(error, CorpusError::Read { .. }), "{error:?}");
}

#[test]
fn an_identity_tells_corpora_apart_and_is_the_same_twice() {
    let folder = folder();
    write(folder.path(), "a.txt", "one");
    write(folder.path(), "b.txt", "one");
    let identity = |config: &super::DataConfig| config.identity().expect("the files are there");
    let base = files(folder.path(), &["a.txt"]);
    let mut all = vec![
        identity(&base),
        identity(&files(folder.path(), &["b.txt"])),
        identity(&files(folder.path(), &["a.txt", "b.txt"])),
        identity(&super::DataConfig { validation_fraction: 0.2, ..base.clone() }),
        identity(&super::DataConfig { separator: Some(String::new()), ..base.clone() }),
    ];
    assert_eq!(identity(&base), all[0]);
    let both = files(folder.path(), &["a.txt", "b.txt"]);
    for every in ["every 2nd document", "every 3rd document"] {
        all.push(identity(&super::DataConfig { validation: Some(every.into()), ..both.clone() }));
    }
    let b = files(folder.path(), &["b.txt"]).file.map(|file| file.paths);
    // The same files in the same order, but the second one validates.
    all.push(identity(&super::DataConfig { validation_files: b, ..base.clone() }));
    write(folder.path(), "a.txt", "another");
    all.push(identity(&base));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 9);
}

#[test]
fn files_with_the_same_bytes_are_found_whatever_they_are_called() {
    let folder = folder();
    // Longer than what is compared first, so that `late.txt` differs behind it.
    let long = "0123456789".repeat(10_000);
    let late = format!("{}x", &long[..long.len() - 1]);
    for (name, text) in [("a.txt", "abc"), ("b.txt", "abd"), ("c.txt", "abc"), ("d.txt", "abc"), ("empty", "")] {
        write(folder.path(), name, text);
    }
    for (name, text) in [("long.txt", &long), ("late.txt", &late), ("same.txt", &long), ("empty2", &String::new())] {
        write(folder.path(), name, text);
    }
    let copies = |config: &super::DataConfig| -> Vec<(String, String, bool)> {
        let name = |path: std::path::PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found = config.copies(folder.path()).expect("all files are there").into_iter();
        found.map(|copy| (name(copy.path), name(copy.of), copy.validates)).collect()
    };
    let copy = |path: &str, of: &str, validates| (path.to_owned(), of.to_owned(), validates);
    let all = ["long.txt", "a.txt", "b.txt", "late.txt", "c.txt", "same.txt", "d.txt", "empty", "empty2", "a.txt"];
    let config = files(folder.path(), &all);
    let expected = [copy("c.txt", "a.txt", false), copy("same.txt", "long.txt", false), copy("d.txt", "a.txt", false)];
    assert_eq!(copies(&config), expected);
    let mut config = files(folder.path(), &["b.txt", "a.txt", "late.txt"]);
    config.validation_files = files(folder.path(), &["long.txt", "c.txt", "d.txt"]).file.map(|file| file.paths);
    assert_eq!(copies(&config), [copy("c.txt", "a.txt", true), copy("d.txt", "a.txt", true)]);
    assert_eq!(copies(&files(folder.path(), &["a.txt", "b.txt", "late.txt", "long.txt"])), []);
}
