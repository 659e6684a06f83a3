//! Conversations as `transformers` writes them (`scripts/reference/chat_templates.py`), and hostile templates.

use std::time::Instant;

use serde::Deserialize;

use super::{ChatError, ChatExample, ChatFormat, Message, named_template};
use crate::saved::ChatTemplate;
use crate::template::TemplateError;
use crate::{ByteTokenizerConfig, Tokenizer, TokenizerConfig};

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

fn bytes_and(special: &[&str]) -> Tokenizer {
    let special_tokens = special.iter().map(|token| (*token).to_owned()).collect();
    let config = TokenizerConfig::Byte(ByteTokenizerConfig { special_tokens });
    Tokenizer::train(&config, &mut std::iter::empty()).unwrap()
}

/// The text of an example, with brackets around what is learned.
fn shown(tokenizer: &Tokenizer, example: &ChatExample) -> String {
    let mut text = String::new();
    for (place, (token, counted)) in example.tokens.iter().zip(&example.counted).enumerate() {
        let before = place > 0 && example.counted[place - 1];
        text += if *counted == before {
            ""
        } else if *counted {
            "["
        } else {
            "]"
        };
        text += &tokenizer.decode(&[*token]);
    }
    text + if example.counted.last() == Some(&true) { "]" } else { "" }
}

fn of(name: &str, tokenizer: &Tokenizer) -> ChatFormat {
    ChatFormat::new(&named_template(name, tokenizer).unwrap().unwrap().0).unwrap()
}

#[test]
fn answers_and_what_ends_them_are_learned_and_nothing_else() {
    let tokenizer = bytes_and(&["<|end|>", "<|im_start|>", "<|im_end|>"]);
    let messages = [
        Message::new("system", "Rhyme."),
        Message::new("user", "hi"),
        Message::new("assistant", "sky"),
        Message::new("user", "go"),
        Message::new("assistant", "so <|end|>?"),
        Message::new("user", "bye"),
    ];
    let text = |name: &str| shown(&tokenizer, &of(name, &tokenizer).example(&tokenizer, &messages).unwrap());
    assert_eq!(
        text("plain"),
        "system: Rhyme.<|end|>\nuser: hi<|end|>\nassistant:[ sky<|end|>]\nuser: go<|end|>\nassistant:[ so \
         <|end|>?<|end|>]"
    );
    assert_eq!(
        text("chatml"),
        "<|im_start|>system\nRhyme.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n\
         [sky<|im_end|>]\n<|im_start|>user\ngo<|im_end|>\n<|im_start|>assistant\n[so <|end|>?<|im_end|>]"
    );
    assert_eq!(text("bare"), "Rhyme.hi[sky<|end|>]go[so <|end|>?<|end|>]");
    // What is said is text: the special token that it spells is not one, and doesn't end the answer.
    let example = of("plain", &tokenizer).example(&tokenizer, &messages).unwrap();
    let end = tokenizer.end_token().unwrap();
    assert_eq!(example.tokens.iter().filter(|token| **token == end).count(), 5);
    assert_eq!((example.bytes, example.characters), (14, 14));
}

#[test]
fn an_example_begins_as_the_model_is_asked_in_a_conversation() {
    let tokenizer = bytes_and(&["<|end|>", "<|im_start|>", "<|im_end|>"]);
    let messages = [Message::new("user", "one"), Message::new("assistant", "two")];
    for name in super::NAMED_TEMPLATES {
        let format = of(name, &tokenizer);
        let asked = format.encode(&tokenizer, &messages[..1]).unwrap();
        let example = format.example(&tokenizer, &messages).unwrap();
        assert_eq!(example.tokens[..asked.len()], asked, "{name}");
        let first = example.counted.iter().position(|counted| *counted);
        assert_eq!(first, Some(asked.len()), "{name}");
    }
}

#[test]
fn conversations_that_teach_nothing_are_told() {
    let tokenizer = bytes_and(&["<|end|>"]);
    let problem = |source: &str, messages: &[Message]| {
        format(source).unwrap().example(&tokenizer, messages).unwrap_err().to_string()
    };
    let plain = of("plain", &tokenizer);
    assert!(matches!(plain.example(&tokenizer, &[Message::new("user", "x")]), Err(ChatError::NoAnswer)));
    assert!(matches!(plain.example(&tokenizer, &[]), Err(ChatError::NoAnswer)));
    let messages = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
        .map(|(role, text)| Message::new(role, text));
    let forgets = "{% for m in messages %}{{ m.role[:1] }}{% if loop.last or m.role == 'user' %}{{ m.content }}{% \
                   endif %}\
                   {% endfor %}{% if add_generation_prompt %}a{% endif %}";
    assert_eq!(
        problem(forgets, &messages),
        "the chat template writes the messages before number 4 otherwise than without it"
    );
    assert!(problem("{{ raise_exception('no') }}", &messages).ends_with("refuses this conversation: no"));
    // Named templates need their special tokens.
    assert_eq!(named_template("chatml", &tokenizer).unwrap().unwrap_err(), "<|im_start|>");
    assert_eq!(named_template("plain", &bytes_and(&[])).unwrap().unwrap_err(), "<|end|>");
    assert!(named_template("other", &tokenizer).is_none());
}
