//! A tour of mistakes in configurations and files, each with what it prints and its exit code, in `snapshots/mistakes`.
//!
//! After a wanted change of a message: `SNAPSHOTS=overwrite cargo test --release --workspace mistakes`, and read the
//! difference.

use crate::support::{Workshop, compare_refusal};

/// A right configuration that the mistakes are made in; its text is short, so that the snapshots are.
const RIGHT: &str = r#"seed = 1

[data.file]
paths = ["tales.txt"]

[tokenizer.character]

[model.transformer]
layers = 2
heads = 2
width = 32

[optimizer.adamw]

[schedule.cosine]
rate = 1e-3
warmup = 5

[run]
steps = 20
batch = 4
context = 16
"#;

/// A workshop with the right configuration, changed by `mistake`, and a text that it trains on.
fn workshop(mistake: impl FnOnce(&str) -> String) -> Workshop {
    let workshop = Workshop::new();
    workshop.write("config.toml", mistake(RIGHT));
    workshop.write("tales.txt", "Once upon a time there was a kiln, and in it burned a fire.\n".repeat(40));
    workshop
}

/// Compares what a command prints with `snapshots/mistakes/NAME.txt`.
fn compare(name: &str, arguments: &[&str], workshop: &Workshop) {
    compare_refusal(&format!("mistakes/{name}"), arguments, workshop);
}

/// Makes a mistake in the configuration and compares what `kiln check` says to it.
fn check(name: &str, mistake: impl FnOnce(&str) -> String) {
    let arguments = ["check", "config.toml"];
    compare(name, &arguments, &workshop(mistake));
}

/// Compares what a command says to the right configuration.
fn command(name: &str, arguments: &[&str]) {
    compare(name, arguments, &workshop(str::to_owned));
}

#[test]
fn the_configuration_itself_is_right() {
    workshop(str::to_owned).kiln(&["check", "config.toml"]).success();
}

#[test]
fn a_typo_in_a_key() {
    check("typo", |text| text.replace("context = 16", "contxt = 16"));
}

#[test]
fn a_typo_in_a_section() {
    check("typo-section", |text| text.replace("[model.transformer]", "[model.transfomer]"));
}

#[test]
fn a_value_of_the_wrong_type() {
    check("wrong-type", |text| text.replace("steps = 20", "steps = \"20\""));
}

#[test]
fn a_value_out_of_range() {
    check("out-of-range", |text| text.replace("width = 32", "width = 32\ndropout = 1.5"));
}

#[test]
fn a_sentinel_for_none() {
    check("sentinel", |text| format!("{text}clip-norm = -1\n"));
}

#[test]
fn two_models() {
    check("two-models", |text| format!("{text}\n[model.lstm]\nhidden = 32\n"));
}

#[test]
fn a_missing_section_and_a_missing_key() {
    check("missing", |text| text.replace("[optimizer.adamw]\n", "").replace("batch = 4\n", ""));
}

#[test]
fn a_word_that_is_no_choice() {
    check("unknown-word", |text| text.replace("width = 32", "width = 32\nactivation = \"gleu\""));
}

#[test]
fn a_file_that_is_no_toml() {
    check("syntax", |text| text.replace("rate = 1e-3", "rate = 1e-"));
}

#[test]
fn a_file_that_is_no_text() {
    let workshop = workshop(str::to_owned);
    workshop.write("config.toml", b"seed = 1\n# caf\xe9\n");
    compare("config-not-utf8", &["check", "config.toml"], &workshop);
}

#[test]
fn a_number_of_heads_that_does_not_divide_the_width() {
    check("heads", |text| text.replace("heads = 2", "heads = 5"));
}

#[test]
fn a_warm_up_longer_than_the_run() {
    check("warm-up", |text| text.replace("warmup = 5", "warmup = 50"));
}

#[test]
fn streams_for_a_model_without_a_state() {
    check("streams", |text| format!("{text}windows = \"streams\"\n"));
}

#[test]
fn many_mistakes_at_once() {
    check("many", |text| {
        text.replace("seed = 1", "sed = 1")
            .replace("paths = [\"tales.txt\"]", "paths = \"tales.txt\"")
            .replace("layers = 2", "layers = 0")
            .replace("rate = 1e-3", "rate = -1e-3")
            .replace("context = 16", "context = 16.0")
    });
}

#[test]
fn a_configuration_that_is_not_there() {
    command("missing-config", &["check", "confg.toml"]);
}

#[test]
fn an_override_of_an_unknown_key_and_one_of_the_wrong_type() {
    command("set", &["check", "config.toml", "--set", "run.step=10", "--set", "run.batch=1O"]);
}

#[test]
fn an_override_without_a_value() {
    command("set-without-value", &["check", "config.toml", "--set", "run.steps"]);
}

/// A workshop with a run of two steps in `runs/fired`.
fn fired() -> Workshop {
    let workshop = workshop(str::to_owned);
    let train = [
        "train",
        "config.toml",
        "--run",
        "fired",
        "--device",
        "cpu",
        "--set",
        "run.steps=2",
        "--set",
        "schedule.cosine.warmup=0",
    ];
    workshop.kiln(&train).success();
    workshop
}

const TRAIN: [&str; 4] = ["train", "config.toml", "--device", "cpu"];
const SAMPLE: [&str; 4] = ["sample", "runs/fired", "--device", "cpu"];

/// Makes a mistake in the files and compares what `kiln train` says to it.
fn train(name: &str, mistake: impl FnOnce(&Workshop)) {
    let workshop = workshop(str::to_owned);
    mistake(&workshop);
    compare(name, &TRAIN, &workshop);
}

