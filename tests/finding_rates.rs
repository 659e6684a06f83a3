//! `kiln find-rate`: a learning-rate range test.

use serde_json::Value;

use crate::support::{MODELS, Workshop};

#[test]
fn a_rate_is_found_for_every_tiny_model_and_nothing_is_written() {
    for kind in MODELS {
        let file = format!("{kind}.toml");
        let workshop = Workshop::with_config(&format!("tiny/{file}"));
        let before = workshop.kept();
        let finished =
            workshop.kiln(&["find-rate", &file, "--device", "cpu", "--steps", "120", "--to", "100", "--json"]);
        let finished = finished.success();
        assert_eq!(workshop.kept(), before);
        let report: Value = serde_json::from_str(&finished.stdout).expect("stdout is one object");
        let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{kind}: no {key} in {report}"));
        let points = report["points"].as_array().expect("there are points");
        assert!(points.len() > 20 && points.len() <= 120, "{kind}: {}", points.len());
        assert_eq!(points[0]["rate"].as_f64(), Some(1e-6));
        let suggestion = number("suggestion");
        assert!(number("early") < number("lowest"), "{kind}: {report}");
        // Adam learns nothing of use below, and no more above.
        assert!(suggestion > 1e-4 && suggestion < 0.2, "{kind}: {suggestion}");
        if let Some(rate) = report["stop"]["rate"].as_f64() {
            assert!(suggestion < rate, "{kind}: {suggestion} is suggested, but it diverges at {rate}");
        }
    }
}

#[test]
fn the_words_say_the_same() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let finished =
        workshop.kiln(&["find-rate", "rnn.toml", "--device", "cpu", "--steps", "60", "--to", "10"]).success();
    for label in ["diverged", "lowest at", "steepest", "early", "suggestion"] {
        assert!(finished.stdout.lines().any(|line| line.starts_with(label)), "{label} is not in\n{}", finished.stdout);
    }
    let last = finished.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("kiln train rnn.toml --set schedule.cosine.final-rate="), "{last}");
    assert!(finished.stderr.contains("smoothed"), "{}", finished.stderr);
    assert!(finished.stderr.contains("Learning-rate range test"), "{}", finished.stderr);
}

#[test]
fn three_rates_are_tried_and_the_last_line_trains_with_the_best() {
    let workshop = Workshop::with_config("tiny/gru.toml");
    let arguments = ["find-rate", "gru.toml", "--device", "cpu", "--verify", "40"];
    let finished = workshop.kiln(&[&arguments[..], &["--json"]].concat()).success();
    let report: Value = serde_json::from_str(&finished.stdout).expect("stdout is one object");
    let trials: Vec<(f64, f64)> = report["trials"]
        .as_array()
        .expect("there are trials")
        .iter()
        .map(|trial| (trial["rate"].as_f64().expect("a rate"), trial["loss"].as_f64().expect("a loss")))
        .collect();
    let suggestion = report["suggestion"].as_f64().expect("a suggestion");
    let rates: Vec<f64> = trials.iter().map(|trial| trial.0 / suggestion).collect();
    assert_eq!(rates, [0.5, 1.0, 2.0]);
    let best = trials.iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("there are three").0;
    let command = report["command"].as_str().expect("a command");
    let typed: f64 = command.rsplit_once("schedule.cosine.rate=").expect("it has a rate").1.parse().expect("a number");
    assert!((typed / best - 1.0).abs() < 0.05, "{command}, but {best} is the best of {trials:?}");
    // The words end in the same line, and it does what it says.
    let finished = workshop.kiln(&arguments).success();
    assert_eq!(finished.stdout.lines().last(), Some(command));
    assert!(finished.stdout.contains("the best of the three"), "{}", finished.stdout);
    let words: Vec<&str> = command.split(' ').skip(1).chain(["--device", "cpu"]).collect();
    workshop.kiln(&words).success();
    let config = std::fs::read_to_string(workshop.path("runs/gru/config.toml")).expect("it is there");
    let trained: toml::Table = config.parse().expect("it is TOML");
    assert_eq!(trained["schedule"]["cosine"]["rate"].as_float(), Some(typed));
}

#[test]
fn a_picture_is_drawn_where_it_is_asked_for() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let few = ["find-rate", "rnn.toml", "--device", "cpu", "--steps", "20", "--json", "--output"];
    workshop.kiln(&[&few[..], &["rate.svg"]].concat()).success();
    let picture = std::fs::read_to_string(workshop.path("rate.svg")).expect("it is there");
    assert!(picture.starts_with("<svg") && picture.contains("smoothed"), "{picture}");
    workshop.kiln(&[&few[..], &["rate.png"]].concat()).success();
    assert!(std::fs::read(workshop.path("rate.png")).expect("it is there").starts_with(b"\x89PNG"));
    assert_eq!(workshop.kiln(&[&few[..], &["rate.jpeg"]].concat()).code, Some(2));
}

#[test]
fn plain_gradient_descent_is_tried_with_larger_rates() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let config = std::fs::read_to_string(workshop.path("rnn.toml")).expect("it is there");
    workshop.write("rnn.toml", config.replace("[optimizer.adamw]", "[optimizer.sgd]"));
    let finished = workshop.kiln(&["find-rate", "rnn.toml", "--device", "cpu", "--steps", "60", "--json"]).success();
    let report: Value = serde_json::from_str(&finished.stdout).expect("stdout is one object");
    assert_eq!((report["from"].as_f64(), report["to"].as_f64()), (Some(1e-4), Some(100.0)));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    for (more, words) in [
        (&["--from", "1", "--to", "0.1"][..], "must be below"),
        (&["--from", "0"], "above 0"),
        (&["--steps", "3"], "at least 20 steps"),
    ] {
        let finished = workshop.kiln(&[&["find-rate", "rnn.toml", "--device", "cpu"], more].concat());
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains(words), "{}", finished.stderr);
    }
    let short = ["--set", "run.context=100000"];
    let finished = workshop.kiln(&[&["find-rate", "rnn.toml", "--device", "cpu"], &short[..]].concat());
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.stderr.contains("are needed for one batch"), "{}", finished.stderr);
}
