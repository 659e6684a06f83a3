//! What lines of files of conversations say, and which splits they are in.

use std::path::Path;

use kiln_hostile::{Fate, Form as Shape, each_mutant};
use kiln_models::Message;
use serde_json::{Value, json};

use super::form;
use super::*;
use crate::corpus::{CorpusError, DataConfig, Split};

fn said(line: &Value, form: Option<Form>) -> Result<String, String> {
    let [messages, rejected] = form::said(line, form, false)?;
    assert_eq!(rejected, None);
    Ok(words(messages))
}

fn words(messages: Option<Vec<Message>>) -> String {
    let words = |message: &Message| format!("{}: {}", message.role, message.content);
    messages.unwrap().iter().map(words).collect::<Vec<String>>().join(" | ")
}

#[test]
fn preferences_are_a_prompt_and_two_answers() {
    let pair = |line: Value| form::said(&line, None, true).map(|both| both.map(words));
    let expected = ["user: a | assistant: b", "user: a | assistant: c"].map(str::to_owned);
    assert_eq!(pair(json!({"prompt": "a", "chosen": "b", "rejected": "c"})), Ok(expected.clone()));
    let answer = |text: &str| json!([{"role": "assistant", "content": text}]);
    let prompt = json!([{"role": "user", "content": "a"}]);
    assert_eq!(pair(json!({"prompt": prompt, "chosen": answer("b"), "rejected": answer("c")})), Ok(expected.clone()));
    let whole = |text: &str| json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": text}]);
    assert_eq!(pair(json!({"prompt": "a", "chosen": whole("b"), "rejected": whole("c")})), Ok(expected));
    let problem = |line: Value| pair(line).unwrap_err();
    assert_eq!(problem(json!({"prompt": "a", "chosen": "b", "rejected": "b"})), "`chosen` and `rejected` are the same");
    assert_eq!(problem(json!({"prompt": "a", "chosen": "b"})), "it has no `rejected`");
    assert_eq!(problem(json!({"chosen": "b", "rejected": "c"})), "it has no `prompt`");
    let empty = json!({"prompt": "a", "chosen": " ", "rejected": "c"});
    assert_eq!(problem(empty), "`chosen` doesn't end with an answer of an assistant");
    let plain = said(&json!({"prompt": "a", "chosen": "b", "rejected": "c"}), None).unwrap_err();
    assert!(plain.contains("`[preference.dpo]`"), "{plain}");
}

#[test]
fn each_form_is_known_by_its_keys() {
    let list = json!({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "a"},
                                   {"role": "assistant", "content": [{"type": "text", "text": "b"}, {"text": "c"}]}]});
    assert_eq!(said(&list, None).unwrap(), "system: S | user: a | assistant: bc");
    let share = json!({"id": "x", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]});
    assert_eq!(said(&share, None).unwrap(), "user: a | assistant: b");
    let alpaca = json!({"instruction": "Add.", "input": "1 2", "output": "3"});
    assert_eq!(said(&alpaca, None).unwrap(), "user: Add.\n\n1 2 | assistant: 3");
    let alpaca = json!({"instruction": "Say a.", "input": "", "output": "a", "system": "Be brief."});
    assert_eq!(said(&alpaca, None).unwrap(), "system: Be brief. | user: Say a. | assistant: a");
    let completion = json!({"prompt": "a", "completion": "b"});
    assert_eq!(said(&completion, None).unwrap(), "user: a | assistant: b");
    // What is said of the form is believed.
    let both = json!({"messages": [], "prompt": "a", "completion": "b"});
    assert_eq!(said(&both, Some(Form::Completion)).unwrap(), "user: a | assistant: b");
}

#[test]
fn what_is_wrong_with_a_line_is_said() {
    let problem = |line: Value| said(&line, None).unwrap_err();
    assert_eq!(problem(json!([1])), "it is no JSON object");
    assert!(problem(json!({"text": "a"})).starts_with("it has none of the keys `messages`, `conversations`"));
    assert_eq!(problem(json!({"messages": 7})), "`messages` is no list");
    assert_eq!(problem(json!({"messages": [7]})), "`messages[0]`: it is no object");
    assert_eq!(problem(json!({"messages": [{"role": "user"}]})), "`messages[0]`: it has no `content`");
    let narrated = json!({"messages": [{"role": "user", "content": "a"}, {"role": "narrator", "content": "b"}]});
    assert_eq!(problem(narrated), "`messages[1]`: unknown role \"narrator\"");
    let null = json!({"messages": [{"role": "assistant", "content": null}]});
    assert_eq!(problem(null), "`messages[0]`: `content` is no text");
    let asked = json!({"messages": [{"role": "user", "content": "a"}]});
    assert_eq!(problem(asked), "nobody answers: it has no message of an assistant");
    assert_eq!(problem(json!({"prompt": "a", "completion": " \n"})), "an answer is empty");
    assert_eq!(problem(json!({"instruction": "a"})), "it has no `output`");
}

