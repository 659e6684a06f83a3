//! `kiln compress`: a smaller model, and reports on several.

use std::fs;

use serde_json::Value;

use crate::support::{Finished, Workshop, repository};

/// A workshop with a run `run` of the tiny transformer.
fn trained() -> Workshop {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    workshop.kiln(&["train", "transformer.toml", "--device", "cpu", "--run", "run"]).success();
    workshop
}

fn json(finished: Finished) -> Value {
    let text = finished.success().stdout;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn loss(workshop: &Workshop, model: &str, more: &[&str]) -> f64 {
    let measured = json(workshop.kiln(&[&["eval", model], more, &["--json", "--device", "cpu"]].concat()));
    measured["loss"].as_f64().expect("it is a number")
}

#[test]
fn a_model_of_eight_bits_is_a_run_that_every_command_takes() {
    let workshop = trained();
    let made = json(workshop.kiln(&["compress", "run", "--format", "q8_0", "--run", "small", "--json"]));
    let bytes = |key: &str| made[key].as_u64().expect("it is a number");
    // 34 bytes for 32 numbers.
    assert_eq!(bytes("bytes_a_token_before") * 34, bytes("bytes_a_token") * 128);
    assert_eq!(made["parts"].as_array().map(Vec::len), Some(9), "the table, and four of each block");
    let (before, after) = (loss(&workshop, "run", &[]), loss(&workshop, "small", &[]));
    assert!((before - after).abs() < 0.001 && before != after, "{before}, {after}");

    let sample =
        |model: &str| workshop.kiln(&["sample", model, "-n", "30", "--seed", "1", "--device", "cpu"]).success().stdout;
    let text = sample("small");
    assert!(text.chars().count() >= 30, "{text}");
    let words = workshop.kiln(&["inspect", "small"]).success().stdout;
    for expected in [
        "state       done, 60 of 60 steps, weights only",
        "compressed  quantized to q8_0 by rounding to the nearest",
        "numbers     1,184 F32, 26,048 Q8_0",
        "all is well",
    ] {
        assert!(words.contains(expected), "{expected} is not in\n{words}");
    }
    let words = workshop.kiln(&["inspect", "runs/small/checkpoints/step-00000060"]).success().stdout;
    for expected in ["compressed  quantized to q8_0", "1,184 F32, 26,048 Q8_0", "Q8_0 [32, 96]", "all is well"] {
        assert!(words.contains(expected), "{expected} is not in\n{words}");
    }
    let listed = workshop.kiln(&["ls", "small"]).success().stdout;
    assert!(listed.contains("done, compressed, weights only"), "{listed}");

    workshop.kiln(&["export", "small", "--format", "gguf", "--output", "small.gguf"]).success();
    let words = workshop.kiln(&["inspect", "small.gguf"]).success().stdout;
    assert!(words.contains("26,048 Q8_0"), "{words}");
    workshop.write("text.txt", "Once upon a time there was a farmer. ".repeat(20));
    // llama.cpp's GELU is another one, and so is the model in the file.
    let (of_run, of_file) = (loss(&workshop, "small", &["text.txt"]), loss(&workshop, "small.gguf", &["text.txt"]));
    assert!((of_run - of_file).abs() < 0.005, "{of_run}, {of_file}");
}

#[test]
fn weights_alone_say_how_they_were_made_smaller() {
    let workshop = Workshop::new();
    crate::foreign::folder(&workshop);
    workshop.kiln(&["compress", "llama", "--format", "f16", "--run", "half"]).success();
    let words = workshop.kiln(&["inspect", "half"]).success().stdout;
    for expected in ["a model without a run", "compressed   quantized to f16", " F16"] {
        assert!(words.contains(expected), "{expected} is not in\n{words}");
    }
    let listed = workshop.kiln(&["ls", "half"]).success().stdout;
    assert!(listed.contains("a model without a run, compressed"), "{listed}");
    workshop.write("text.txt", "ABCABCnmlk");
    let (whole, half) = (loss(&workshop, "llama", &["text.txt"]), loss(&workshop, "half", &["text.txt"]));
    assert!((whole - half).abs() < 0.001, "{whole}, {half}");
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_written() {
    let workshop = trained();
    workshop.write("short.txt", "a farmer");
    workshop.kiln(&["compress", "run", "--format", "f16", "--run", "taken"]).success();
    let before = workshop.contents();
    let refused: [(&[&str], i32, &str); 12] = [
        (&["--format", "q3_9", "--run", "a"], 2, "`quantize.format` must be a format of numbers, is \"q3_9\""),
        (&["--format", "q4_k", "--run", "a"], 2, "has rows of 32 numbers, and Q4_K packs 256 at a time"),
        (
            &["--format", "q4_0", "--method", "gptq", "--calibration", "short.txt", "--run", "a"],
            3,
            "`short.txt` can't be used for calibration: the text of the calibration has 8 tokens, and a window of the \
             model takes 32",
        ),
        (&["--set", "prune.sparsity=1", "--run", "a"], 2, "`prune.sparsity` must be in [0, 1), is 1"),
        (&["--set", "prune.pattern=4:4", "--run", "a"], 2, "`prune.pattern` must be N:M with N below M"),
        (&["--set", "prune.heads=2", "--run", "a"], 2, "one must stay"),
        (&["--format", "q4_0", "--part", "nothing*=q8_0", "--run", "a"], 2, "the pattern `nothing*` matches no part"),
        (&["--format", "q4_0", "--run", "taken"], 2, "is there already; choose another --run"),
        (&["--format", "q4_0", "--run", "a/b"], 2, "a run's name is the name of a folder"),
        (&["--format", "q4_0"], 2, "--run <NAME>"),
        (&["--run", "a"], 2, "nothing is to be done"),
        (&["--format", "q4_0", "--run", "a", "--output", "there"], 2, "cannot be used with"),
    ];
    for (arguments, code, words) in refused {
        let finished = workshop.kiln(&[&["compress", "run"], arguments].concat());
        assert_eq!(finished.code, Some(code), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(words), "{words} is not in\n{}", finished.stderr);
        assert_eq!(finished.stdout, "", "{arguments:?}");
    }
    let finished = workshop.kiln(&["compress", "nowhere", "--format", "q4_0", "--run", "a"]);
    assert!(finished.stderr.contains("there is no `nowhere`"), "{}", finished.stderr);
    // The text that was refused is known to the cache of tokens.
    let cache = workshop.path("cache");
    let without_cache = |mut files: std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>| {
        files.retain(|path, _| !path.starts_with(&cache));
        files
    };
    let (before, after) = (without_cache(before), without_cache(workshop.contents()));
    let changed: Vec<_> = after.iter().filter(|(path, bytes)| before.get(*path) != Some(bytes)).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}");
    let finished = workshop.kiln(&["resume", "taken"]);
    assert!(finished.code == Some(3) && finished.stderr.contains("has only weights"), "{}", finished.stderr);
}

/// Two models, of which one is trained first and one isn't there.
const REPORT: &str = "\
title = \"Small & smaller\"
rounds = 1

[[models]]
name = \"A transformer\"
run = \"made\"
train = \"transformer.toml\"

[[models]]
name = \"a model of words\"
path = \"nowhere.gguf\"
optional = true

[[variants]]
label = \"eight bits\"
[variants.quantize]
format = \"q8_0\"

[[variants]]
[variants.prune]
sparsity = 0.9
score = \"magnitude\"

[[variants]]
label = \"blocks of 256\"
[variants.quantize]
format = \"q4_k\"

[[variants]]
label = \"of another text\"
calibration = \"transformer.toml\"
[variants.quantize]
format = \"q4_0\"
method = \"importance\"
";

#[test]
fn a_report_trains_compares_and_draws() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    workshop.write("small.toml", REPORT);
    let report = json(workshop.kiln(&["compress", "--report", "small.toml", "--device", "cpu", "--json"]));
    let rows = report["rows"].as_array().expect("it is a list");
    let number = |row: usize, pointer: &str| rows[row].pointer(pointer).and_then(Value::as_f64).expect(pointer);
    assert_eq!(rows.len(), 5, "the original and four variants of the model that is there");
    assert_eq!((number(0, "/difference/mean"), number(0, "/agreement/mean")), (0.0, 1.0));
    // As `kiln eval` says it.
    assert!((number(0, "/loss/mean") - loss(&workshop, "made", &[])).abs() < 1e-6);
    assert!(number(1, "/difference/mean").abs() < 0.001 && number(1, "/divergence/mean") > 0.0);
    assert!(number(1, "/file_bytes") < 0.5 * number(0, "/file_bytes"));
    assert!(number(1, "/tokens_per_second") > 0.0 && number(1, "/loss/standard_error") > 0.0);
    assert!(number(2, "/difference/mean") > 0.01 && number(2, "/agreement/mean") < 0.99);
    assert_eq!(rows[2]["variant"], "pruned: without 90 % of the numbers of each row by magnitude", "{report}");
    assert!(rows[3]["problem"].as_str().is_some_and(|words| words.contains("packs 256 at a time")), "{report}");
    // The configuration has letters that the tales lack.
    assert!(rows[4]["problem"].as_str().is_some_and(|words| words.contains("no token for the character")), "{report}");
    let folder = workshop.path("runs/small-compressed");
    let numbers = fs::read_to_string(folder.join("report.csv")).expect("it was written");
    assert_eq!(numbers.lines().count(), 6, "{numbers}");
    let page = fs::read_to_string(folder.join("report.html")).expect("it was written");
    assert!(page.contains("Small &amp; smaller") && !page.contains("src="), "{page}");
    for file in ["a-transformer-size.svg", "a-transformer-speed.svg"] {
        let picture = fs::read_to_string(folder.join(file)).expect("it was written");
        assert!(picture.contains("eight bits") && picture.contains("the front"), "{file}");
    }
    assert_eq!(page.matches("<svg").count(), 2);
    // The run is there now, and the name of the report taken.
    let again = workshop.kiln(&["compress", "--report", "small.toml", "--set", "title=again"]).success();
    assert!(!again.stderr.contains("training") && again.stderr.contains("runs/small-compressed-2"), "{}", again.stderr);
    assert!(again.stdout.contains("not made: blocks of 256"), "{}", again.stdout);
}

