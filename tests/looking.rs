//! `kiln log`, several samples and texts at once, tokens one by one, and the manual.

use std::fs;

use serde_json::Value;

use crate::support::Workshop;

/// A workshop in which a model of this kind was trained for a few steps, as `run`.
fn train(kind: &str) -> Workshop {
    let workshop = Workshop::with_config(&format!("tiny/{kind}.toml"));
    let config = format!("{kind}.toml");
    let settings = ["run.steps=9", "run.log-every=2", "run.evaluate-every=3", "schedule.cosine.warmup=2"];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let train = ["train", &config, "--device", "cpu", "--run", "run"];
    workshop.kiln(&[&train[..], &settings].concat()).success();
    workshop
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn sample(workshop: &Workshop, arguments: &[&str]) -> String {
    workshop.kiln(&[&["sample", "run", "--device", "cpu", "-n", "20"], arguments].concat()).success().stdout
}

#[test]
fn the_log_has_every_number_of_the_file_once_and_a_line_a_step() {
    let workshop = train("lstm");
    let csv = workshop.kiln(&["log", "run", "--csv"]).success().stdout;
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().expect("there is a header");
    let rows: Vec<Vec<&str>> = lines.collect();
    let steps: Vec<u64> = rows.iter().map(|row| row[0].parse().expect("it is a step")).collect();
    assert!(steps.is_sorted_by(|left, right| left < right), "{steps:?}");
    let log = fs::read_to_string(workshop.path("runs/run/metrics.jsonl")).expect("there is a log");
    let mut evaluations = 0;
    for line in log.lines().map(json) {
        let row = &rows[steps.iter().position(|step| line["step"] == *step).expect("the step is there")];
        let is_evaluation = line.get("valid_loss").is_some();
        evaluations += usize::from(is_evaluation);
        for (name, value) in line.as_object().expect("it is an object") {
            if is_evaluation && name == "tokens" {
                continue;
            }
            let column = names.iter().position(|other| other == name).unwrap_or_else(|| panic!("no column {name}"));
            let found: f64 = row[column].parse().expect("it is a number");
            assert_eq!(Some(found), value.as_f64(), "{name} of {line}");
        }
    }
    assert_eq!(evaluations, 3);
    let valid = names.iter().position(|name| *name == "valid_loss").expect("there is one");
    assert_eq!(rows.iter().filter(|row| !row[valid].is_empty()).count(), 3);

    let table = workshop.kiln(&["log", "runs/run"]).success().stdout;
    assert_eq!(table.lines().count(), rows.len() + 2, "{table}");
    assert!(table.lines().last().is_some_and(|line| line.starts_with("| 9 ")), "{table}");
    assert_eq!(workshop.kiln(&["log", "nosuch"]).code, Some(3));
}

#[test]
fn several_samples_are_those_of_the_seeds_that_follow() {
    let workshop = train("transformer");
    let single = ["5", "6", "7"].map(|seed| sample(&workshop, &["-p", "the", "-t", "1", "--seed", seed]));
    let all = sample(&workshop, &["-p", "the", "-t", "1", "--seed", "5", "--count", "3"]);
    assert_eq!(all, single.join("\n---\n"));
    let lines = sample(&workshop, &["-p", "the", "-t", "1", "--seed", "5", "-c", "3", "--json"]);
    let found: Vec<(u64, String)> = lines
        .lines()
        .map(json)
        .map(|sample| {
            (sample["seed"].as_u64().expect("a seed"), format!("the{}", sample["text"].as_str().expect("it")))
        })
        .collect();
    assert_eq!(found, [5, 6, 7].into_iter().zip(single).collect::<Vec<_>>());
    let arguments = ["generate", "run", "--device", "cpu", "-n", "20", "-p", "the", "-t", "1", "--seed", "5"];
    assert_eq!(workshop.kiln(&arguments).success().stdout, sample(&workshop, &["-p", "the", "-t", "1", "-s", "5"]));
}

#[test]
fn every_line_is_a_prompt_until_the_input_ends() {
    let workshop = train("transformer");
    let arguments = ["sample", "run", "--device", "cpu", "-n", "20", "-t", "1", "--seed", "5", "--interactive"];
    // The vocabulary has no such character: it is said, and the next line is read.
    let finished = workshop.kiln_with(&arguments, "the\n#\r\n\nand".as_bytes()).success();
    assert!(finished.stderr.contains("U+0023"), "{}", finished.stderr);
    let alone = |prompt: &str, seed: &str| sample(&workshop, &["-p", prompt, "-t", "1", "--seed", seed]);
    let expected = [alone("the", "5"), String::new(), alone("", "7"), alone("and", "8")].map(|text| text + "\n");
    assert_eq!(finished.stdout, expected.concat());
    assert_eq!(workshop.kiln_with(&arguments, b"").success().stdout, "");
}

#[test]
fn texts_of_any_length_are_evaluated_each_and_together() {
    for kind in ["lstm", "transformer"] {
        let workshop = train(kind);
        let texts = [("a.txt", "the cat"), ("b.txt", "and"), ("c.txt", &"the dog and the cat. ".repeat(60))];
        for (name, text) in texts {
            workshop.write(name, text);
        }
        let eval = ["eval", "run", "--device", "cpu", "--json"];
        let alone = texts.map(|(name, _)| json(&workshop.kiln(&[&eval[..], &[name]].concat()).success().stdout));
        let number = |value: &Value, key: &str| value[key].as_f64().unwrap_or_else(|| panic!("no {key} in {value}"));
        for ((_, text), evaluation) in texts.iter().zip(&alone) {
            assert_eq!(evaluation["tokens"].as_u64(), Some(text.len() as u64 - 1), "a character is a token");
        }
        let all = workshop.kiln(&[&eval[..], &["a.txt", "b.txt", "--data", "c.txt"]].concat()).success().stdout;
        let rows: Vec<Value> = all.lines().map(json).collect();
        for ((row, alone), (name, _)) in rows.iter().zip(&alone).zip(&texts) {
            assert_eq!((row["file"].as_str(), &row["loss"]), (Some(*name), &alone["loss"]));
        }
        let nats: f64 = alone.iter().map(|one| number(one, "loss") * number(one, "tokens")).sum();
        let tokens: f64 = alone.iter().map(|one| number(one, "tokens")).sum();
        assert_eq!(rows.len(), 4);
        assert_eq!(number(&rows[3], "tokens"), tokens);
        assert!((number(&rows[3], "loss") - nats / tokens).abs() < 1e-12, "{all}");

        for ((name, text), alone) in texts.iter().zip(&alone) {
            let table = workshop.kiln(&["eval", "run", name, "--device", "cpu", "--per-token"]).success().stdout;
            let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split('\t').collect()).collect();
            let written: String = rows.iter().map(|row| json(row[2]).as_str().expect("a text").to_owned()).collect();
            assert_eq!(written, *text);
            assert_eq!(rows[0][3], "", "the first token has no loss");
            let losses: Vec<f64> = rows[1..].iter().map(|row| row[3].parse().expect("a number")).collect();
            let mean = losses.iter().sum::<f64>() / losses.len() as f64;
            assert!((mean - number(alone, "loss")).abs() < 1e-5, "{kind}, {name}: {mean}, {alone}");
        }
        // Through a pipe comes the same, and nothing of it is kept.
        let (_, long) = &texts[2];
        let cached = workshop.cached();
        let piped = workshop.kiln_with(&[&eval[..], &["-"]].concat(), long.as_bytes()).success().stdout;
        assert_eq!(json(&piped), alone[2]);
        let both = workshop.kiln_with(&[&eval[..], &["a.txt", "-"]].concat(), long.as_bytes()).success().stdout;
        let rows: Vec<Value> = both.lines().map(json).collect();
        assert_eq!((rows[1]["file"].as_str(), &rows[1]["loss"]), (Some("standard input"), &alone[2]["loss"]));
        assert_eq!(workshop.cached(), cached);
        for (input, words) in [(&b"caf\xe9"[..], "standard input: it is not UTF-8"), (b"", "it holds no text")] {
            let refused = workshop.kiln_with(&[&eval[..], &["-"]].concat(), input);
            assert!(refused.code == Some(3) && refused.stderr.contains(words), "{}", refused.stderr);
        }
        assert_eq!(workshop.kiln_with(&[&eval[..], &["-", "-"]].concat(), b"the").code, Some(2));
        workshop.write("short.txt", "a");
        let refused = workshop.kiln(&["eval", "run", "short.txt", "--device", "cpu"]);
        assert_eq!(refused.code, Some(3));
        assert!(
            refused.stderr.contains("`short.txt`") && refused.stderr.contains("has 1 token, and"),
            "{}",
            refused.stderr
        );
    }
}