fn config(folder: &Path, files: &[(&str, &str)]) -> DataConfig {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let paths = files.iter().map(|(name, _)| folder.join(name).to_string_lossy().into_owned()).collect::<Vec<String>>();
    let settings = toml::Table::from_iter([("paths".to_owned(), toml::Value::try_from(paths).unwrap())]);
    let conversations = toml::Value::Table(settings).try_into().unwrap();
    DataConfig { conversations: Some(conversations), ..DataConfig::default() }
}

/// The prompts of the conversations of a split.
fn prompts(config: &DataConfig, split: Split) -> Vec<String> {
    let found = config.open_conversations(&mut |_| {}).unwrap().unwrap();
    let all = found.read().map(Result::unwrap).filter(|conversation| conversation.split == split);
    all.map(|conversation| conversation.messages[0].content.clone()).collect()
}

fn line(prompt: &str) -> String {
    format!("{{\"prompt\": \"{prompt}\", \"completion\": \"x\"}}\n")
}

#[test]
fn splits_are_of_whole_conversations() {
    let folder = tempfile::tempdir().unwrap();
    let letters = |letters: &str| letters.chars().map(|letter| line(&letter.to_string())).collect::<String>();
    let (one, other) = (letters("abcdef") + "\n \n", letters("ghij"));
    let mut config = config(folder.path(), &[("one.jsonl", &one), ("other.jsonl", &other)]);
    config.validation_fraction = 0.25;
    assert_eq!(prompts(&config, Split::Train).concat(), "abcdefg");
    assert_eq!(prompts(&config, Split::Validation).concat(), "hij");
    config.validation = Some("every 4th document".to_owned());
    assert_eq!(prompts(&config, Split::Train).concat(), "abcefgij");
    assert_eq!(prompts(&config, Split::Validation).concat(), "dh");
    config.validation = None;
    config.validation_files = Some(vec![folder.path().join("one.jsonl").to_string_lossy().into_owned()]);
    assert_eq!(prompts(&config, Split::Train).concat(), "ghij");
    assert_eq!(prompts(&config, Split::Validation).concat(), "abcdef");
}

fn problem(config: &DataConfig) -> CorpusError {
    config.open_conversations(&mut |_| {}).unwrap_err()
}

#[test]
fn wrong_lines_are_named_and_counted_and_more_than_a_share_of_them_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let right = line("a").repeat(97);
    let mut config = config(folder.path(), &[("a.jsonl", &format!("{right}[1]\n\nno JSON\n{{}}\n"))]);
    let CorpusError::WrongLines { wrong, share } = problem(&config) else { panic!("they were accepted") };
    assert_eq!((wrong.count, wrong.lines, share), (3, 100, 0.01));
    let path = folder.path().join("a.jsonl");
    let words = CorpusError::WrongLines { wrong, share }.to_string();
    let expected = format!(
        "3 of 100 lines are no conversations to learn from, and `data.conversations.wrong-lines` allows a share of \
         0.01:\n  {0}, line 98: it is no JSON object\n  {0}, line 100: no JSON: expected ident (column 2)\n  {0}, line \
         101: it has none of the keys `messages`, `conversations`, `instruction`, `prompt`",
        path.display()
    );
    assert_eq!(words, expected);
    config.conversations.as_mut().unwrap().wrong_lines = 0.03;
    let found = config.open_conversations(&mut |_| {}).unwrap().unwrap();
    assert_eq!((found.count(), found.wrong().count), (97, 3));
    // A line that isn't UTF-8, and a list of all conversations.
    std::fs::write(&path, b"\xff\n").unwrap();
    assert!(problem(&config).to_string().ends_with("line 1: byte 1 is not UTF-8"));
    std::fs::write(&path, "[\n{}\n]").unwrap();
    assert!(problem(&config).to_string().contains("a list has to be one object a line"));
    for empty in ["", "\n \n"] {
        std::fs::write(&path, empty).unwrap();
        assert_eq!(
            problem(&config).to_string(),
            format!("{} holds no line, and a conversation is a line", path.display())
        );
    }
}

/// Damaged lines give conversations or an error, and nothing is believed that would take memory.
#[test]
fn every_mutant_of_a_file_of_conversations_is_read_or_refused() {
    let right = concat!(
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\\u00e9\"}, \
         {\"role\": \"assistant\", \"content\": \"b\"}]}\n",
        "{\"conversations\": [{\"from\": \"human\", \"value\": \"a\"}, {\"from\": \"gpt\", \"value\": \"b\"}]}\n",
        "{\"instruction\": \"a\", \"input\": \"\", \"output\": \"b\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}\n",
    );
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), &[("a.jsonl", right)]);
    config.conversations.as_mut().unwrap().wrong_lines = 0.9;
    let path = folder.path().join("a.jsonl");
    let tally = each_mutant(&[right.as_bytes().to_vec()], Shape::Text, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        match config.open_conversations(&mut |_| {}) {
            Ok(found) => {
                let found = found.expect("there is a table");
                assert_eq!(found.read().filter(|read| read.is_ok()).count() as u64, found.count());
                Fate::Read
            }
            Err(error) => {
                assert!(error.to_string().contains("a.jsonl"), "{error}");
                Fate::Refused
            }
        }
    });
    assert!(tally.read > 1000 && tally.refused > 300, "{tally:?}");
}
