//! Conversations, scores and models for other programs, through the binary.

use serde_json::Value;

use crate::foreign::folder;
use crate::support::Workshop;

/// A model that was taught to answer, by its folder's own word.
fn taught() -> Workshop {
    let workshop = Workshop::new();
    let model = folder(&workshop);
    let template = "{% for m in messages %}{% if m.role == 'system' and loop.index0 > 0 %}\
                    {{ raise_exception('the system speaks first') }}{% endif %}{{ m.content }}{% endfor %}\
                    {% if messages | length > 4 %}{{ raise_exception('enough said') }}{% endif %}";
    std::fs::write(model.join("chat_template.jinja"), template).expect("it can be written");
    workshop
}

const CHAT: [&str; 6] = ["chat", "llama", "-t", "0", "--device", "cpu"];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_conversation_is_answered_turn_by_turn_from_what_was_read_before() {
    let workshop = taught();
    let chat = [&CHAT[..], &["-n", "8", "--verbose"]].concat();
    let finished = workshop.kiln_with(&chat, b"ABC\nDEF\n/save said.json\n/reset\nABC\n/quit\nGHI\n").success();
    let answers: Vec<&str> = finished.stdout.lines().collect();
    let said = json(&std::fs::read_to_string(workshop.path("said.json")).expect("it was saved"));
    let said: Vec<(&str, &str)> = said
        .as_array()
        .expect("a list")
        .iter()
        .map(|message| (message["role"].as_str().expect("a role"), message["content"].as_str().expect("it")))
        .collect();
    assert_eq!(answers.len(), 3, "{answers:?}");
    assert_eq!(said, [("user", "ABC"), ("assistant", answers[0]), ("user", "DEF"), ("assistant", answers[1])]);
    assert_eq!(answers[2], answers[0], "begun anew");
    // The same as the whole text continued.
    let sample = |prompt: &str| {
        let arguments = ["sample", "llama", "-p", prompt, "-n", "8", "-t", "0", "--device", "cpu", "--json"];
        json(&workshop.kiln(&arguments).success().stdout)["text"].as_str().expect("a text").to_owned()
    };
    assert_eq!(answers[0], sample("ABC"));
    assert_eq!(answers[1], sample(&format!("ABC{}DEF", answers[0])));
    let read: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("tokens read")).collect();
    assert!(read[0].starts_with("3 tokens read, 0 of them before"), "{read:?}");
    // The last token that was written has not been read yet.
    assert!(read[1].starts_with("14 tokens read, 10 of them before"), "{read:?}");
}

#[test]
fn what_a_conversation_cannot_be_is_said_and_forgotten() {
    let workshop = taught();
    let chat = [&CHAT[..], &["-n", "2"]].concat();
    let finished = workshop.kiln_with(&chat, b"#\nABC\n/save\n/nothing\nDEF\nGHI\n/system JKL\nABC\n").success();
    assert_eq!(finished.stdout.lines().count(), 3, "{}", finished.stdout);
    for words in ["U+0023", "enough said", "name the file", "there is no /nothing", "/system TEXT", "begun anew"] {
        assert!(finished.stderr.contains(words), "{words}: {}", finished.stderr);
    }
    std::fs::remove_file(workshop.path("llama/chat_template.jinja")).expect("it is there");
    let untaught = workshop.kiln_with(&CHAT, b"ABC\n");
    assert_eq!(untaught.code, Some(2), "{}", untaught.stderr);
    assert!(untaught.stderr.contains("has no chat template"), "{}", untaught.stderr);
    workshop.write("own.jinja", "{{ messages[0].content");
    let broken = workshop.kiln_with(&[&CHAT[..], &["--template", "own.jinja"]].concat(), b"ABC\n");
    assert_eq!(broken.code, Some(3), "{}", broken.stderr);
    assert!(broken.stderr.contains("the chat template cannot be read"), "{}", broken.stderr);
}

#[test]
fn each_token_of_a_text_is_scored() {
    let workshop = Workshop::new();
    folder(&workshop);
    let arguments = ["score", "llama", "--text", "ABCABC", "--top", "2", "--device", "cpu"];
    let scored = json(&workshop.kiln(&[&arguments[..], &["--json"]].concat()).success().stdout);
    let tokens = scored["tokens"].as_array().expect("a list");
    assert_eq!(tokens.len(), 6);
    assert!(tokens[0]["log_probability"].is_null() && tokens[0]["rank"].is_null());
    let sum: f64 = tokens[1..].iter().map(|token| token["log_probability"].as_f64().expect("a number")).sum();
    assert!((sum - scored["log_probability"].as_f64().expect("a number")).abs() < 1e-9);
    assert!(tokens[1..].iter().all(|token| token["top"].as_array().is_some_and(|top| top.len() == 2)));
    // As `kiln eval` measures it, but for the rows of the model that the tokenizer doesn't have.
    workshop.write("text.txt", "ABCABC");
    let measured = workshop.kiln(&["eval", "llama", "text.txt", "--json", "--device", "cpu"]).success().stdout;
    let (loss, nats) = (json(&measured)["loss"].as_f64(), scored["nats_per_token"].as_f64());
    let (loss, nats) = (loss.expect("a number"), nats.expect("a number"));
    assert!(nats < loss && nats > loss - 1.0, "{nats} {loss}");
    let words = workshop.kiln(&arguments).success().stdout;
    assert!(words.contains("\"B\"   likeliest: ") && words.contains("nats per token"), "{words}");
    assert_eq!(workshop.kiln(&["score", "llama", "--text", "", "--device", "cpu"]).code, Some(2));
}

