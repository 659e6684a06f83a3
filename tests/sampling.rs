//! `kiln sample`, on a model of every kind.

use std::fs;
use std::process::Stdio;

use crate::support::{Finished, Workshop};

/// A workshop in which a model of this kind was trained for a few steps, as `run`: well under a second.
fn train(kind: &str) -> Workshop {
    let workshop = Workshop::with_config(&format!("tiny/{kind}.toml"));
    let config = format!("{kind}.toml");
    let few = ["--set", "run.steps=8", "--set", "run.checkpoint-every=4", "--set", "schedule.cosine.warmup=2"];
    let train = ["train", &config, "--device", "cpu", "--run", "run"];
    workshop.kiln(&[&train[..], &few[..]].concat()).success();
    workshop
}

/// `kiln sample runs/run` on the processor with these arguments.
fn sample(workshop: &Workshop, arguments: &[&str]) -> Finished {
    workshop.kiln(&[&["sample", "runs/run", "--device", "cpu"], arguments].concat())
}

fn json(workshop: &Workshop, arguments: &[&str]) -> serde_json::Value {
    let stdout = sample(workshop, &[arguments, &["--json"]].concat()).success().stdout;
    serde_json::from_str(&stdout).expect("it is one JSON object")
}

#[test]
fn the_same_command_writes_the_same_text_and_another_seed_another() {
    let workshop = train("transformer");
    let write =
        |seed| sample(&workshop, &["--max-tokens", "200", "--temperature", "1", "--seed", seed]).success().stdout;
    assert_eq!(write("1"), write("1"));
    assert_ne!(write("1"), write("2"));
    let greedy = |seed| sample(&workshop, &["-n", "50", "--temperature", "0", "--seed", seed]).success().stdout;
    assert_eq!(greedy("1"), greedy("2"));
}

#[test]
fn every_kind_of_model_writes_as_much_as_was_asked_for() {
    for kind in ["rnn", "lstm", "gru"] {
        let stdout = sample(&train(kind), &["-p", "the ", "-n", "100"]).success().stdout;
        assert_eq!(stdout.chars().count(), 104, "{kind}: {stdout}");
    }
    // Three times the context of the transformer.
    let workshop = train("transformer");
    let stdout = sample(&workshop, &["-p", "the ", "-n", "100"]).success().stdout;
    assert_eq!(stdout.chars().count(), 104, "{stdout}");
}

#[test]
fn the_prompt_stands_first_and_comes_from_the_argument_a_file_or_stdin() {
    let workshop = train("transformer");
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    fs::write(file.path(), "the").expect("it can be written");
    let path = file.path().to_string_lossy();
    let expected = sample(&workshop, &["-p", "the", "-n", "30"]).success();

    assert!(expected.stdout.starts_with("the"));
    assert_eq!(expected.stderr, "", "there is nothing to say where stderr is no terminal");
    assert_eq!(sample(&workshop, &["--prompt-file", &path, "-n", "30"]).success().stdout, expected.stdout);
    for arguments in [["--prompt", "-"], ["--prompt-file", "-"]] {
        let all = [&["sample", "runs/run", "--device", "cpu", "-n", "30"], &arguments[..]].concat();
        let finished = workshop.kiln_with(&all, b"the");
        assert_eq!(finished.success().stdout, expected.stdout);
    }
}

#[test]
fn json_is_one_object_that_says_it_all() {
    let workshop = train("transformer");
    let plain = sample(&workshop, &["-p", "the", "-n", "40", "--top-k", "5", "--checkpoint", "4"]).success().stdout;
    let object = json(&workshop, &["-p", "the", "-n", "40", "--top-k", "5", "--checkpoint", "4"]);
    assert_eq!(object["prompt"], "the");
    assert_eq!(plain, format!("the{}", object["text"].as_str().expect("a text")));
    assert_eq!((&object["tokens"], &object["step"], &object["seed"]), (&40.into(), &4.into(), &0.into()));
    assert_eq!(object["finish"], "length");
    assert!(object["tokens_per_second"].as_f64().is_some_and(|speed| speed > 0.0));
}

#[test]
fn nothing_may_be_asked_for_and_a_stop_text_ends_the_writing() {
    let workshop = train("transformer");
    assert_eq!(sample(&workshop, &["-n", "0"]).success().stdout, "");
    let whole = json(&workshop, &["-p", "the", "-n", "300"])["text"].as_str().expect("a text").to_owned();
    let stop: String = whole.chars().skip(20).take(2).collect();
    let object = json(&workshop, &["-p", "the", "-n", "300", "--stop", &stop]);
    assert_eq!(object["finish"], "stop-text");
    assert_eq!(object["text"], whole[..whole.find(&stop).expect("it was taken from there")]);
}

#[test]
fn verbose_says_what_is_used_and_how_fast_it_was() {
    let workshop = train("transformer");
    let sample = sample(&workshop, &["-n", "20", "-v"]).success();
    let stderr = sample.stderr;
    // Where both go to the same place, the speed has a line of its own.
    assert!(sample.stdout.ends_with('\n') || stderr.contains("\n\n20 tokens, the first after"), "{stderr}");
    for words in ["device: cpu", "checkpoints", "step ", "20 tokens", "tokens/s", "stopped by length"] {
        assert!(stderr.contains(words), "{words:?} is not in {stderr}");
    }
}