#[test]
fn a_text_that_is_not_there() {
    train("missing-text", |workshop| std::fs::remove_file(workshop.path("tales.txt")).expect("it was there"));
}

#[test]
fn a_text_that_is_not_utf8() {
    train("text-not-utf8", |workshop| workshop.write("tales.txt", b"Once upon a time there was a caf\xe9.\n"));
}

#[test]
fn a_text_that_is_empty() {
    train("empty-text", |workshop| workshop.write("tales.txt", ""));
}

#[test]
fn a_context_longer_than_the_split() {
    train("short-text", |workshop| workshop.write("tales.txt", "Once upon a time there was a kiln.\n".repeat(4)));
    let workshop = workshop(|text| text.replace("context = 16", "context = 1000"));
    let arguments = ["check", "config.toml"];
    compare("long-context", &arguments, &workshop);
}

#[test]
fn a_character_that_only_the_validation_split_has() {
    train("unknown-character", |workshop| {
        workshop.write("tales.txt", "Once upon a time there was a kiln.\n".repeat(40) + "It cost 3 \u{20ac}.");
    });
}

#[test]
fn a_download_that_is_another_file() {
    let workshop = workshop(|text| {
        let hash = "0123456789abcdef".repeat(4);
        text.replace(
            "[data.file]\npaths = [\"tales.txt\"]",
            &format!("[data.download]\nurl = \"URL\"\nsha256 = \"{hash}\""),
        )
    });
    let url = format!("file://{}", workshop.path("tales.txt").display());
    let text = std::fs::read_to_string(workshop.path("config.toml")).expect("it was written").replace("URL", &url);
    workshop.write("config.toml", text);
    compare("wrong-download", &TRAIN, &workshop);
}

#[test]
fn a_tokenizer_that_is_none() {
    let workshop =
        workshop(|text| text.replace("[tokenizer.character]", "[tokenizer.file]\npath = \"tokenizer.json\""));
    compare("missing-tokenizer", &TRAIN, &workshop);
    workshop.write("tokenizer.json", "{\"version\": \"1.0\"}");
    compare("broken-tokenizer", &TRAIN, &workshop);
}

#[test]
fn a_run_folder_that_cannot_be_written() {
    train("unwritable-run", |workshop| workshop.write("runs", "a file where the folder should be"));
}

#[test]
fn a_name_of_a_run_that_leads_elsewhere() {
    command("run-name", &["train", "config.toml", "--run", "../elsewhere"]);
}

#[test]
fn a_run_that_exists() {
    let arguments = ["train", "config.toml", "--run", "fired", "--device", "cpu"];
    compare("existing-run", &arguments, &fired());
}

#[test]
fn a_resumed_run_with_another_model() {
    let arguments = [
        "train",
        "config.toml",
        "--run",
        "fired",
        "--device",
        "cpu",
        "--resume",
        "--set",
        "model.transformer.width=64",
    ];
    compare("resume-other-model", &arguments, &fired());
}

#[test]
fn a_device_that_no_machine_has() {
    command("unknown-device", &["train", "config.toml", "--device", "gpu"]);
}

#[test]
fn a_device_that_is_not_here() {
    if cfg!(feature = "wgpu") {
        command("missing-device", &["train", "config.toml", "--device", "wgpu:99"]);
    }
}

#[test]
fn a_rate_that_makes_training_diverge() {
    let arguments = ["train", "config.toml", "--device", "cpu", "--set", "schedule.cosine.rate=1e30"];
    compare("diverged", &arguments, &workshop(str::to_owned));
}

#[test]
fn a_run_that_is_not_there() {
    command("missing-run", &SAMPLE);
}

#[test]
fn a_checkpoint_that_is_not_there() {
    let arguments = ["sample", "runs/fired", "--device", "cpu", "--checkpoint", "7"];
    compare("missing-checkpoint", &arguments, &fired());
}

#[test]
fn weights_that_were_cut_off() {
    let workshop = fired();
    let weights = "runs/fired/checkpoints/step-00000002/model.safetensors";
    let bytes = std::fs::read(workshop.path(weights)).expect("the run was saved");
    workshop.write(weights, &bytes[..bytes.len() / 2]);
    compare("truncated-weights", &SAMPLE, &workshop);
}

#[test]
fn a_vocabulary_that_does_not_match_the_checkpoint() {
    let workshop = fired();
    let other = [
        "train",
        "config.toml",
        "--run",
        "other",
        "--device",
        "cpu",
        "--set",
        "run.steps=1",
        "--set",
        "schedule.cosine.warmup=0",
    ];
    workshop.write("tales.txt", "Another text, with other characters!\n".repeat(40));
    workshop.kiln(&other).success();
    std::fs::copy(workshop.path("runs/other/tokenizer.json"), workshop.path("runs/fired/tokenizer.json"))
        .expect("both are there");
    compare("other-vocabulary", &SAMPLE, &workshop);
}

#[test]
fn a_prompt_with_a_character_that_the_model_never_saw() {
    let arguments = ["sample", "runs/fired", "--device", "cpu", "--prompt", "Once \u{20ac}"];
    compare("unknown-prompt", &arguments, &fired());
}

#[test]
fn a_temperature_below_zero() {
    let arguments = ["sample", "runs/fired", "--device", "cpu", "--temperature=-1", "--top-p=2"];
    compare("temperature", &arguments, &fired());
}
