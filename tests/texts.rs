//! Texts under other names, other texts under the same name, documents, short texts, and runs that were moved in part.

use std::fs;

use crate::support::{Finished, Workshop, newest_checkpoint};

const TALE: &str = "Once upon a time there was a kiln, and in it burned a fire.\n";

/// `configs/tiny/transformer.toml`, which trains on `text.txt` with this in the place of its data and its tokenizer.
fn workshop(data: &str, tokenizer: &str, text: &str) -> Workshop {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let config = fs::read_to_string(workshop.path("transformer.toml")).expect("it is there");
    let mut sections: toml::Table = config.parse().expect("it is TOML");
    for (name, section) in [("data", data), ("tokenizer", tokenizer)] {
        sections.insert(name.into(), toml::Value::Table(section.parse().expect("it is TOML")));
    }
    workshop.write("transformer.toml", sections.to_string());
    workshop.write("text.txt", text);
    workshop
}

/// The same with a file of text and a token for each character.
fn tales() -> Workshop {
    workshop("file.paths = ['text.txt']", "[character]", &TALE.repeat(200))
}

fn train(workshop: &Workshop, more: &[&str]) -> Finished {
    let few = ["--set", "run.steps=8", "--set", "run.checkpoint-every=4", "--set", "schedule.cosine.warmup=2"];
    let command = ["train", "transformer.toml", "--device", "cpu", "--run", "run"];
    workshop.kiln(&[&command[..], &few[..], more].concat())
}

fn eval(workshop: &Workshop, run: &str, more: &[&str]) -> Finished {
    workshop.kiln(&[&["eval", run, "--device", "cpu", "--json"], more].concat())
}

/// A number of what `kiln eval --json` printed.
fn number(evaluation: Finished, key: &str) -> f64 {
    let object: serde_json::Value = serde_json::from_str(&evaluation.success().stdout).expect("it is one JSON object");
    object[key].as_f64().expect("it is a number")
}

#[test]
fn another_text_under_the_name_of_the_validation_split_is_not_scored() {
    let workshop = tales();
    train(&workshop, &[]).success();
    let loss = number(eval(&workshop, "runs/run", &[]), "loss");
    // The same characters, and as many: the tokenizer would be the same.
    let text = TALE.repeat(200);
    let mut changed = text.clone();
    changed.truncate(text.len() - 2 * TALE.len());
    changed.push_str(&TALE.to_lowercase().replace("once", "Once").chars().rev().collect::<String>().repeat(2));
    workshop.write("text.txt", &changed);
    let refused = eval(&workshop, "runs/run", &[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(3), ""), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("`run.json` says ") && refused.stderr.contains("`--data FILE`"),
        "{}",
        refused.stderr
    );
    // As is one that the tokenizer cannot even spell.
    workshop.write("text.txt", text.replace('\n', "\r\n"));
    let refused = eval(&workshop, "runs/run", &[]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("is not the text that it was trained with: text.txt has the character '\\r'")
            && refused.stderr.contains("restore the text"),
        "{}",
        refused.stderr
    );
    // Another split of the same text is another text, too.
    workshop.write("text.txt", &text);
    assert_eq!(number(eval(&workshop, "runs/run", &[]), "loss"), loss);
    let config = fs::read_to_string(workshop.path("runs/run/config.toml")).expect("it is there");
    workshop.write("runs/run/config.toml", config.replace("validation-fraction = 0.1", "validation-fraction = 0.2"));
    assert_eq!(eval(&workshop, "runs/run", &[]).code, Some(3));
    workshop.write("runs/run/config.toml", config);
    // A text that is gone is said to be, and what helps.
    fs::remove_file(workshop.path("text.txt")).expect("it can be removed");
    let gone = eval(&workshop, "runs/run", &[]);
    assert_eq!(gone.code, Some(3), "{}", gone.stderr);
    assert!(gone.stderr.contains("\"text.txt\"") && gone.stderr.contains("`--data FILE`"), "{}", gone.stderr);
}

