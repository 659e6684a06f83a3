//! `kiln translate`, and an encoder-decoder in all other commands.

use std::fs;

use crate::support::{Finished, Workshop, newest_checkpoint};

const FEW: [&str; 8] = [
    "--set",
    "run.steps=8",
    "--set",
    "run.checkpoint-every=4",
    "--set",
    "schedule.cosine.warmup=2",
    "--set",
    "data.builtin-pairs.pairs=400",
];

/// A workshop in which a small translator was trained for a few steps, as `run`.
fn trained() -> Workshop {
    let workshop = Workshop::with_config("translation/tiny.toml");
    let train = ["train", "tiny.toml", "--device", "cpu", "--run", "run"];
    let stderr = workshop.kiln(&[&train[..], &FEW].concat()).success().stderr;
    assert!(stderr.contains("model: encoder-decoder, ") && stderr.contains(" exact, BLEU "), "{stderr}");
    workshop
}

fn translate(workshop: &Workshop, arguments: &[&str], input: &str) -> Finished {
    workshop.kiln_with(&[&["translate", "runs/run", "--device", "cpu"], arguments].concat(), input.as_bytes())
}

#[test]
fn lines_come_out_in_their_order_in_a_batch_as_alone() {
    let workshop = trained();
    let lines = ["Anna ran over the dark river.", "The fox saw a silver key.", "", "Tom flew."];
    let together = translate(&workshop, &[], &lines.join("\n")).success().stdout;
    let found: Vec<&str> = together.lines().collect();
    assert_eq!(found.len(), 4);
    assert_eq!(found[2], "");
    for (line, found) in lines.iter().zip(&found) {
        assert_eq!(translate(&workshop, &["--batch", "1"], line).success().stdout.trim_end_matches('\n'), *found);
    }
    let as_arguments = translate(&workshop, &lines[..2], "").success().stdout;
    assert_eq!(as_arguments.lines().collect::<Vec<_>>(), found[..2]);

    let best = translate(&workshop, &["--beams", "3", "--best", "3", "--max-tokens", "9"], lines[0]).success().stdout;
    let scores: Vec<f64> =
        best.lines().map(|line| line.split_once('\t').unwrap().0.parse().expect("a score")).collect();
    assert!(scores.len() == 3 && scores.is_sorted_by(|one, other| one >= other), "{best}");
    let draw = |seed| translate(&workshop, &["--temperature", "1", "--seed", seed], lines[0]).success().stdout;
    assert_eq!(draw("1"), draw("1"));
    assert_ne!(draw("1"), draw("2"));
}

#[test]
fn the_picture_of_the_attention_has_a_square_for_each_pair_of_tokens() {
    let workshop = trained();
    translate(&workshop, &["--attention", "a.svg", "--max-tokens", "5"], "Tom flew past a cave.").success();
    let picture = fs::read_to_string(workshop.path("a.svg")).expect("it was drawn");
    let [sources, targets, squares] =
        ["rotate(-60)", "text-anchor=\"end\"", "<title>"].map(|mark| picture.matches(mark).count());
    assert!(picture.starts_with("<svg ") && sources >= 5 && targets >= 1, "{picture}");
    assert_eq!(squares, sources * targets, "{picture}");
}

#[test]
fn a_run_that_stopped_resumes_with_the_same_bits() {
    let workshop = trained();
    let train = ["train", "tiny.toml", "--device", "cpu", "--run", "stopped"];
    workshop.kiln(&[&train[..], &FEW, &["--stop-after", "5"]].concat());
    workshop.kiln(&["resume", "runs/stopped", "--device", "cpu"]).success();
    let weights = |run: &str| fs::read(newest_checkpoint(&workshop.path(run)).join("model.safetensors")).unwrap();
    assert_eq!(weights("runs/run"), weights("runs/stopped"));
}

