//! Prompts by examples, and tasks that measure them.

use crate::support::{Finished, Workshop};

const CHOICES: &str = r#"{"prompt": "the", "choices": [" cat", "zzzzzz", "qq"], "answer": 0}"#;

/// A workshop with a small model, `run`, that was trained for some steps.
fn trained() -> Workshop {
    let workshop = Workshop::with_config("tiny/gru.toml");
    let few = ["--set", "run.steps=20", "--set", "schedule.cosine.warmup=2"];
    workshop.kiln(&[&["train", "gru.toml", "--device", "cpu", "--run", "run"], &few[..]].concat()).success();
    workshop
}

fn eval(workshop: &Workshop, arguments: &[&str]) -> Finished {
    workshop.kiln(&[&["eval", "run", "--device", "cpu"], arguments].concat())
}

fn json(finished: Finished) -> serde_json::Value {
    serde_json::from_str(&finished.success().stdout).expect("it is one JSON object")
}

#[test]
fn a_choice_has_the_log_probability_that_scoring_its_text_gives() {
    let workshop = trained();
    let lines = format!("{{\"prompt\": \"a\", \"expected\": \" b\"}}\n\n{CHOICES}\n");
    workshop.write("tasks.jsonl", lines);
    let report = json(eval(&workshop, &["--tasks", "tasks.jsonl", "--shots", "1", "--json"]));
    assert_eq!((&report["shots"], &report["cut"], &report["generation"]), (&1.into(), &0.into(), &().into()));
    let answer = &report["answers"][0];
    assert_eq!((&answer["line"], &answer["kind"]), (&3.into(), &"choice".into()));
    for (index, choice) in [" cat", "zzzzzz", "qq"].into_iter().enumerate() {
        let text = format!("a b\n\nthe{choice}");
        let scored = json(workshop.kiln(&["score", "run", "--text", &text, "--json", "--device", "cpu"]));
        let tokens = scored["tokens"].as_array().expect("they are a list");
        let last = &tokens[tokens.len() - choice.len()..];
        let expected: f64 = last.iter().filter_map(|token| token["log_probability"].as_f64()).sum();
        let found = answer["log_probabilities"][index].as_f64().expect("it is a number");
        assert!((found - expected).abs() < 1e-4, "{choice}: {found}, not {expected}");
    }
    let choice = &report["choice"]["by_probability"];
    // Wilson's interval for one of one, by SciPy.
    assert_eq!((&choice["right"], &choice["questions"], &choice["high"]), (&1.into(), &1.into(), &1.0.into()));
    assert!((choice["low"].as_f64().expect("it is a number") - 0.206_549_314).abs() < 1e-9);
}

#[test]
fn a_written_answer_is_what_sample_writes_and_both_kinds_are_counted() {
    let workshop = trained();
    let prompt = ["sample", "run", "--device", "cpu", "-p", "the", "-n", "8", "-t", "0", "--stop", "\n", "--json"];
    let text = json(workshop.kiln(&prompt))["text"].as_str().expect("it is a text").to_owned();
    assert!(!text.trim().is_empty());
    let line = |expected: &str| serde_json::json!({"prompt": "the", "expected": expected}).to_string() + "\n";
    workshop.write("tasks.jsonl", line(text.trim()) + &line("something else") + CHOICES);
    let arguments = ["--tasks", "tasks.jsonl", "--max-tokens", "8"];
    let report = json(eval(&workshop, &[&arguments[..], &["--json"]].concat()));
    assert_eq!(report["answers"][0]["written"], text.trim());
    assert_eq!((&report["generation"]["right"], &report["generation"]["questions"]), (&1.into(), &2.into()));
    let table = eval(&workshop, &arguments).success().stdout;
    for words in
        ["written", "0.5000  0.0945 to 0.9055    1 of 2", "likeliest choice", "a choice by chance        0.3333"]
    {
        assert!(table.contains(words), "{words}: {table}");
    }
    let first = json(eval(&workshop, &["--tasks", "tasks.jsonl", "--limit", "1", "--json"]));
    assert_eq!((&first["generation"]["questions"], &first["choice"]), (&1.into(), &().into()));
}