#[test]
fn a_named_text_is_cut_into_the_documents_of_the_run() {
    let documents = "the cat sat<|endoftext|>".repeat(300);
    let tokenizer = "character.special-tokens = ['<|end|>']";
    let workshop = workshop("separator = '<|endoftext|>'\nfile.paths = ['text.txt']", tokenizer, &documents);
    train(&workshop, &[]).success();
    workshop.write("other.txt", "the cat sat<|endoftext|>".repeat(10));
    // Ten documents of eleven characters and the token after each, of which all but the first are predicted.
    assert_eq!(number(eval(&workshop, "runs/run", &["--data", "other.txt"]), "tokens"), 119.0);

    // Scores and prompts read the separator as the model has learned it, too.
    let score = |text: &str| {
        let arguments = ["score", "run", "--device", "cpu", "--json", "--text", text];
        workshop.kiln(&arguments).success().stdout
    };
    assert_eq!(score("the cat sat<|endoftext|>the"), score("the cat sat<|end|>the"));
    let sample = |prompt: &str| {
        let arguments = ["sample", "run", "--device", "cpu", "-n", "9", "-t", "0", "--prompt", prompt];
        workshop.kiln(&arguments).success().stdout.split_off(prompt.len())
    };
    assert_eq!(sample("the cat sat<|endoftext|>"), sample("the cat sat<|end|>"));
}

#[test]
fn a_run_without_its_configuration_is_measured_on_a_text_that_is_named() {
    let workshop = workshop("file.paths = ['text.txt']", "[character]", &"the cat sat. ".repeat(300));
    train(&workshop, &[]).success();
    workshop.write("other.txt", "the cat sat. ".repeat(10));
    let whole = number(eval(&workshop, "runs/run", &["other.txt"]), "loss");
    std::fs::remove_file(workshop.path("runs/run/config.toml")).expect("it can be removed");
    let without = eval(&workshop, "runs/run", &["other.txt"]);
    assert!(without.stderr.contains("has lost its `config.toml`"), "{}", without.stderr);
    assert!((number(without, "loss") - whole).abs() < 1e-5);
    assert_eq!(eval(&workshop, "runs/run", &[]).code, Some(2));
}

#[test]
fn a_name_that_only_a_shell_would_understand_is_answered_with_what_to_write() {
    let workshop = workshop("file.paths = ['text.txt']", "[character]", "the cat sat. ");
    for (path, words) in [
        ("~/book.txt", "are the shell's"),
        ("{a,b}.txt", "list the files"),
        ("a.txt,b.txt", "several files are a list"),
        ("https://example.org/a.txt", "[data.download]"),
    ] {
        let refused = train(&workshop, &["--set", &format!("data.file.paths={path}")]);
        assert!(refused.code == Some(3) && refused.stderr.contains(words), "{path}: {}", refused.stderr);
    }
}

#[test]
fn a_tokenizer_made_elsewhere_ends_documents_or_is_refused_before_training() {
    let documents = "the cat sat<|endoftext|>".repeat(300);
    let data = "separator = '<|endoftext|>'\nfile.paths = ['text.txt']";
    let workshop = workshop(data, "character.special-tokens = ['<|end|>']", &documents);
    train(&workshop, &[]).success();
    let ours = fs::read_to_string(workshop.path("runs/run/tokenizer.json")).expect("it is there");
    for (token, code) in [("<|endoftext|>", 0), ("<|foo|>", 3)] {
        let workshop = self::workshop(data, "file.path = 't.json'", &documents);
        workshop.write("t.json", ours.replace("<|end|>", token));
        let checked = workshop.kiln(&["check", "transformer.toml"]);
        assert_eq!(checked.code, Some(code), "{token}: {}", checked.stderr);
        let trained = train(&workshop, &[]);
        assert_eq!(trained.code, Some(code), "{token}: {}", trained.stderr);
        if code != 0 {
            assert!(trained.stderr.contains("has none of <|end|>, <|endoftext|>"), "{}", trained.stderr);
        }
    }
}