#[test]
fn an_evaluation_counts_exact_translations_too() {
    let workshop = trained();
    let stdout = workshop.kiln(&["eval", "runs/run", "--device", "cpu", "--json"]).success().stdout;
    let found: serde_json::Value = serde_json::from_str(&stdout).expect("it is JSON");
    assert_eq!(found["translation"]["pairs"], 8, "{stdout}");
    assert!(found["loss"].as_f64().is_some_and(|loss| loss > 0.0) && found["translation"]["chrf"].is_number());
}

#[test]
fn what_doesnt_fit_a_translator_is_refused_with_what_does() {
    let workshop = trained();
    let refused = |arguments: &[&str]| {
        let finished = workshop.kiln(&[arguments, &["--device", "cpu"]].concat());
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        finished.stderr
    };
    for arguments in [
        &["sample", "runs/run"][..],
        &["chat", "runs/run"],
        &["score", "runs/run", "--text", "a"],
        &["export", "runs/run", "--format", "hf", "--output", "out"],
    ] {
        let stderr = refused(arguments);
        let words = format!("is an encoder-decoder, and `kiln {}` is for models that continue a text", arguments[0]);
        assert!(stderr.contains(&words) && stderr.contains("kiln translate"), "{stderr}");
    }
    let compress = workshop.kiln(&["compress", "runs/run", "--run", "small", "--format", "q8_0"]);
    assert!(compress.code == Some(2) && compress.stderr.contains("is an encoder-decoder"), "{}", compress.stderr);
    workshop.write("a.txt", "text");
    assert!(refused(&["eval", "runs/run", "a.txt"]).contains("on the validation split of its run alone"));
    assert!(refused(&["translate", "runs/run", "--beams", "2", "--best", "3"]).contains("--best 3"));

    let other = Workshop::with_config("tiny/gru.toml");
    let train = ["train", "gru.toml", "--run", "run", "--set", "run.steps=2", "--set", "schedule.cosine.warmup=1"];
    other.kiln(&[&train[..], &["--device", "cpu"]].concat()).success();
    let finished = translate(&other, &[], "text");
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("is a gru, which continues a text; only an encoder-decoder translates"));
}

#[test]
fn pairs_and_models_that_do_not_belong_together_are_mistakes_of_the_file() {
    let workshop = Workshop::with_config("translation/tiny.toml");
    let check = |set: &str| {
        let finished = workshop.kiln(&["check", "tiny.toml", "--set", set]);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        finished.stderr
    };
    assert!(check("model.lstm.hidden=16").contains("`data.builtin-pairs` holds pairs, and a lstm reads one text"));
    assert!(check("data.builtin.characters=1000").contains("learns from pairs of texts, and `[data]` has none"));
    assert!(check("tokenizer.byte={}").contains("needs a tokenizer with the token \"<|end|>\""));
    assert!(check("run.sample-every=5").contains("is for models of one text"));
}

#[test]
fn files_of_pairs_are_trained_on_and_the_broken_ones_named() {
    let workshop = Workshop::with_config("translation/tiny.toml");
    let lines: String = (0..200).map(|number| format!("source {}\ttarget {}\n", number % 90, number % 7)).collect();
    workshop.write("pairs.tsv", &lines);
    let text = fs::read_to_string(workshop.path("tiny.toml")).unwrap();
    let (before, after) = text.split_once("[data.builtin-pairs]\npairs = 5000\nclauses = 1\n").expect("it is there");
    workshop.write("own.toml", format!("{before}[data.pairs]\npaths = [\"pairs.tsv\"]\n{after}"));
    let train = ["train", "own.toml", "--device", "cpu", "--set", "run.steps=4", "--set", "schedule.cosine.warmup=1"];
    workshop.kiln(&train).success();
    workshop.write("pairs.tsv", lines.replace("source 5\t", "source 5 "));
    let finished = workshop.kiln(&train);
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.stderr.contains("line 6 of ") && finished.stderr.contains("has no tab"), "{}", finished.stderr);
}