#[test]
fn a_report_that_cannot_be_made_trains_nothing_and_writes_nothing() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    workshop.write("there/file.txt", "");
    let refused = [
        ("run = \"made\"", "run = \"a/b\"", "a run's name is the name of a folder"),
        ("optional = true", "", "there is no file `nowhere.gguf`"),
        ("optional = true", "optional = true\ntext = \"nothing.txt\"", "there is no file `nothing.txt`"),
        ("train = \"transformer.toml\"", "train = \"none.toml\"", "there is no file `none.toml`"),
        ("sparsity = 0.9", "sparsity = 1.0", "`variants[1].prune.sparsity` must be in [0, 1), is 1"),
        ("[variants.prune]\nsparsity = 0.9\nscore = \"magnitude\"\n", "", "nothing is to be done"),
        ("format = \"q4_k\"", "format = \"q4_k\"\nbits = 3", "unknown key `bits` in [variants.quantize]"),
    ];
    for (old, new, words) in refused {
        assert!(REPORT.contains(old));
        workshop.write("small.toml", REPORT.replacen(old, new, 1));
        let finished = workshop.kiln(&["compress", "--report", "small.toml", "--device", "cpu"]);
        assert!(matches!(finished.code, Some(2 | 3)), "{new}: {:?}", finished.code);
        assert!(finished.stderr.contains(words), "{words} is not in\n{}", finished.stderr);
    }
    workshop.write("small.toml", REPORT);
    let finished = workshop.kiln(&["compress", "--report", "small.toml", "--output", "there"]);
    assert!(finished.code == Some(2) && finished.stderr.contains("choose another --output"), "{}", finished.stderr);
    let finished = workshop.kiln(&["compress", "--report", "transformer.toml"]);
    assert!(finished.stderr.contains("kiln train transformer.toml"), "{}", finished.stderr);
    assert!(!workshop.path("runs").exists(), "{:?}", workshop.kept());
}

#[test]
fn every_shipped_report_is_right() {
    let folder = repository().join("configs/compress");
    let workshop = Workshop::new();
    for name in ["lecture.toml", "tiny.toml"] {
        let words = workshop.kiln(&["check", &folder.join(name).to_string_lossy()]).success().stdout;
        assert!(words.contains("is valid"), "{words}");
    }
    for name in ["transformer.toml", "lstm.toml"] {
        let path = folder.join(name);
        let config = kiln_training::config::Config::open(&path, &[]);
        config.unwrap_or_else(|errors| panic!("{}: {errors}", path.display()));
    }
}
