//! Choices that `--set` switches, lone texts for lists, and the words of other programs.

use std::fs;

use crate::support::{Finished, Workshop};

/// `kiln check --json` of a tiny transformer with these settings.
fn check(settings: &[&str]) -> Finished {
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let arguments: Vec<&str> = ["check", "transformer.toml", "--json"].into_iter().chain(settings).collect();
    Workshop::with_config("tiny/transformer.toml").kiln(&arguments)
}

#[test]
fn a_table_of_another_choice_replaces_that_of_the_file_and_the_run_has_it() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    workshop.write("tales.txt", "Once upon a time there was a kiln, and in it burned a fire.\n".repeat(400));
    let settings = [
        "model.lstm.hidden=24",
        "optimizer.sgd.momentum=0.5",
        "schedule.constant.rate=0.1",
        "tokenizer=byte",
        "data.file.paths=tales.txt",
        "run.steps=2",
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let train = ["train", "transformer.toml", "--device", "cpu", "--run", "run"];
    let finished = workshop.kiln(&[&train[..], &settings].concat()).success();
    let lines: Vec<&str> = finished.stderr.lines().filter(|line| line.contains(" replaces [")).collect();
    let expected = [
        "`--set model.lstm.hidden=24` replaces [model.transformer] of transformer.toml",
        "`--set optimizer.sgd.momentum=0.5` replaces [optimizer.adamw] of transformer.toml",
        "`--set schedule.constant.rate=0.1` replaces [schedule.cosine] of transformer.toml",
        "`--set tokenizer=byte` replaces [tokenizer.character] of transformer.toml",
        "`--set data.file.paths=tales.txt` replaces [data.builtin] of transformer.toml",
    ];
    assert_eq!(lines, expected);
    let text = fs::read_to_string(workshop.path("runs/run/config.toml")).expect("there is a configuration");
    let config: toml::Table = text.parse().expect("it is TOML");
    for (section, table) in [("model", "lstm"), ("optimizer", "sgd"), ("schedule", "constant"), ("tokenizer", "byte")] {
        let tables: Vec<&String> = config[section].as_table().expect("it is a table").keys().collect();
        assert_eq!(tables, [table]);
    }
    assert_eq!(config["model"]["lstm"]["hidden"].as_integer(), Some(24));
    assert_eq!(config["data"]["file"]["paths"].to_string(), "[\"tales.txt\"]");
    assert!(config["data"].get("builtin").is_none());
    // A later command about the run needs none of the settings.
    workshop.kiln(&["eval", "run", "--device", "cpu"]).success();
}

#[test]
fn settings_of_the_chosen_table_replace_nothing_and_two_choices_contradict_each_other() {
    for settings in [&["model.transformer.layers=1"][..], &["model=transformer"]] {
        let finished = check(settings).success();
        assert!(!finished.stderr.contains("replaces"), "{}", finished.stderr);
    }
    let refused = check(&["model.lstm.hidden=24", "model.gru.hidden=24"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("[model.gru] stands beside [model.lstm]"), "{}", refused.stderr);
    // What is missing or wrong is asked for in the form of the command line, once.
    let cases = [
        ("model=lstn", "there is no `model` named \"lstn\"", "did you mean `--set model=lstm`?"),
        (
            "model=gpt",
            "there is no `model` named \"gpt\"",
            "as in `--set model.rnn.layers=2`; NAME is one of rnn, lstm, ",
        ),
        ("schedule=constant", "`rate` is missing in [schedule.constant]", "`--set schedule.constant.rate=0.01`"),
        ("tokenizer=byte-pair", "`vocabulary-size` is missing", "`--set tokenizer.byte-pair.vocabulary-size=2`"),
        ("model.transformer=big", "must be a table, is the text \"big\"", "write `--set model.transformer.layers=2`"),
        ("run.batch=4.0", "must be a whole number, is 4.0", "write `--set run.batch=4`"),
    ];
    for (setting, words, help) in cases {
        let refused = check(&[setting]);
        assert_eq!(refused.code, Some(2), "{setting}");
        assert!(refused.stderr.contains(words) && refused.stderr.contains(help), "{setting}: {}", refused.stderr);
        assert!(!refused.stderr.contains("problems in"), "{setting}: {}", refused.stderr);
    }
}

#[test]
fn a_lone_text_is_a_list_of_one_where_texts_are_listed() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let settings = ["--set", "run.prompts=the cat", "--set", "run.steps=6", "--device", "cpu", "--run"];
    let train = ["train", "transformer.toml"];
    for (name, prompts) in [("text", "run.prompts=the cat"), ("list", "run.prompts=[\"the cat\"]")] {
        workshop.kiln(&[&train[..], &settings[2..], &[name, "--set", prompts]].concat()).success();
    }
    let [text, list] = ["text", "list"].map(|name| {
        fs::read_to_string(workshop.path(&format!("runs/{name}/config.toml"))).expect("there is a configuration")
    });
    assert_eq!(text, list);
    assert!(text.contains("prompts = [\"the cat\"]"), "{text}");
    // A number is no list of numbers: one of two is missing.
    let refused = check(&["optimizer.adamw.betas=0.9"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("must be a list"), "{}", refused.stderr);
}

#[test]
fn words_of_other_programs_lead_to_the_keys_of_this_one() {
    let cases = [
        ("block_size=64", "`block_size` is `run.context` here"),
        ("run.batch_size=8", "`batch_size` is `run.batch` here"),
        ("model.n_layer=4", "`n_layer` is `model.transformer.layers` here"),
        ("optimizer.adamw.lr=1e-3", "`lr` is `schedule.cosine.rate` here"),
        ("max-iters=10", "`max_iters` is `run.steps` here"),
    ];
    for (setting, words) in cases {
        let refused = check(&[setting]);
        assert_eq!(refused.code, Some(2), "{setting}");
        assert!(refused.stderr.contains(words), "{setting}: {}", refused.stderr);
        assert!(!refused.stderr.contains("did you mean"), "{setting}: {}", refused.stderr);
    }
}
