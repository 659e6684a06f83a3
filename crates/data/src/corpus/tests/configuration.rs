//! `[data]`: what is accepted, and what is said about the rest.

use kiln_models::{ByteTokenizerConfig, END_TOKEN, TokenizerConfig};

use super::super::{BuiltinConfig, DataConfig, DownloadConfig, FileConfig};

const HASH: &str = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed";

fn keys(config: &DataConfig) -> Vec<String> {
    config.validate().into_iter().map(|violation| violation.key).collect()
}

fn file() -> DataConfig {
    DataConfig { file: Some(FileConfig { paths: vec!["a.txt".into(), "b/*.txt".into()] }), ..DataConfig::default() }
}

fn download(url: &str, sha256: &str, name: Option<&str>) -> DataConfig {
    let name = name.map(str::to_owned);
    let download = DownloadConfig { url: url.into(), sha256: sha256.into(), name };
    DataConfig { download: Some(download), ..DataConfig::default() }
}

#[test]
fn one_source_of_each_kind_breaks_no_rule() {
    let builtin = DataConfig { builtin: Some(BuiltinConfig::default()), ..DataConfig::default() };
    for config in [file(), builtin, download("https://example.org/a.txt", HASH, None)] {
        assert_eq!(config.validate(), Vec::new());
    }
}

#[test]
fn exactly_one_source_must_be_there() {
    let none = DataConfig::default();
    assert_eq!(keys(&none), ["file"]);
    let two = DataConfig { builtin: Some(BuiltinConfig::default()), ..file() };
    assert_eq!(keys(&two), ["builtin"]);
    assert!(two.validate()[0].message.contains("`file` is too"));
}

#[test]
fn the_fraction_leaves_text_on_both_sides() {
    for fraction in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
        assert_eq!(
            keys(&DataConfig { validation_fraction: fraction, ..file() }),
            ["validation-fraction"],
            "{fraction}"
        );
    }
}

#[test]
fn a_download_needs_an_address_a_checksum_and_a_plain_name() {
    assert_eq!(keys(&download("ftp://example.org/a.txt", HASH, None)), ["download.url"]);
    assert_eq!(keys(&download("example.org/a.txt", &HASH[1..], None)), ["download.url", "download.sha256"]);
    assert_eq!(keys(&download("https://example.org/a", &format!("{}x", &HASH[1..]), None)), ["download.sha256"]);
    for name in ["../a.txt", "a/b", "..", ".", "", "a\\b"] {
        assert_eq!(keys(&download("https://example.org/a.txt", HASH, Some(name))), ["download.name"], "{name}");
    }
}

#[test]
fn the_name_of_a_download_is_the_last_part_of_its_address() {
    let name = |url: &str, name| download(url, HASH, name).download.map(|config| config.file_name().to_owned());
    assert_eq!(name("https://example.org/a/b.txt?x=/y#z", None).as_deref(), Some("b.txt"));
    assert_eq!(name("https://example.org/a/", None).as_deref(), Some("download"));
    assert_eq!(name("https://example.org/a/", Some("c.txt")).as_deref(), Some("c.txt"));
}

#[test]
fn a_split_by_document_is_one_of_text_that_has_documents() {
    let every = |text: &str| Some(text.to_owned());
    let split = DataConfig { validation: every("every 10th document"), ..file() };
    assert_eq!((split.validate(), split.splits_by_document(), file().splits_by_document()), (Vec::new(), true, false));
    assert_eq!(keys(&DataConfig { validation: every("every tenth document"), ..file() }), ["validation"]);
    let named = DataConfig { validation_files: Some(vec!["v/*.txt".into(), "a***".into(), String::new()]), ..file() };
    assert_eq!(keys(&named), ["validation-files[1]", "validation-files[2]"]);
    assert_eq!(keys(&DataConfig { validation_files: Some(Vec::new()), ..file() }), ["validation-files"]);
    let named = DataConfig { validation_files: Some(vec!["v.txt".into()]), ..split.clone() };
    assert_eq!(keys(&named), ["validation-files"]);
    let builtin = DataConfig { file: None, builtin: Some(BuiltinConfig::default()), ..split };
    assert_eq!(keys(&builtin), ["validation"]);
}

#[test]
fn files_need_paths_that_can_be_patterns() {
    let paths = |paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        keys(&DataConfig { file: Some(FileConfig { paths }), ..DataConfig::default() })
    };
    assert_eq!(paths(&[]), ["file.paths"]);
    assert_eq!(paths(&["a.txt", "", "a***"]), ["file.paths[1]", "file.paths[2]"]);
}

#[test]
fn separators_need_a_token_and_text_that_is_not_built_in() {
    let separated = DataConfig { separator: Some(String::new()), ..file() };
    assert_eq!(separated.validate(), Vec::new());
    let builtin = DataConfig { file: None, builtin: Some(BuiltinConfig::default()), ..separated.clone() };
    assert_eq!(keys(&builtin), ["separator"]);
    let byte = |tokens: &[&str]| {
        let special_tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        TokenizerConfig::Byte(ByteTokenizerConfig { special_tokens })
    };
    assert_eq!(separated.validate_with(&byte(&[END_TOKEN])), None);
    assert_eq!(file().validate_with(&byte(&[])), None);
    let violation = separated.validate_with(&byte(&[])).expect("there is no token for the separator");
    assert_eq!(violation.key, "data.separator");
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let read = |toml: &str| toml::from_str::<DataConfig>(toml);
    let config = read("[file]\npaths = [\"a.txt\", \"b/*.txt\"]").expect("all else has a default");
    assert_eq!(config, file());
    assert_eq!(config.validation_fraction, 0.1);
    for (wrong, field) in [("[file]\npath = [\"a.txt\"]", "path"), ("validation-fration = 0.1", "validation-fration")] {
        let error = read(wrong).expect_err("there is no such key");
        assert!(error.message().starts_with(&format!("unknown field `{field}`")), "{error}");
    }
    let again: DataConfig = read(&toml::to_string(&config).expect("it has a form in TOML")).expect("we wrote it");
    assert_eq!(again, config);
}
