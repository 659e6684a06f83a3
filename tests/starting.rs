//! From a text to a run: `kiln new`, and `kiln train` with a text.

use std::fs;

use crate::support::{Finished, Workshop};

const TALE: &str = "Once upon a time there was a kiln, and in it burned a fire.\n";

/// A workshop with a text that is long enough.
fn workshop() -> Workshop {
    let workshop = Workshop::new();
    workshop.write("book.txt", TALE.repeat(400));
    workshop
}

fn new(workshop: &Workshop, more: &[&str]) -> Finished {
    workshop.kiln(&[&["new", "mine", "--device", "cpu", "--minutes", "0.1"], more].concat())
}

#[test]
fn a_configuration_is_written_for_a_text_and_trains() {
    let workshop = workshop();
    let said = new(&workshop, &["--text", "book.txt"]).success();
    assert!(said.stdout.is_empty() && said.stderr.ends_with("train it:         kiln train mine.toml\n"));
    let written = fs::read_to_string(workshop.path("mine.toml")).expect("it was written");
    for words in ["paths = [\"book.txt\"]", "prompts = [\"Once upon a\", \"\\n\"]", "[model.transformer]", "arXiv:"] {
        assert!(written.contains(words), "{words}: {written}");
    }
    let checked = workshop.kiln(&["check", "mine.toml"]).success();
    assert!(!checked.stdout.contains("warning") && !checked.stderr.contains("warning"), "{}", checked.stdout);
    let few = ["--set", "run.steps=6", "--set", "schedule.cosine.warmup=2"];
    workshop.kiln(&[&["train", "mine.toml", "--device", "cpu"], &few[..]].concat()).success();
    assert!(workshop.path("runs/mine/checkpoints/step-00000006").is_dir());
}

/// Long enough for byte pairs, but each of them would be a whole line.
#[test]
fn a_text_that_repeats_itself_gets_tokens_that_occur_often_enough() {
    let workshop = Workshop::new();
    let letters: String = TALE.chars().filter(|letter| letter.is_alphabetic()).collect();
    workshop.write("book.txt", format!("{letters}\n").repeat(4000));
    new(&workshop, &["--text", "book.txt"]).success();
    let written = fs::read_to_string(workshop.path("mine.toml")).expect("it was written");
    assert!(written.contains("[tokenizer.character]"), "{written}");
    let checked = workshop.kiln(&["check", "mine.toml"]).success();
    assert!(!checked.stdout.contains("warning") && !checked.stderr.contains("warning"), "{}", checked.stdout);
}

