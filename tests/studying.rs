//! `kiln study` through the binary.

use std::fs;

use serde_json::Value;

use crate::support::{Workshop, compare_refusal, repository};

const GRADIENTS: &str = "\
title = \"a small study\"
seeds = 2

[data.builtin]
characters = 20_000

[tokenizer.character]

[[models]]
name = \"RNN\"
model.rnn = { layers = 1, hidden = 8 }

[[models]]
name = \"a transformer\"
model.transformer = { layers = 1, heads = 2, width = 8 }

[optimizer.adamw]

[schedule.constant]
rate = 1e-2

[run]
steps = 6
batch = 2
context = 16

[study.gradients]
lags = 8
windows = 4
";

/// The same with something else that is measured.
fn measuring(study: &str) -> String {
    format!("{}{study}", GRADIENTS.split("[study").next().unwrap_or_default())
}

#[test]
fn a_study_prints_its_table_and_leaves_figures_numbers_and_a_report() {
    let workshop = Workshop::new();
    workshop.write("small.toml", GRADIENTS);
    let finished = workshop.kiln(&["study", "small.toml"]).success();
    for words in ["a small study", "| RNN ", "falls by e over", "The gradient with respect to its inputs"] {
        assert!(finished.stdout.contains(words), "{words} is not in\n{}", finished.stdout);
    }
    assert!(!finished.stdout.contains("NaN"), "{}", finished.stdout);
    for file in [
        "report.html",
        "small.toml",
        "small-inputs.svg",
        "small-states-rnn.svg",
        "small-training-a-transformer.svg",
        "small-norms.csv",
    ] {
        let found = fs::metadata(workshop.path(&format!("runs/small/{file}")));
        assert!(found.is_ok_and(|file| file.len() > 100), "{file}");
    }
    let numbers = fs::read_to_string(workshop.path("runs/small/small-norms.csv")).unwrap();
    assert_eq!(numbers.lines().next(), Some("model,update,state,distance,norm,low,high"));
    // Three stages of two states at nine distances, but what the only block makes of earlier tokens has no way to the
    // loss.
    let of = |model: &str| numbers.lines().filter(|line| line.starts_with(model)).count();
    assert_eq!((of("RNN"), of("a transformer")), (2 * 2 * 9, 2 * 10));
    let report = fs::read_to_string(workshop.path("runs/small/report.html")).unwrap();
    assert!(report.contains("<svg") && !report.contains("src=\"http"));
}

#[test]
fn every_kind_of_study_is_made_from_a_list() {
    let workshop = Workshop::new();
    let studies = [
        ("context", "[study.context]\nplaces = 8\n"),
        ("attention", "[study.attention]\ntokens = 8\nwindows = 2\n"),
        ("families", "[study.families]\nequal = [\"tokens\", \"flops\"]\n"),
        ("scaling", "[study.scaling]\nparameters = [456, 808, 1260, 1812]\n"),
        ("behaviour", "[study.behaviour]\ntokens = 12\ntemperatures = [0.5, 1.0]\n"),
        ("explosion", "[study.explosion]\nscales = [1.0]\nrates = [0.1]\nclip-norm = 1.0\nclip-value = 0.1\n"),
        ("recall", "[study.recall]\ntasks = [\"copy\", \"adding\"]\ndistances = [2, 4]\nexamples = 8\n"),
    ];
    for (name, study) in studies {
        let mut text = measuring(study);
        let transformer =
            "[[models]]\nname = \"a transformer\"\nmodel.transformer = { layers = 1, heads = 2, width = 8 }\n";
        let rnn = "[[models]]\nname = \"RNN\"\nmodel.rnn = { layers = 1, hidden = 8 }\n";
        match name {
            "attention" => text = text.replace(rnn, ""),
            "explosion" => text = text.replace(transformer, ""),
            "recall" => {
                text = text.replace("[data.builtin]\ncharacters = 20_000\n", "").replace("[tokenizer.character]\n", "");
            }
            _ => {}
        }
        workshop.write(&format!("{name}.toml"), text);
    }
    let names: Vec<String> = studies.iter().map(|(name, _)| format!("\"{name}.toml\"")).collect();
    workshop.write("all.toml", format!("title = \"all\"\nstudies = [{}]\n", names.join(", ")));
    let checked = workshop.kiln(&["check", "all.toml"]).success();
    assert!(
        checked.stdout.contains("all.toml is valid: all") && checked.stdout.contains("trainings: "),
        "{}",
        checked.stdout
    );
    let finished = workshop.kiln(&["study", "all.toml", "--output", "out"]).success();
    assert_eq!(finished.stdout.matches("a small study").count(), studies.len());
    for file in [
        "context-losses.svg",
        "context-context.csv",
        "attention-maps-a-transformer.svg",
        "attention-rollout-a-transformer.svg",
        "attention-heads.csv",
        "families-tokens.svg",
        "families-flops.svg",
        "families-losses.csv",
        "scaling-law.svg",
        "behaviour-surprisal-rnn.svg",
        "behaviour-reliability.svg",
        "behaviour-diversity.svg",
        "explosion-norms-rnn.svg",
        "explosion-cliff.svg",
        "recall-copy.svg",
        "recall-adding.svg",
        "recall-recall.csv",
        "report.html",
    ] {
        assert!(workshop.path(&format!("out/{file}")).exists(), "{file}");
    }
    let maps = fs::read_to_string(workshop.path("out/attention-maps-a-transformer.svg")).unwrap();
    // Two heads of 8 tokens: each sees itself and those before it, and says how much.
    assert_eq!(maps.matches("<title>").count(), 2 * 36);
    assert_eq!(maps.matches("looks at").count(), 2 * 36);
}