#[test]
fn a_model_is_written_for_other_programs_and_read_again() {
    let workshop = Workshop::new();
    folder(&workshop);
    let sample = |model: &str| {
        let arguments = ["sample", model, "-p", "ABC", "-n", "30", "-t", "0", "--device", "cpu"];
        workshop.kiln(&arguments).success().stdout
    };
    for (format, output) in [("gguf", "out.gguf"), ("hf", "out")] {
        let export = ["export", "llama", "--format", format, "-o", output, "--device", "cpu"];
        let finished = workshop.kiln(&export).success();
        assert!(finished.stderr.contains("a llama model"), "{}", finished.stderr);
        assert_eq!(sample(output), sample("llama"), "{format}");
        let again = workshop.kiln(&export);
        assert_eq!(again.code, Some(2), "{}", again.stderr);
        assert!(again.stderr.contains("is there already"), "{}", again.stderr);
        let inspected = workshop.kiln(&["inspect", output]).success().stdout;
        assert!(inspected.contains("family       llama"), "{inspected}");
    }
    let packed = workshop.kiln(&["export", "llama", "--format", "hf", "--precision", "q8_0", "-o", "x"]);
    assert_eq!(packed.code, Some(3), "{}", packed.stderr);
    assert!(packed.stderr.contains("q8_0 is a type of GGUF files"), "{}", packed.stderr);
    assert!(!workshop.path("x").exists() && !workshop.path("x.part").exists());
    for model in ["out.gguf", "out"] {
        let trained = workshop.kiln(&["train", model]);
        assert_eq!(trained.code, Some(2), "{}", trained.stderr);
        assert!(trained.stderr.contains("is a model, not a configuration or a text"), "{}", trained.stderr);
        let resumed = workshop.kiln(&["resume", model]);
        assert_eq!(resumed.code, Some(3), "{}", resumed.stderr);
    }
    for format in ["gguf", "hf"] {
        let nowhere = workshop.kiln(&["export", "llama", "--format", format, "-o", "no/x", "--device", "cpu"]);
        assert_eq!(nowhere.code, Some(3), "{}", nowhere.stderr);
    }
}

#[test]
fn a_recurrent_model_of_another_program_becomes_a_run() {
    let workshop = Workshop::new();
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fixtures/recurrent/gru.safetensors");
    std::fs::copy(fixture, workshop.path("gru.safetensors")).expect("it can be copied");
    let names = |family: &str| {
        let of_layer = |kind: &str| format!("gru.{kind}_l{{layer}}");
        format!(
            "[tensors]\nfamily = \"{family}\"\nembedding = \"embedding.weight\"\ninput-weight = \"{}\"\nhidden-weight \
             = \
             \"{}\"\ninput-bias = \"{}\"\nhidden-bias = \"{}\"\noutput-weight = \"fc.weight\"\noutput-bias = \
             \"fc.bias\"\n\n[tokens]\nfile = \"tokens.json\"\nend = \"k\"\n",
            of_layer("weight_ih"),
            of_layer("weight_hh"),
            of_layer("bias_ih"),
            of_layer("bias_hh"),
        )
    };
    workshop.write("names.toml", names("gru"));
    workshop.write("tokens.json", r#"["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]"#);
    let import = ["import", "gru.safetensors", "--names", "names.toml", "--run", "mine", "--device", "cpu"];
    workshop.kiln(&import).success();
    let sample = ["sample", "mine", "-p", "abc", "-n", "9", "-t", "0", "--device", "cpu"];
    let sampled = workshop.kiln(&sample).success();
    assert_eq!(sampled.stderr, "");
    let listed: serde_json::Value =
        serde_json::from_str(&workshop.kiln(&["ls", "--json"]).success().stdout).expect("it is JSON");
    let row = &listed[0];
    assert_eq!(
        [&row["name"], &row["kind"], &row["state"], &row["model"]],
        ["mine", "model", "a model without a run", "gru"]
    );
    let text = sampled.stdout;
    assert!(text.starts_with("abc") && text.bytes().all(|byte| (b'a'..=b'j').contains(&byte)), "{text}");
    let again = workshop.kiln(&import);
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    workshop.write("names.toml", names("lstm"));
    let other = workshop.kiln(&[&import[..5], &["other"]].concat());
    assert_eq!(other.code, Some(3), "{}", other.stderr);
    assert!(other.stderr.contains("gru.weight_ih_l0"), "{}", other.stderr);
    workshop.write("names.toml", "[tensors]\nfamily = \"gru\"\n");
    let short = workshop.kiln(&[&import[..5], &["other"]].concat());
    assert_eq!(short.code, Some(2), "{}", short.stderr);
    assert!(!workshop.path("runs/other").exists() && !workshop.path("runs/other.part").exists());
}
