//! From conversations to tokens and marks, once.

use std::path::Path;

use kiln_models::saved::{ChatTemplate, Conversing};
use kiln_models::{BytePairTokenizerConfig, ByteTokenizerConfig, CharacterTokenizerConfig, TokenizerConfig, Unknown};

use super::super::{ConversationsError, DataError, Mark, PreparedData, TokenFile, prepare, prepare_validation};
use super::{folder, read};
use crate::corpus::{CorpusError, DataConfig};

fn write(folder: &Path, lines: &[(&str, &str)], settings: &str) -> DataConfig {
    let path = folder.join("talks.jsonl");
    let line =
        |(prompt, completion): &(&str, &str)| format!("{{\"prompt\": {prompt:?}, \"completion\": {completion:?}}}\n");
    std::fs::write(&path, lines.iter().map(line).collect::<String>()).expect("the temporary folder can be written");
    let table = format!("paths = [{:?}]\n{settings}", path.to_string_lossy());
    let conversations = toml::from_str(&table).expect("the settings are right");
    DataConfig { conversations: Some(conversations), validation_fraction: 0.25, ..DataConfig::default() }
}

fn byte(special: &[&str]) -> TokenizerConfig {
    let special_tokens = special.iter().map(|token| (*token).to_owned()).collect();
    TokenizerConfig::Byte(ByteTokenizerConfig { special_tokens })
}

fn prepared(data: &DataConfig, tokenizer: &TokenizerConfig, cache: &Path) -> PreparedData {
    prepare(data, tokenizer, cache, &mut |_| ()).expect("all is well")
}

fn problem(data: &DataConfig, tokenizer: &TokenizerConfig) -> DataError {
    let cache = folder();
    let error = prepare(data, tokenizer, cache.path(), &mut |_| ()).expect_err("something is wrong");
    let left = std::fs::read_dir(cache.path().join("tokens"))
        .map_or(0, |entries| entries.flatten().filter(|entry| entry.path().is_dir()).count());
    assert_eq!(left, 0, "nothing is written in half: {error}");
    error
}

/// The text of a split, with brackets around what is predicted and a bar before each example.
fn shown(data: &PreparedData, file: &TokenFile) -> String {
    let marks = file.path().with_extension("marks");
    let marks = read(&TokenFile::open(&marks, &data.tokenizer.hash()).expect("they are beside the tokens"));
    let (mut text, mut before) = (String::new(), false);
    for (token, mark) in read(file).into_iter().zip(marks) {
        let Mark { counted, starts } = mark.into();
        text += if before && !counted { "]" } else { "" };
        text += if starts { "|" } else { "" };
        text += if counted && !before { "[" } else { "" };
        text += &data.tokenizer.decode(&[token]);
        before = counted;
    }
    text + if before { "]" } else { "" }
}

const TALKS: [(&str, &str); 4] = [("hi", "ho"), ("one", "two"), ("x", "y"), ("why", "oh")];

#[test]
fn answers_are_marked_in_both_splits() {
    let (folder, cache) = (folder(), folder());
    let data = write(folder.path(), &TALKS, "template = \"plain\"");
    let found = prepared(&data, &byte(&["<|end|>"]), cache.path());
    let expected = "|user: hi<|end|>\nassistant:[ ho<|end|>]|user: one<|end|>\nassistant:[ two<|end|>]|user: \
                    x<|end|>\nassistant:[ y<|end|>]";
    assert_eq!(shown(&found, &found.train), expected);
    assert_eq!(shown(&found, &found.validation), "|user: why<|end|>\nassistant:[ oh<|end|>]");
    // " ho" and its end, " two", " y": the bytes are those of the answers without the template's space.
    assert_eq!((found.train.predicted(), found.train.bytes(), found.train.characters()), (12, 6, 6));
    let facts = found.conversations.clone().expect("they are conversations");
    assert_eq!((facts.train, facts.validation, facts.wrong.count), (3, 1, 0));
    let end = found.tokenizer.end_token().expect("it has one");
    assert_eq!(facts.conversing.end_tokens, [end]);
    // Made once, and whole or not at all.
    let mut steps = 0;
    let again = prepare(&data, &byte(&["<|end|>"]), cache.path(), &mut |_| steps += 1).expect("all is well");
    assert_eq!((steps, &again.conversations, again.train.predicted()), (0, &found.conversations, 12));
    let marks = found.train.path().with_extension("marks");
    std::fs::write(&marks, b"damaged").expect("the cache can be written");
    let mended = prepared(&data, &byte(&["<|end|>"]), cache.path());
    assert_eq!(shown(&mended, &mended.train), expected);
    // The validation split under the run's own tokenizer is the same.
    let settings = byte(&["<|end|>"]);
    for cache in [cache.path(), self::folder().path()] {
        let (validation, _) =
            prepare_validation(&data, &settings, &found.tokenizer, cache, &mut |_| ()).expect("all is well");
        assert_eq!((read(&validation), validation.predicted()), (read(&found.validation), 4));
        assert_eq!(validation.text_hash(), found.validation.text_hash());
    }
}