#[test]
fn attention_of_a_model_is_shown_as_text_as_pictures_and_as_numbers() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    workshop.kiln(&["train", "transformer.toml", "--set", "run.steps=8", "--run", "small"]).success();
    let finished = workshop.kiln(&["study", "attention", "small", "--text", "once upon", "--output", "maps"]).success();
    assert!(finished.stdout.contains("layer 1, head 1\n") && finished.stdout.contains('█'), "{}", finished.stdout);
    assert!(workshop.path("maps/attention.svg").exists() && workshop.path("maps/rollout.svg").exists());
    let finished = workshop.kiln(&["study", "attention", "small", "--text", "once upon", "--json"]).success();
    let found: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(found["tokens"].as_array().map(Vec::len), Some(9));
    let rows = found["heads"][0]["weights"].as_array().unwrap();
    let sum: f64 = rows[8].as_array().unwrap().iter().filter_map(Value::as_f64).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    let other = Workshop::with_config("tiny/lstm.toml");
    other.kiln(&["train", "lstm.toml", "--set", "run.steps=8", "--run", "small"]).success();
    let refused = other.kiln(&["study", "attention", "small", "--text", "once upon"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("`small` has no attention: only a transformer does"), "{}", refused.stderr);
    let refused = workshop.kiln(&["study", "attention", "small", "--text", "o"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("a text of 2 to 32 tokens can be shown, and this has 1"), "{}", refused.stderr);
}

#[test]
fn mistakes_in_a_study_are_explained() {
    let workshop = Workshop::new();
    let wrong = GRADIENTS.replace("lags = 8", "lags = 16").replace("seeds = 2", "seeds = 0");
    workshop.write("study.toml", wrong.replace("windows = 4", "window = 4"));
    compare_refusal("mistakes/study", &["check", "study.toml"], &workshop);
    workshop.write("run.toml", "[model.gru]\n");
    compare_refusal("mistakes/study-of-a-run", &["study", "run.toml"], &workshop);
    workshop.write("study.toml", GRADIENTS);
    compare_refusal("mistakes/run-of-a-study", &["train", "study.toml"], &workshop);
    let finished = workshop.kiln(&["study"]);
    assert_eq!(finished.code, Some(2));
    workshop.write("twice.toml", "title = \"t\"\nstudies = [\"study.toml\", \"study.toml\"]\n");
    let finished = workshop.kiln(&["check", "twice.toml"]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("two of the studies are named `study`"), "{}", finished.stderr);
}

#[test]
fn the_shipped_studies_are_checked() {
    let lecture = repository().join("configs/study/lecture.toml").display().to_string();
    let finished = Workshop::new().kiln(&["check", &lecture, "--json"]).success();
    let found: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert!(found["trainings"].as_u64() > Some(100), "{found}");
    assert_eq!(found["studies"].as_array().map(Vec::len), Some(8));
}
