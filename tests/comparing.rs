//! `kiln compare` and `kiln plot`.

use std::fs;

use serde_json::Value;

use crate::support::Workshop;

/// A workshop with the runs `tanh` and `relu`, which differ in the activation of an RNN, and `bytes` of other tokens.
fn workshop() -> Workshop {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let usual = ["train", "rnn.toml", "--device", "cpu", "--set", "run.steps=9", "--set", "run.evaluate-every=3"];
    let warmup = ["--set", "schedule.cosine.warmup=2", "--run"];
    for (name, more) in [
        ("tanh", None),
        ("relu", Some(["--set", "model.rnn.activation=relu"])),
        ("bytes", Some(["--set", "tokenizer=byte"])),
    ] {
        let more: Vec<&str> = more.into_iter().flatten().collect();
        workshop.kiln(&[&usual[..], &warmup, &[name], &more].concat()).success();
    }
    workshop
}

/// The losses of a run's log, lowest first.
fn losses(workshop: &Workshop, run: &str) -> Vec<f64> {
    let log = fs::read_to_string(workshop.path(&format!("runs/{run}/metrics.jsonl"))).expect("there is a log");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"));
    let mut losses: Vec<f64> = lines.filter_map(|line| line.get("valid_loss")?.as_f64()).collect();
    losses.sort_by(f64::total_cmp);
    losses
}

/// The cells of a line of the table that begins with this name.
fn row<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let line = table.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap_or_else(|| panic!("{table}"));
    line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).skip(1).collect()
}

#[test]
fn runs_are_compared_by_what_differs_and_what_came_out() {
    let workshop = workshop();
    let table = workshop.kiln(&["compare", "tanh", "relu"]).success().stdout;
    assert_eq!(row(&table, "model.rnn.activation"), ["tanh", "relu"]);
    assert_eq!(row(&table, "steps"), ["9", "9"]);
    assert!(!table.contains("run.batch") && !table.contains("| seed"), "{table}");
    let best = ["tanh", "relu"].map(|run| losses(&workshop, run)[0]);
    let marked = |index: usize| if best[index] < best[1 - index] { " *" } else { "" };
    let expected = [0, 1].map(|index| format!("{:.4}{}", best[index], marked(index)));
    assert_eq!(row(&table, "best nats/token"), expected);

    let json = workshop.kiln(&["compare", "runs/tanh", "relu", "bytes", "--json"]).success();
    assert!(json.stderr.contains("compare bits per byte"), "{}", json.stderr);
    let json: Value = serde_json::from_str(&json.stdout).expect("it is JSON");
    assert_eq!(json["differences"]["tokenizer"], serde_json::json!(["character", "character", "byte"]));
    assert_eq!(json["runs"][1]["best_valid_loss"].as_f64(), Some(best[1]));
    assert_eq!(json["runs"][0]["tokens"], json["runs"][2]["tokens"]);
}

#[test]
fn curves_are_drawn_on_the_terminal_and_into_files() {
    let workshop = workshop();
    let shown = workshop.kiln(&["compare", "tanh", "relu", "--by", "step", "--curves", "rate,norm"]).success().stdout;
    assert!(shown.contains("Learning rate") && shown.contains("Gradient norm") && !shown.contains("loss\n"), "{shown}");
    let shown = workshop.kiln(&["plot", "tanh"]).success().stdout;
    assert!(shown.contains("training, smoothed") && shown.contains("validation"), "{shown}");
    workshop.kiln(&["compare", "tanh", "relu", "bytes", "--by", "second", "--output", "x.svg"]).success();
    let picture = fs::read_to_string(workshop.path("x.svg")).expect("there is a picture");
    for words in ["Validation loss", "bits per byte", "Training loss", "seconds of training", "bytes"] {
        assert!(picture.contains(words), "{words}");
    }
    workshop.kiln(&["plot", "relu", "--output", "x.png"]).success();
    assert_eq!(fs::read(workshop.path("x.png")).expect("there is a picture")[..4], *b"\x89PNG");
}

#[test]
fn what_cannot_be_compared_or_drawn_is_said() {
    let workshop = workshop();
    for (arguments, words) in [
        (&["compare", "tanh"][..], "`kiln plot tanh`"),
        (&["compare", "tanh", "runs/tanh"], "`kiln plot tanh`"),
        (&["compare", "tanh", "relu", "--output", "x.gif"], ".svg or .png"),
    ] {
        let refused = workshop.kiln(arguments);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert_eq!(workshop.kiln(&["plot", "nothing"]).code, Some(3));
    for run in ["tanh", "relu"] {
        workshop.write(&format!("runs/{run}/metrics.jsonl"), "");
    }
    for command in [&["plot", "tanh"][..], &["plot", "tanh", "--output", "x.svg"], &["compare", "tanh", "relu"]] {
        let refused = workshop.kiln(command);
        assert_eq!(refused.code, Some(3), "{}", refused.stdout);
        let words = "there is nothing to draw: `runs/tanh/metrics.jsonl` has neither a logged step nor an evaluation";
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert!(!workshop.path("x.svg").exists());
    // One that has something is drawn.
    workshop.kiln(&["compare", "tanh", "bytes"]).success();
}
