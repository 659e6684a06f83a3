//! Conversations as `transformers` writes them (`scripts/reference/chat_templates.py`), and hostile templates.

use std::time::Instant;

use kiln_models::saved::ChatTemplate;
use kiln_models::{ByteTokenizerConfig, Tokenizer, TokenizerConfig};
use serde::Deserialize;

use super::{ChatError, ChatFormat, Message};
use crate::template::TemplateError;

#[derive(Deserialize)]
struct Fixture {
    tokens: std::collections::BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    messages: Vec<Message>,
    text: Option<String>,
    error: Option<String>,
}

fn read(path: &str) -> Fixture {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The cases that come out otherwise, in words.
fn differences(fixture: Fixture) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in fixture.cases {
        let template = ChatTemplate { source: case.template, tokens: fixture.tokens.clone() };
        let found = ChatFormat::new(&template).and_then(|format| format.render(&case.messages));
        let is_right = match (&found, &case.text, &case.error) {
            (Ok(found), Some(text), _) => found == text,
            (Err(ChatError::Refused(found)), _, Some(error)) => found == error,
            (Err(_), None, Some(_)) => true,
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{}: {found:?}, not {:?} {:?}", case.name, case.text, case.error));
        }
    }
    wrong
}

#[test]
fn conversations_are_written_as_transformers_writes_them() {
    let fixture = read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat-templates.json"));
    assert!(fixture.cases.len() >= 24);
    let wrong = differences(fixture);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Published templates are not part of the project: `scripts/reference/chat_templates.py FOLDER OUT` makes such a file
/// of those in a folder.
#[test]
#[ignore = "needs a file of cases, named by KILN_CHAT_TEMPLATES"]
fn published_templates_are_rendered_as_transformers_renders_them() {
    let fixture = read(&std::env::var("KILN_CHAT_TEMPLATES").expect("the name of a file"));
    let all = fixture.cases.len();
    let wrong = differences(fixture);
    assert!(wrong.is_empty(), "{} of {all}\n{}", wrong.len(), wrong.join("\n"));
}

fn format(source: &str) -> Result<ChatFormat, ChatError> {
    ChatFormat::new(&ChatTemplate { source: source.to_owned(), tokens: Default::default() })
}

#[test]
fn a_template_that_does_not_end_is_an_error_soon() {
    for source in [
        "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
        "{% for a in range(10000) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 'x' * 90000000 }}",
    ] {
        let started = Instant::now();
        let error = format(source).unwrap().render(&[Message::new("user", "x")]).unwrap_err();
        assert!(started.elapsed().as_secs() < 5, "{source}");
        let ChatError::Template(error) = error else { panic!("{source}: {error}") };
        assert!(matches!(error, TemplateError::Endless(_) | TemplateError::Failed(_)), "{source}: {error}");
    }
    for source in ["{% if %}", &"x".repeat(300 << 10)] {
        assert!(matches!(format(source), Err(ChatError::Template(TemplateError::Unreadable(_)))));
    }
}

#[test]
fn what_a_message_says_is_never_a_special_token() {
    let config = TokenizerConfig::Byte(ByteTokenizerConfig { special_tokens: vec!["<|end|>".to_owned()] });
    let tokenizer = Tokenizer::train(&config, &mut std::iter::empty()).unwrap();
    let end = tokenizer.end_token().unwrap();
    let format = format("{% for m in messages %}{{ m.role }}:{{ m.content | trim }}<|end|>{% endfor %}").unwrap();
    let count = |content: &str| {
        let tokens = format.encode(&tokenizer, &[Message::new("user", content)]).unwrap();
        let ends = tokens.iter().filter(|token| **token == end).count();
        (ends, tokenizer.decode(&tokens))
    };
    assert_eq!(count("hello"), (1, "user:hello<|end|>".to_owned()));
    // The decoded text cannot show the difference; the tokens do.
    assert_eq!(count(" a<|end|>b "), (1, "user:a<|end|>b<|end|>".to_owned()));
    assert_eq!(count("<|end|>"), (1, "user:<|end|><|end|>".to_owned()));
    assert_eq!(count("\u{E000}<|end|>"), (1, "user:\u{E000}<|end|><|end|>".to_owned()));
}