#[test]
fn bad_tasks_are_said_before_a_model_is_opened() {
    let workshop = Workshop::new();
    workshop
        .write("tasks.jsonl", format!("{CHOICES}\n{{\"prompt\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 2}}"));
    let refused = eval(&workshop, &["--tasks", "tasks.jsonl"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(3), ""));
    let words = "error: `tasks.jsonl`, line 2: `answer` is 2, and the last choice is 1 (counted from 0)\n";
    assert_eq!(refused.stderr, words);
    workshop.write("tasks.jsonl", CHOICES);
    let refused = eval(&workshop, &["--tasks", "tasks.jsonl", "--shots", "1"]);
    assert!(
        refused.stderr.contains("`tasks.jsonl` has 1 question, too few for 1 solved example"),
        "{}",
        refused.stderr
    );
    for wrong in [&["--shots", "1"][..], &["--tasks", "a", "text.txt"], &["--tasks", "a", "--shots-from", "b"]] {
        assert_eq!(eval(&workshop, wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn examples_are_read_before_the_prompt_and_not_shown() {
    let workshop = trained();
    workshop
        .write("examples.jsonl", "{\"input\": \"cat\", \"output\": \"dog\"}\n{\"input\": \"a\", \"output\": \"b\"}\n");
    let sample = |arguments: &[&str]| {
        let greedy = ["sample", "run", "--device", "cpu", "-n", "12", "-t", "0"];
        workshop.kiln(&[&greedy[..], arguments].concat())
    };
    let whole = "cat\ndog\n\na\nb\n\nthe\n";
    let expected = json(sample(&["--prompt", whole, "--stop", "\n\n", "--json"]));
    let few_shot = ["--few-shot", "examples.jsonl", "--prompt", "the"];
    let found = json(sample(&[&few_shot[..], &["--json"]].concat()));
    assert_eq!((&found["prompt"], &found["text"]), (&whole.into(), &expected["text"]));
    let text = found["text"].as_str().expect("it is a text");
    assert_eq!(sample(&few_shot).success().stdout, format!("the\n{text}"));
    let template =
        [&few_shot[..], &["--shot-template", "{{ input }} {{ output }}\n", "--stop", "x", "--json"]].concat();
    assert_eq!(json(sample(&template))["prompt"], "cat dog\na b\nthe");
    // A line of stdin is an input, too.
    let interactive = ["sample", "run", "--device", "cpu", "-n", "12", "-t", "0", "--few-shot", "examples.jsonl", "-i"];
    assert_eq!(workshop.kiln_with(&interactive, b"the\n").success().stdout, format!("the\n{text}\n"));
}

#[test]
fn examples_that_are_of_no_use_are_refused() {
    let workshop = Workshop::new();
    let sample = |arguments: &[&str]| {
        let all = [&["sample", "run", "--device", "cpu", "--few-shot", "examples.jsonl"], arguments].concat();
        let finished = workshop.kiln(&all);
        (finished.code, finished.stderr)
    };
    workshop.write("examples.jsonl", "{\"input\": \"cat\", \"output\": \"dog\"}\n{\"input\": \"a\"}\n");
    assert_eq!(sample(&["-p", "a"]), (Some(3), "error: `examples.jsonl`, line 2: missing field `output`\n".to_owned()));
    workshop.write("examples.jsonl", "{\"input\": \"cat\", \"output\": \"dog\"}\n");
    let (code, words) = sample(&["-p", "a", "--shot-template", "{{ input }}\n"]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("doesn't write its `output`"), "{words}");
    let (code, words) = sample(&[
        "-p",
        "a",
        "--shot-template",
        "{% for x in range(10000) %}{% for y in range(10000) %}{% endfor %}{% endfor %}",
    ]);
    assert!(code == Some(2) && words.contains("more than a useful one"), "{words}");
    // Nothing is asked: stdin is no terminal.
    let (code, words) = sample(&[]);
    assert!(code == Some(2) && words.contains("`--prompt TEXT`"), "{words}");
}