#[test]
fn a_run_is_found_by_its_name_and_one_that_has_saved_nothing_is_a_run() {
    let workshop = Workshop::new();
    workshop.write("runs/mine/config.toml", "");
    for name in ["mine", "runs/mine"] {
        let unsaved = workshop.kiln(&["sample", name, "--device", "cpu"]);
        assert_eq!(unsaved.code, Some(3), "{}", unsaved.stderr);
        assert!(unsaved.stderr.contains("`run.checkpoint-every`"), "{}", unsaved.stderr);
    }
}

#[test]
fn numbers_that_mean_all_or_none_elsewhere_are_refused_with_what_to_do_instead() {
    let workshop = Workshop::new();
    let cases = [
        (["-n", "-1"], "0 or more"),
        (["--seed", "-1"], "`--seed $RANDOM`"),
        (["--top-k", "-1"], "leave `--top-k` out"),
        (["--top-k", "0"], "leave `--top-k` out"),
    ];
    for (argument, help) in cases {
        let finished = workshop.kiln(&[&["sample", "runs/none"][..], &argument].concat());
        assert_eq!(finished.code, Some(2), "{argument:?}");
        assert!(finished.stderr.contains(help), "{argument:?}: {}", finished.stderr);
    }
}

#[test]
fn settings_that_make_no_sense_are_reported_all_at_once_before_anything_is_opened() {
    let workshop = Workshop::new();
    let finished = workshop.kiln(&[
        "sample",
        "runs/none",
        "--temperature",
        "-1",
        "--top-k",
        "0",
        "--top-p",
        "1.5",
        "--min-p",
        "nan",
        "--repetition-penalty",
        "0",
    ]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""));
    for key in ["--temperature", "--top-k", "--top-p", "--min-p", "--repetition-penalty"] {
        assert!(finished.stderr.contains(&format!("{key} must be")), "{key} is not in {}", finished.stderr);
    }
    for wrong in [&["--stop", ""][..], &["--checkpoint", "newest"], &["-p", "a", "--prompt-file", "b"]] {
        assert_eq!(workshop.kiln(&[&["sample", "runs/none"], wrong].concat()).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_prompt_that_cannot_be_read_is_reported_with_its_place() {
    let workshop = train("transformer");
    let unknown = sample(&workshop, &["-p", "the ☃"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(3), ""));
    assert!(unknown.stderr.contains('☃') && unknown.stderr.contains("byte 4"), "{}", unknown.stderr);

    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    fs::write(file.path(), b"the \xFF").expect("it can be written");
    let broken = sample(&workshop, &["--prompt-file", &file.path().to_string_lossy()]);
    assert_eq!(broken.code, Some(3));
    assert!(broken.stderr.contains("not UTF-8") && broken.stderr.contains("byte 4"), "{}", broken.stderr);
    assert_eq!(sample(&workshop, &["--prompt-file", "none.txt"]).code, Some(3));
    #[cfg(unix)]
    {
        let endless = sample(&workshop, &["--prompt-file", "/dev/zero"]);
        assert_eq!((endless.code, endless.stdout.as_str()), (Some(3), ""));
        assert!(
            endless.stderr.contains("`/dev/zero`") && endless.stderr.contains("not a regular file"),
            "{}",
            endless.stderr
        );
    }
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let workshop = train("transformer");
    let mut child = workshop
        .command(&["sample", "runs/run", "--device", "cpu", "-n", "100000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kiln can be started");
    drop(child.stdout.take());
    let finished = Finished::from(child.wait_with_output().expect("kiln ends"));
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_run_that_is_not_whole_is_reported_with_its_file_and_loses_nothing() {
    let workshop = train("rnn");
    let checkpoint = workshop.path("runs/run/checkpoints/step-00000008/model.safetensors");
    let whole = fs::read(&checkpoint).expect("training wrote it");
    fs::write(&checkpoint, &whole[..whole.len() / 2]).expect("it can be cut");
    let before = workshop.contents();

    let cut = sample(&workshop, &["--checkpoint", "last"]);

    assert_eq!((cut.code, cut.stdout.as_str()), (Some(3), ""));
    assert!(cut.stderr.contains("model.safetensors") && cut.stderr.contains("--checkpoint 4"), "{}", cut.stderr);
    assert!(workshop.contents() == before, "sampling changed a file");
    sample(&workshop, &["--checkpoint", "4", "-n", "3"]).success();

    fs::write(workshop.path("runs/run/tokenizer.json"), "{}").expect("it can be written");
    let tokenizer = sample(&workshop, &["--checkpoint", "4"]);
    assert_eq!(tokenizer.code, Some(3));
    assert!(tokenizer.stderr.contains("tokenizer.json"), "{}", tokenizer.stderr);

    let none = workshop.kiln(&["sample", "runs/none", "--device", "cpu"]);
    assert_eq!(none.code, Some(3));
    assert!(none.stderr.contains("runs/none") && none.stderr.contains("help"), "{}", none.stderr);
}

#[test]
fn what_is_said_of_single_tokens_is_spelled_by_the_tokenizer() {
    let workshop = train("transformer");
    let write = |arguments: &[&str]| sample(&workshop, &[&["-p", "the ", "-n", "40"], arguments].concat());
    let banned = write(&["--logit-bias", "e=-1000", "--logit-bias", " =-1000"]).success().stdout;
    assert!(!banned["the ".len()..].contains(['e', ' ']), "{banned}");
    let demanded = write(&["--logit-bias", "t=1000"]).success().stdout;
    assert_eq!(demanded, format!("the {}", "t".repeat(40)));
    for (arguments, words) in [
        (&["--logit-bias", "th=1"][..], "\"th\" is not one token but 2"),
        (&["--logit-bias", "100000=1"], "the model's tokens are 0 to"),
        (&["--logit-bias", "e=much"], "must be TOKEN=X"),
        (&["--logit-bias", "e=inf"], "must be TOKEN=X"),
        (&["--dry-multiplier", "1", "--dry-breaker", "th"], "no token of the model has that text in it"),
        (&["--dry-base", "2"], "--dry-multiplier"),
        (&["--dry-multiplier", "1", "--dry-base", "0.5"], "--dry-base must be a finite number of 1 or more, is 0.5"),
        (&["--typical-p", "2"], "--typical-p must be greater than 0 and at most 1, is 2"),
        (&["--top-n-sigma", "0"], "--top-n-sigma must be a finite number greater than 0, is 0"),
        (&["--xtc-probability", "1", "--xtc-threshold", "0.6"], "greater than 0 and at most 0.5, is 0.6"),
        (&["--frequency-penalty", "nan"], "--frequency-penalty must be a finite number, is NaN"),
        (&["--mirostat-surprise", "3", "--top-k", "5"], "--top-k must not stand beside mirostat"),
        (&["--mirostat-surprise", "3", "-t", "0"], "--temperature must be greater than 0 where mirostat draws"),
    ] {
        let finished = write(arguments);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(words), "{words} is not in {}", finished.stderr);
    }
    let all =
        ["--frequency-penalty", "0.5", "--presence-penalty", "0.5", "--dry-multiplier", "0.8", "--typical-p", "0.9"];
    let more = ["--top-n-sigma", "2", "--xtc-probability", "0.5", "--seed", "3"];
    let both = [&all[..], &more].concat();
    assert_eq!(write(&both).success().stdout, write(&both).success().stdout);
    let mirostat = write(&["--mirostat-surprise", "2"]).success().stdout;
    assert_eq!(mirostat.chars().count(), 44, "{mirostat}");
}

#[test]
fn a_search_writes_one_text_the_same_every_time() {
    let workshop = train("transformer");
    let write = |arguments: &[&str]| sample(&workshop, &[&["-p", "the ", "-n", "12", "--json"], arguments].concat());
    let found = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&write(arguments).success().stdout).expect("it is JSON")
    };
    let (one, five) = (found(&["--beams", "1"]), found(&["--beams", "5"]));
    assert_eq!(one["text"], found(&["-t", "0"])["text"]);
    let again = found(&["--beams", "5"]);
    assert_eq!((&five["text"], &five["score"]), (&again["text"], &again["score"]));
    // Texts of 12 tokens all, so that the penalty only scales what they score.
    let whole = found(&["--beams", "5", "--length-penalty", "0"]);
    assert_eq!(whole["text"], five["text"]);
    let scores = [&whole, &five].map(|found| found["score"].as_f64().expect("it is a number"));
    assert!((scores[0] - 12.0 * scores[1]).abs() < 1e-9, "{scores:?}");
    let streamed = sample(&workshop, &["-p", "the ", "-n", "12", "--beams", "5"]).success().stdout;
    assert_eq!(streamed, format!("the {}", five["text"].as_str().expect("it is a text")));
    for (arguments, words) in [
        (&["--beams", "0"][..], "--beams"),
        (&["--beams", "2", "--length-penalty", "nan"], "--length-penalty must be a finite number, is NaN"),
        (&["--beams", "2", "--top-k", "5"], "cannot be used with"),
        (&["--length-penalty", "2"], "--beams"),
    ] {
        let finished = write(arguments);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(words), "{words} is not in {}", finished.stderr);
    }
}

#[test]
fn guesses_change_no_text() {
    let workshop = train("transformer");
    for choice in [&["-t", "0"][..], &["-t", "1", "--seed", "4", "--mirostat-surprise", "2"]] {
        let write = |more: &[&str]| {
            sample(&workshop, &[&["-p", "the the ", "-n", "60"], choice, more].concat()).success().stdout
        };
        assert_eq!(write(&["--speculate", "6"]), write(&[]));
    }
    let refused = sample(&workshop, &["--speculate", "many"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("must be a whole number"), "{}", refused.stderr);
}