#[test]
fn tokenizers_learn_from_what_is_written_and_the_start_model_says_how() {
    let (folder, cache) = (folder(), folder());
    let mut data = write(folder.path(), &TALKS, "");
    let template = ChatTemplate {
        source: "{% for m in messages %}({{ m.content }}){% endfor %}".to_owned(),
        tokens: Default::default(),
    };
    let conversing = Conversing { template, end_tokens: vec![7] };
    data.conversations.as_mut().expect("it is there").of_model = Some(conversing.clone());
    let character =
        TokenizerConfig::Character(CharacterTokenizerConfig { unknown: Unknown::Error, special_tokens: vec![] });
    // The last conversation has an `h`, `w` and `y` that the others have too.
    let found = prepared(&data, &character, cache.path());
    assert_eq!(shown(&found, &found.train), "|(hi)[(ho)]|(one)[(two)]|(x)[(y)]");
    assert_eq!(found.conversations.expect("they are conversations").conversing, conversing);
    let pairs =
        BytePairTokenizerConfig { vocabulary_size: 300, special_tokens: vec!["<|end|>".into()], training_bytes: 99 };
    let data = write(folder.path(), &TALKS, "template = \"bare\"");
    let found = prepared(&data, &TokenizerConfig::BytePair(pairs), cache.path());
    assert_eq!(shown(&found, &found.train), "|hi[ho<|end|>]|one[two<|end|>]|x[y<|end|>]");
}

#[test]
fn a_template_of_a_file_is_read_and_its_own_end_ends_answers() {
    let (folder, cache) = (folder(), folder());
    let source = "{% for m in messages %}{{ m.role[0] }}>{{ m.content }}<|stop|>{% endfor %}\
                  {% if add_generation_prompt %}a>{% endif %}";
    let path = folder.path().join("own.jinja");
    std::fs::write(&path, source).expect("the temporary folder can be written");
    let data = write(folder.path(), &TALKS, &format!("template = {:?}", path.to_string_lossy()));
    let found = prepared(&data, &byte(&["<|stop|>"]), cache.path());
    assert_eq!(shown(&found, &found.validation), "|u>why<|stop|>a>[oh<|stop|>]");
    assert_eq!(found.conversations.expect("they are conversations").conversing.end_tokens, [256]);
    // Another template under the same name makes other tokens.
    std::fs::write(&path, source.replace("a>", "a: ")).expect("the temporary folder can be written");
    let error = prepare(&data, &byte(&["<|stop|>"]), cache.path(), &mut |_| ()).expect_err("it contradicts itself");
    assert!(error.to_string().contains("writes the messages before number 2 otherwise"), "{error}");
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_written_in_half() {
    let folder = folder();
    let plain = |lines: &[(&str, &str)], settings: &str| write(folder.path(), lines, settings);
    let error = problem(&plain(&TALKS, ""), &byte(&[]));
    assert!(matches!(error, DataError::Conversations(ConversationsError::NoTemplate { has_start: false })), "{error}");
    assert!(error.to_string().contains("write `template = \"plain\"`"), "{error}");
    for (name, token) in [("plain", "<|end|>"), ("chatml", "<|im_start|>"), ("bare", "<|end|>")] {
        let error = problem(&plain(&TALKS, &format!("template = {name:?}")), &byte(&[])).to_string();
        assert!(error.contains(&format!("needs the special token `{token}`")), "{error}");
    }
    let error = problem(&plain(&TALKS, "template = \"no-such.jinja\""), &byte(&[])).to_string();
    assert!(error.contains("cannot read no-such.jinja"), "{error}");
    let error = problem(&plain(&TALKS[..1], "template = \"plain\""), &byte(&["<|end|>"]));
    assert!(matches!(error, DataError::Corpus(CorpusError::EmptySplit { .. })), "{error}");
    assert!(error.to_string().contains("of conversations there are 1"), "{error}");
    // Characters that a tokenizer's text lacks are in the validation split alone.
    let character = TokenizerConfig::Character(CharacterTokenizerConfig {
        unknown: Unknown::Error,
        special_tokens: vec!["<|end|>".into()],
    });
    let error = problem(&plain(&[("a", "b"), ("a", "b"), ("a", "b"), ("a", "q")], "template = \"plain\""), &character);
    assert!(error.to_string().contains("talks.jsonl, line 4: the conversation cannot be read"), "{error}");
    let refuses = folder.path().join("refuses.jinja");
    std::fs::write(&refuses, "{{ raise_exception('never') }}").expect("the temporary folder can be written");
    let error = problem(&plain(&TALKS, &format!("template = {:?}", refuses.to_string_lossy())), &byte(&[])).to_string();
    assert!(error.contains("4 of 4 lines are no conversations to learn from"), "{error}");
    assert!(error.contains("line 1: the chat template refuses this conversation: never"), "{error}");
    std::fs::write(&refuses, "{% if %}").expect("the temporary folder can be written");
    let error = problem(&plain(&TALKS, &format!("template = {:?}", refuses.to_string_lossy())), &byte(&[])).to_string();
    assert!(error.starts_with("`data.conversations.template`: the chat template cannot be read"), "{error}");
}