/// As a shell puts it in the place of `<(command)`.
#[cfg(unix)]
#[test]
fn pipes_that_a_shell_names_are_read_like_files() {
    let workshop = train("lstm");
    workshop.write("a.txt", "the cat and the dog. ".repeat(9));
    let shell = |line: &str| {
        let kiln = workshop.command(&[]);
        let mut shell = std::process::Command::new("bash");
        let line = format!("\"$0\" {line}");
        shell.args(["-c", &line]).arg(kiln.get_program()).current_dir(workshop.path("."));
        shell.envs(kiln.get_envs().filter_map(|(name, value)| Some((name, value?))));
        crate::support::Finished::from(shell.output().expect("bash is there")).success()
    };
    let file = shell("eval run a.txt --device cpu --json").stdout;
    assert_eq!(shell("eval run <(cat a.txt) --device cpu --json").stdout, file);
    let prompt = shell("sample run --prompt-file a.txt -n 5 --device cpu").stdout;
    assert_eq!(shell("sample run --prompt-file <(cat a.txt) -n 5 --device cpu").stdout, prompt);
    let scored = shell("score run --text-file a.txt --device cpu --json").stdout;
    assert_eq!(shell("score run --text-file <(cat a.txt) --device cpu --json").stdout, scored);
    assert_eq!(shell("score run --text - --device cpu --json < a.txt").stdout, scored);
    workshop.write("tasks.jsonl", r#"{"prompt": "the cat", "choices": [" and", " sat"], "answer": 0}"#);
    let tasks = shell("eval run --tasks tasks.jsonl --device cpu").stdout;
    assert_eq!(shell("eval run --tasks <(cat tasks.jsonl) --device cpu").stdout, tasks);
    assert_eq!(shell("eval run --tasks - --device cpu < tasks.jsonl").stdout, tasks);
    workshop.write("examples.jsonl", r#"{"input": "the", "output": "cat"}"#);
    let shown = shell("sample run --few-shot examples.jsonl --prompt a -n 5 --device cpu").stdout;
    assert_eq!(shell("sample run --few-shot <(cat examples.jsonl) --prompt a -n 5 --device cpu").stdout, shown);
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let workshop = Workshop::new();
    workshop.kiln(&["manual", "man"]).success();
    let help = workshop.kiln(&["help"]).success().stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 15, "{help}");
    for name in names.iter().filter(|name| **name != "help") {
        let page = fs::read_to_string(workshop.path(&format!("man/kiln-{name}.1"))).expect("there is a page");
        assert!(page.contains(".SH OPTIONS"), "{name}: {page}");
    }
    for page in ["kiln.1", "kiln-bench-train.1"] {
        assert!(workshop.path(&format!("man/{page}")).is_file(), "{page}");
    }
}