#[test]
fn minutes_beyond_a_week_are_refused_with_a_reason() {
    let refused = workshop().kiln(&["new", "mine", "--text", "book.txt", "--minutes", "100000"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("0.1 to 10080 minutes, which is a week"), "{}", refused.stderr);
}

#[test]
fn what_is_not_there_may_be_a_configuration_or_a_text() {
    let workshop = workshop();
    workshop.write("mine.toml", "");
    let cases = [
        ("bok.txt", "did you mean `book.txt`?"),
        ("mien.toml", "did you mean `mine.toml`?"),
        ("nosuch.txt", "give a configuration, for example `configs/quickstart.toml`, or a text to train on"),
    ];
    for (file, help) in cases {
        let refused = workshop.kiln(&["train", file]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        let expected = format!("error: there is no file `{file}`\n  help: {help}\n");
        assert_eq!(refused.stderr, expected);
    }
}

#[test]
fn a_text_that_comes_through_a_pipe_is_saved_beside_the_configuration() {
    let workshop = Workshop::new();
    let text = TALE.repeat(400);
    let new = ["new", "mine", "--device", "cpu", "--minutes", "0.1", "--text", "-"];
    let piped = |more: &[&str], text: &str| workshop.kiln_with(&[&new[..], more].concat(), text.as_bytes());
    let said = piped(&[], &text).success();
    assert!(said.stderr.contains("saved standard input as mine.txt"), "{}", said.stderr);
    assert_eq!(fs::read_to_string(workshop.path("mine.txt")).expect("it was saved"), text);
    let written = fs::read_to_string(workshop.path("mine.toml")).expect("it was written");
    assert!(written.contains("paths = [\"mine.txt\"]"), "{written}");
    let refused = workshop.kiln_with(&["train", "-"], text.as_bytes());
    assert!(refused.code == Some(2) && refused.stderr.contains("`kiln new NAME --text -`"), "{}", refused.stderr);
    // Neither is replaced, and what is no text leaves nothing.
    fs::remove_file(workshop.path("mine.toml")).expect("it can be removed");
    let refused = piped(&[], "other");
    assert!(refused.code == Some(2) && refused.stderr.contains("mine.txt is there already"), "{}", refused.stderr);
    assert_eq!(piped(&["--force"], "short").code, Some(3));
    assert!(!workshop.path("mine.txt").exists() && !workshop.path("mine.toml").exists());
}

#[test]
fn every_family_can_be_asked_for() {
    let workshop = workshop();
    for family in ["lstm", "gru", "rnn"] {
        new(&workshop, &["--text", "book.txt", "--family", family, "--force"]).success();
        let written = fs::read_to_string(workshop.path("mine.toml")).expect("it was written");
        assert!(written.contains(&format!("[model.{family}]")), "{written}");
        workshop.kiln(&["check", "mine.toml"]).success();
    }
}

#[test]
fn what_is_there_is_not_replaced_unless_that_is_asked_for() {
    let workshop = workshop();
    workshop.write("mine.toml", "# my own");
    let refused = new(&workshop, &["--text", "book.txt"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("mine.toml is there already") && refused.stderr.contains("`--force`"));
    assert_eq!(fs::read_to_string(workshop.path("mine.toml")).expect("it is there"), "# my own");
    new(&workshop, &["--text", "book.txt", "--force"]).success();
    assert!(fs::read_to_string(workshop.path("mine.toml")).expect("it is there").contains("[run]"));
}

#[test]
fn without_a_text_a_start_is_written_that_is_right_once_it_names_one() {
    let workshop = workshop();
    let said = workshop.kiln(&["new", "notes/mine"]).success();
    assert!(said.stderr.contains("put the path of your text into it"), "{}", said.stderr);
    let written = fs::read_to_string(workshop.path("notes/mine.toml")).expect("it was written");
    workshop.write("notes/mine.toml", written.replace("text.txt", "book.txt"));
    workshop.kiln(&["check", "notes/mine.toml"]).success();
}

#[test]
fn a_bad_text_is_told_what_is_wrong_with_it_and_leaves_nothing() {
    let workshop = Workshop::new();
    let latin = [TALE.repeat(200).into_bytes(), b"caf\xe9".to_vec()].concat();
    workshop.write("empty.txt", "");
    workshop.write("short.txt", "x".repeat(200));
    workshop.write("latin.txt", latin);
    workshop.write("zero.bin", [0; 9_000]);
    let cases = [
        ("none.txt", "there is no file \"none.txt\"; it was looked for in "),
        ("empty.txt", "holds no text"),
        ("short.txt", "the text has 200 characters, and at least 5000 are needed"),
        ("latin.txt", "is not UTF-8: the first wrong byte is at offset 12003"),
        ("zero.bin", "is not text: it has a zero byte at offset 0"),
    ];
    for (file, words) in cases {
        let refused = new(&workshop, &["--text", file]);
        assert_eq!(refused.code, Some(3), "{file}: {}", refused.stderr);
        assert!(refused.stderr.contains(words), "{file}: {}", refused.stderr);
        assert!(!workshop.path("mine.toml").exists());
    }
    for (file, words) in &cases[1..] {
        let refused = workshop.kiln(&["train", file, "--device", "cpu"]);
        assert!(refused.code == Some(3) && refused.stderr.contains(words), "{file}: {}", refused.stderr);
    }
    assert!(!workshop.path("runs").exists());
}

#[test]
fn a_single_line_is_trained_on_and_samples_begin_with_its_words() {
    let workshop = Workshop::new();
    workshop.write("line.txt", TALE.replace('\n', " ").repeat(200));
    let said = new(&workshop, &["--text", "line.txt"]).success();
    assert!(said.stderr.contains("the text is a single line"), "{}", said.stderr);
    let written = fs::read_to_string(workshop.path("mine.toml")).expect("it was written");
    assert!(written.contains("prompts = [\"Once upon a\"]"), "{written}");
}

#[test]
fn many_files_are_documents_of_which_every_tenth_validates() {
    let workshop = Workshop::new();
    for number in 1..=20 {
        workshop.write(&format!("talks/{number:02}.txt"), format!("Talk number {number}. {TALE}").repeat(10));
    }
    new(&workshop, &["--text", "talks/*.txt"]).success();
    let few = ["--set", "run.steps=4", "--set", "schedule.cosine.warmup=1"];
    let trained = workshop.kiln(&[&["train", "mine.toml", "--device", "cpu"], &few[..]].concat()).success();
    assert!(!trained.stderr.contains("from the end of"), "{}", trained.stderr);
    // The talks 10 and 20, of 10 times 16 and 60 characters each, and the ends of both.
    assert!(trained.stderr.contains("1,522 validation tokens"), "{}", trained.stderr);
    workshop.kiln(&["eval", "runs/mine", "--device", "cpu"]).success();
    // By the end of the text the last two talks would validate, and that is said.
    let split = fs::read_to_string(workshop.path("mine.toml")).expect("it was written");
    workshop.write("end.toml", split.replace("validation = \"every 10th document\"\n", ""));
    let trained = workshop.kiln(&[&["train", "end.toml", "--device", "cpu"], &few[..]].concat()).success();
    assert!(trained.stderr.contains("from the end of 20 documents"), "{}", trained.stderr);
    // A run whose split is another one cannot be resumed with it.
    let resumed = workshop.kiln(&["resume", "runs/mine", "--set", "data.validation=every 5th document"]);
    assert_eq!(resumed.code, Some(2), "{}", resumed.stderr);
}

#[test]
fn train_takes_a_text_and_writes_the_configuration_beside_the_run() {
    let workshop = workshop();
    let few = ["--device", "cpu", "--set", "run.steps=6", "--set", "schedule.cosine.warmup=2"];
    let train = |more: &[&str]| workshop.kiln(&[&["train", "book.txt"], more, &few[..]].concat());
    let said = train(&[]).success();
    assert!(said.stderr.contains("wrote runs/book.toml"), "{}", said.stderr);
    assert!(workshop.path("runs/book/checkpoints/step-00000006").is_dir());
    // The configuration is one to train with, and runs are listed beside it.
    workshop.kiln(&["check", "runs/book.toml"]).success();
    assert!(workshop.kiln(&["ls"]).success().stdout.contains("book"));
    let refused = train(&["--resume"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("`kiln resume RUN`"), "{}", refused.stderr);
}

#[test]
fn a_configuration_is_one_under_any_name() {
    let workshop = workshop();
    new(&workshop, &["--text", "book.txt"]).success();
    fs::copy(workshop.path("mine.toml"), workshop.path("settings.txt")).expect("it can be copied");
    let few = ["--device", "cpu", "--set", "run.steps=4", "--set", "schedule.cosine.warmup=1"];
    workshop.kiln(&[&["train", "settings.txt"], &few[..]].concat()).success();
    assert!(workshop.path("runs/settings").is_dir() && !workshop.path("runs/settings.toml").exists());
    // A text that is called a configuration is none.
    fs::copy(workshop.path("book.txt"), workshop.path("book.toml")).expect("it can be copied");
    assert_eq!(workshop.kiln(&["train", "book.toml"]).code, Some(2));
}

#[test]
fn a_mistyped_setting_is_said_before_sizes_are_timed() {
    let workshop = Workshop::new();
    workshop.write("tale.txt", "Once upon a time there was a kiln.\n".repeat(400));
    for setting in ["run.steps=ten", "run.stepz=10"] {
        let refused = workshop.kiln(&["train", "tale.txt", "--device", "cpu", "--set", setting]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.starts_with("error: ") && refused.stderr.contains("--set"), "{}", refused.stderr);
        assert!(!workshop.path("runs").exists(), "something was written");
    }
}