#[test]
fn what_a_text_and_a_tokenizer_are_called_does_not_matter() {
    let workshop = tales();
    train(&workshop, &[]).success();
    let first = fs::read(workshop.path("runs/run/tokenizer.json")).expect("it is there");
    fs::create_dir(workshop.path("data")).expect("it can be made");
    fs::rename(workshop.path("text.txt"), workshop.path("data/moved.txt")).expect("it can be moved");
    let moved = ["--resume", "--set", "data.file.paths=['data/moved.txt']", "--set", "run.steps=12"];
    let resumed = train(&workshop, &moved).success();
    assert!(resumed.stderr.contains("done: steps 9 to 12 in "), "{}", resumed.stderr);
    number(eval(&workshop, "runs/run", &[]), "loss");
    // Another text is refused all the same, with what it is and not what it is called.
    workshop.write("data/moved.txt", TALE.repeat(201));
    let refused = train(&workshop, &moved);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("BLAKE3 of the training text"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`kiln resume runs/run --set data.file.paths=FILE`"), "{}", refused.stderr);

    // The file of a tokenizer may be gone: the run has its copy.
    let workshop = self::workshop("file.paths = ['text.txt']", "file.path = 't.json'", &TALE.repeat(200));
    workshop.write("t.json", &first);
    train(&workshop, &[]).success();
    fs::remove_file(workshop.path("t.json")).expect("it can be removed");
    number(eval(&workshop, "runs/run", &[]), "loss");
    let copy = ["--resume", "--set", "tokenizer.file.path='runs/run/tokenizer.json'", "--set", "run.steps=12"];
    train(&workshop, &copy).success();
}

/// `kiln resume runs/run` with more.
fn resume(workshop: &Workshop, more: &[&str]) -> Finished {
    workshop.kiln(&[&["resume", "runs/run", "--device", "cpu"], more].concat())
}

#[test]
fn a_run_whose_tokenizer_has_gone_resumes_with_its_own_copy_and_ends_with_the_same_bits() {
    let started = || {
        let workshop = self::workshop("file.paths = ['text.txt']", "file.path = 't.json'", &TALE.repeat(200));
        let tales = tales();
        train(&tales, &[]).success();
        workshop.write("t.json", fs::read(tales.path("runs/run/tokenizer.json")).expect("it is there"));
        train(&workshop, &["--stop-after", "5"]).success();
        workshop
    };
    let (whole, moved) = (started(), started());
    resume(&whole, &[]).success();
    fs::remove_file(moved.path("t.json")).expect("it can be removed");
    let resumed = resume(&moved, &[]).success();
    assert!(
        resumed.stderr.contains("`runs/run/tokenizer.json`, the run's own copy, takes its place"),
        "{}",
        resumed.stderr
    );
    let [expected, found] = [&whole, &moved].map(|workshop| {
        fs::read(newest_checkpoint(&workshop.path("runs/run")).join("model.safetensors")).expect("it is there")
    });
    assert!(expected == found, "the weights differ");
    let config = fs::read_to_string(moved.path("runs/run/config.toml")).expect("it is there");
    assert!(config.contains("path = \"t.json\""), "the configuration names the copy: {config}");

    // A copy that was changed is none.
    let copy = fs::read_to_string(moved.path("runs/run/tokenizer.json")).expect("it is there");
    moved.write("runs/run/tokenizer.json", copy.clone() + " ");
    let refused = resume(&moved, &["--set", "run.steps=12"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("`kiln resume runs/run --set tokenizer.file.path=FILE`"), "{}", refused.stderr);
    // Nor is another tokenizer in the place of the first one.
    moved.write("runs/run/tokenizer.json", &copy);
    moved.write("t.json", copy + " ");
    let refused = resume(&moved, &["--set", "run.steps=12"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let help = "`kiln resume runs/run --set tokenizer.file.path=runs/run/tokenizer.json` takes the copy";
    assert!(
        refused.stderr.contains("BLAKE3 of the tokenizer: ") && refused.stderr.contains(help),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_run_whose_text_has_gone_says_how_to_name_its_place() {
    let workshop = tales();
    train(&workshop, &["--stop-after", "5"]).success();
    fs::rename(workshop.path("text.txt"), workshop.path("moved.txt")).expect("it can be moved");
    let refused = resume(&workshop, &[]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    let help = "help: name its new place: `kiln resume runs/run --set data.file.paths=FILE`";
    assert!(refused.stderr.contains("no file \"text.txt\"") && refused.stderr.contains(help), "{}", refused.stderr);
    resume(&workshop, &["--set", "data.file.paths=moved.txt"]).success();
}

#[test]
fn a_text_shorter_than_a_window_is_one_shorter_window() {
    let workshop = tales();
    train(&workshop, &[]).success();
    workshop.write("short.txt", "a kiln");
    assert_eq!(number(eval(&workshop, "runs/run", &["--data", "short.txt"]), "tokens"), 5.0);
    workshop.write("short.txt", "a");
    let refused = eval(&workshop, "runs/run", &["--data", "short.txt"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("the text has 1 token,"), "{}", refused.stderr);
    workshop.write("short.txt", "a z!");
    let refused = eval(&workshop, "runs/run", &["--data", "short.txt"]);
    assert!(refused.stderr.contains("the model cannot read short.txt"), "{}", refused.stderr);
}

#[test]
fn a_run_that_cannot_begin_leaves_no_folder_and_names_the_key_that_helps() {
    let workshop = tales();
    let refused = train(&workshop, &["--set", "data.validation-fraction=0.0005"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("a larger `data.validation-fraction`"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("`run.batch`"), "{}", refused.stderr);
    assert!(!workshop.path("runs/run").exists());
    train(&workshop, &[]).success();
}

#[test]
fn resuming_what_is_not_there_is_said_and_so_is_a_run_that_is_done() {
    let workshop = tales();
    let started = train(&workshop, &["--resume"]).success();
    assert!(started.stderr.contains("warning: `runs/run` has no checkpoint to resume from"), "{}", started.stderr);
    assert!(started.stderr.contains("done: 8 steps in "), "{}", started.stderr);
    let done = train(&workshop, &["--resume"]).success();
    assert!(
        done.stderr.contains("all 8 steps had been made") && done.stderr.contains("--set run.steps=16"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("no checkpoint"), "{}", done.stderr);
}

#[test]
fn the_lines_to_type_next_are_quoted() {
    let workshop = tales();
    let few = ["--set", "run.steps=4", "--set", "schedule.cosine.warmup=2"];
    let command = ["train", "transformer.toml", "--device", "cpu", "--run", "my run"];
    let finished = workshop.kiln(&[&command[..], &few[..]].concat()).success();
    assert!(finished.stderr.contains("kiln sample 'runs/my run'\n"), "{}", finished.stderr);
    assert!(finished.stderr.contains("kiln eval 'runs/my run'\n"), "{}", finished.stderr);
}

#[test]
fn a_prompt_that_no_sample_can_begin_with_is_warned_of_and_the_default_one_is_made_do_without() {
    let workshop =
        workshop("file.paths = ['text.txt']", "[character]", &"a text without an end of a line. ".repeat(300));
    let samples = ["--set", "run.sample-every=4", "--set", "run.sample-tokens=5"];
    let finished = train(&workshop, &samples).success();
    assert!(!finished.stderr.contains("no sample"), "{}", finished.stderr);
    let prompts = [&samples[..], &["--resume", "--set", "run.steps=9", "--set", "run.prompts=['\u{41f}']"]].concat();
    let finished = train(&workshop, &prompts).success();
    assert!(
        finished.stderr.contains("warning: there will be no samples after the prompt \"\u{41f}\""),
        "{}",
        finished.stderr
    );
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// Moves what is at `from` to the folder `store` and leaves a link.
    fn move_away(from: &Path, store: &Path) {
        fs::create_dir_all(store).expect("it can be made");
        let to = store.join(from.file_name().expect("it has a name"));
        fs::rename(from, &to).expect("it can be moved");
        symlink(&to, from).expect("a link can be made");
    }

    #[test]
    fn a_checkpoint_that_is_a_link_is_the_same_one_to_every_command() {
        let workshop = tales();
        train(&workshop, &[]).success();
        let newest = workshop.path("runs/run/checkpoints/step-00000008");
        let loss = number(eval(&workshop, "runs/run", &["--checkpoint", "8"]), "loss");
        move_away(&newest, &workshop.path("store"));
        assert_eq!(number(eval(&workshop, "runs/run", &["--checkpoint", "last"]), "loss"), loss);
        let inspected = workshop.kiln(&["inspect", "runs/run"]).success().stdout;
        assert!(inspected.contains("step        8") && inspected.contains("all is well"), "{inspected}");
        let resumed = train(&workshop, &["--resume", "--set", "run.steps=12"]).success();
        assert!(resumed.stderr.contains("resuming after step 8 of 12"), "{}", resumed.stderr);
        // One that leads nowhere is damage, and not another run.
        fs::remove_dir_all(workshop.path("store")).expect("it can be removed");
        let inspected = workshop.kiln(&["inspect", "runs/run"]);
        assert_eq!(inspected.code, Some(3), "{}", inspected.stdout);
        let refused = eval(&workshop, "runs/run", &["--checkpoint", "8"]);
        assert_eq!(refused.code, Some(3), "{}", refused.stderr);
        assert!(refused.stderr.contains("step-00000008"), "{}", refused.stderr);
    }

    #[test]
    fn checkpoints_on_another_disk_have_the_tokenizer_of_the_run_that_was_named() {
        let workshop = tales();
        train(&workshop, &[]).success();
        let loss = number(eval(&workshop, "runs/run", &["--checkpoint", "8"]), "loss");
        move_away(&workshop.path("runs/run/checkpoints"), &workshop.path("store"));
        let checkpoint = "runs/run/checkpoints/step-00000008";
        assert_eq!(number(eval(&workshop, checkpoint, &[]), "loss"), loss);
        workshop.kiln(&["sample", checkpoint, "-n", "3", "--device", "cpu"]).success();
        train(&workshop, &["--resume", "--set", "run.steps=12"]).success();
        // A checkpoint that was copied away is read with the tokenizer beside it.
        let copy = workshop.path("copy");
        fs::rename(workshop.path("store/checkpoints/step-00000008"), &copy).expect("it can be moved");
        let alone = ["sample", "copy", "-n", "3", "--device", "cpu"];
        assert_eq!(workshop.kiln(&alone).code, Some(3));
        fs::copy(workshop.path("runs/run/tokenizer.json"), copy.join("tokenizer.json")).expect("it can be copied");
        workshop.kiln(&alone).success();
    }

    #[test]
    fn a_file_that_may_not_grow_is_an_error_of_the_write() {
        let workshop = tales();
        let finished = limited(&workshop, "ulimit -f 20", "--set run.steps=8");
        assert_eq!(finished.code, Some(3), "{}", finished.stderr);
        assert!(finished.stderr.contains("File too large"), "{}", finished.stderr);
    }

    #[test]
    fn memory_that_the_system_refuses_ends_the_run_with_advice() {
        let workshop = tales();
        // Enough for the program and its threads, and not for the 300 MB of weights and state.
        let large = "--set model.transformer.width=1024";
        let finished = limited(&workshop, "ulimit -v 600000", large);
        assert_eq!(finished.code, Some(5), "{}", finished.stderr);
        let tail = finished.stderr.lines().rev().take(2).collect::<Vec<_>>();
        assert!(tail[1].starts_with("error: the system has no "), "{}", finished.stderr);
        assert!(tail[0].contains("halve `run.batch`") && tail[0].contains("`kiln resume`"), "{}", finished.stderr);
    }

    /// `kiln train` with more arguments, in a shell with a limit.
    fn limited(workshop: &Workshop, limit: &str, arguments: &str) -> Finished {
        let kiln = env!("CARGO_BIN_EXE_kiln");
        let train = format!("{limit}; exec {kiln} train transformer.toml --device cpu --run run {arguments}");
        let mut command = workshop.command(&[]);
        let environment: Vec<_> =
            command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        command = std::process::Command::new("sh");
        command.args(["-c", &train]).envs(environment).current_dir(workshop.path(""));
        command.output().expect("a shell can be started").into()
    }
}

#[test]
fn a_model_larger_than_the_memory_is_refused_and_a_larger_batch_warned_of() {
    let workshop = tales();
    let large = ["--set", "model.transformer.width=131072", "--set", "model.transformer.heads=2"];
    let checked = workshop.kiln(&[&["check", "transformer.toml"], &large[..]].concat()).success().stdout;
    assert!(checked.contains("but this machine has ") && checked.contains("train a smaller model"), "{checked}");
    let trained =
        workshop.kiln(&[&["train", "transformer.toml", "--run", "large", "--device", "cpu"], &large[..]].concat());
    assert_eq!(trained.code, Some(5), "{}", trained.stderr);
    assert!(trained.stderr.contains("weights, gradients and optimizer alone take"), "{}", trained.stderr);
    assert!(!workshop.path("runs/large").exists());
    let batch = ["--set", "run.batch=100000000"];
    let checked = workshop.kiln(&[&["check", "transformer.toml"], &batch[..]].concat()).success().stdout;
    assert!(checked.contains("but this machine has ") && checked.contains("halve `run.batch`"), "{checked}");
    let checked = workshop.kiln(&["check", "transformer.toml"]).success().stdout;
    assert!(!checked.contains("but this machine has "), "{checked}");
}
