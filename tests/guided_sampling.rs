//! `kiln sample` with a second model, and under a grammar.

use serde_json::Value;

use crate::support::{Finished, Workshop};

/// A workshop with a transformer, an Elman network of the same characters, and one of bytes.
fn workshop() -> Workshop {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let few = ["--set", "run.steps=8", "--set", "run.checkpoint-every=4", "--set", "schedule.cosine.warmup=2"];
    let train = |config: &str, run: &str| {
        workshop.kiln(&[&["train", config, "--device", "cpu", "--run", run], &few[..]].concat()).success();
    };
    train("transformer.toml", "large");
    let text = std::fs::read_to_string(workshop.path("transformer.toml")).expect("it was written");
    let network = "[model.transformer]\nlayers = 2\nheads = 2\nwidth = 32";
    assert!(text.contains(network), "{text}");
    let small = text.replace(network, "[model.rnn]\nlayers = 1\nhidden = 16\nembedding = 8");
    let small = small.replace("windows = \"random\"", "windows = \"streams\"");
    workshop.write("small.toml", &small);
    train("small.toml", "small");
    workshop.write("bytes.toml", small.replace("[tokenizer.character]", "[tokenizer.byte]"));
    train("bytes.toml", "bytes");
    workshop
}

fn sample(workshop: &Workshop, run: &str, arguments: &[&str]) -> Finished {
    workshop.kiln(&[&["sample", run, "--device", "cpu", "-p", "the ", "-n", "60"], arguments].concat())
}

fn json(workshop: &Workshop, arguments: &[&str]) -> Value {
    let stdout = sample(workshop, "large", &[arguments, &["--json"]].concat()).success().stdout;
    serde_json::from_str(&stdout).expect("it is one JSON object")
}

#[track_caller]
fn assert_refused(finished: &Finished, words: &str) {
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains(words), "{words} is not in {}", finished.stderr);
}

#[test]
fn a_draft_and_an_amateur_read_what_the_model_reads() {
    let workshop = workshop();
    let plain = json(&workshop, &["-t", "0"]);
    assert_eq!(plain.get("guesses"), None);
    for (draft, speculate) in [("small", "5"), ("large", "3")] {
        let found = json(&workshop, &["-t", "0", "--draft", draft, "--speculate", speculate]);
        assert_eq!(found["text"], plain["text"], "{draft}");
        let [made, right] = ["made", "right"].map(|key| found["guesses"][key].as_u64().expect("it is a number"));
        assert!(made > 0 && right <= made && (draft == "small" || right > made / 2), "{right} of {made}");
    }
    let said = sample(&workshop, "large", &["--draft", "small", "--verbose"]).success().stderr;
    assert!(said.contains(" guesses right ("), "{said}");
    // Only what is likeliest is plausible.
    let strict = json(&workshop, &["-t", "1", "--amateur", "small", "--contrast-alpha", "1"]);
    assert_eq!(strict["text"], plain["text"]);
    let contrasted =
        json(&workshop, &["-t", "0", "--amateur", "small", "--contrast-alpha", "0.001", "--contrast-beta", "30"]);
    assert_ne!(contrasted["text"], plain["text"]);

    let refused = |run: &str, more: &[&str], words: &str| assert_refused(&sample(&workshop, run, more), words);
    refused("large", &["--draft", "bytes"], "--draft bytes: its tokenizer isn't that of the model");
    refused("large", &["--amateur", "bytes"], "--amateur bytes: its tokenizer isn't that of the model");
    refused("small", &["--draft", "large"], "a recurrent model reads token by token");
    refused("large", &["--amateur", "small", "--contrast-alpha", "0"], "--contrast-alpha must be greater than 0");
    refused("large", &["--contrast-alpha", "0.5"], "--amateur");
    refused("large", &["--draft", "small", "--beams", "2"], "cannot be used with");
}

#[test]
fn a_grammar_is_held_to() {
    let workshop = workshop();
    let found = json(&workshop, &["-t", "1", "--regex", "(a|b|c){3} (day|night)"]);
    let text = found["text"].as_str().expect("it is a text");
    let (first, last) = text.split_once(' ').expect("it has two parts");
    assert!(first.len() == 3 && first.chars().all(|letter| "abc".contains(letter)), "{text}");
    assert!(["day", "night"].contains(&last), "{text}");
    assert_eq!(found["finish"], "grammar");
    workshop.write("schema.json", r#"{"type": "array", "items": {"enum": [1, 22]}, "minItems": 1, "maxItems": 3}"#);
    let written = sample(&workshop, "bytes", &["-t", "1", "--json-schema", "schema.json", "--json"]).success().stdout;
    let written: Value = serde_json::from_str(&written).expect("it is JSON");
    let list: Vec<u64> = serde_json::from_str(written["text"].as_str().expect("it is a text")).expect("it is a list");
    assert!((1..=3).contains(&list.len()) && list.iter().all(|item| [1, 22].contains(item)), "{list:?}");
    workshop.write("grammar.lark", "start: \"ab\" | \"ba\" start\n");
    let text = json(&workshop, &["-t", "0", "--grammar", "grammar.lark"])["text"].as_str().expect("a text").to_owned();
    assert!(text.trim_end_matches("ab").chars().all(|letter| "ab".contains(letter)), "{text}");

    let refused = |more: &[&str], words: &str| assert_refused(&sample(&workshop, "large", more), words);
    refused(&["--regex", "(a"], "the regular expression cannot be used");
    refused(&["--regex", "\u{1F98A}+"], "not even a first token");
    let missing = sample(&workshop, "large", &["--grammar", "missing.lark"]);
    assert!(missing.code == Some(3) && missing.stderr.contains("missing.lark"), "{}", missing.stderr);
    refused(&["--regex", "a", "--grammar", "grammar.lark"], "cannot be used with");
    refused(&["--regex", "a", "--beams", "2"], "cannot be used with");
}
