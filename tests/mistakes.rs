//! A tour of mistakes in configurations and files, each with what it prints and its exit code, in `snapshots/mistakes`.
//!
//! After a wanted change of a message: `SNAPSHOTS=overwrite cargo test --release --workspace mistakes`, and read the difference.

use crate::support::{Finished, Workshop, repository};

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

/// Compares what a command printed with `snapshots/mistakes/NAME.txt`.
fn compare(name: &str, arguments: &[&str], finished: &Finished) {
    assert_eq!(finished.stdout, "", "a mistake writes nothing to stdout");
    let code = finished.code.map_or("none, ended by a signal".into(), |code| code.to_string());
    let told = format!("$ kiln {}\n\n{}\nexit code {code}\n", arguments.join(" "), finished.stderr);
    assert!(!told.contains("panicked"), "the text of a panic reached the user: {told}");
    let path = repository().join("tests/snapshots/mistakes").join(format!("{name}.txt"));
    let expected = snapbox::Data::read_from(&path, Some(snapbox::data::DataFormat::Text));
    snapbox::assert_data_eq!(told, expected);
}

/// Makes a mistake in the configuration and compares what `kiln check` says to it.
fn check(name: &str, mistake: impl FnOnce(&str) -> String) {
    let arguments = ["check", "config.toml"];
    compare(name, &arguments, &workshop(mistake).kiln(&arguments));
}

/// Compares what a command says to the right configuration.
fn command(name: &str, arguments: &[&str]) {
    compare(name, arguments, &workshop(str::to_owned).kiln(arguments));
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
    compare("config-not-utf8", &["check", "config.toml"], &workshop.kiln(&["check", "config.toml"]));
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
