//! Learning from conversations, through the binary: from lines of JSON to a run that answers.

use std::fs;

use serde_json::Value;

use crate::support::{Workshop, contents_of, newest_checkpoint, repository};

const REST: &str = "[model.gru]\nlayers = 1\nhidden = 48\n[optimizer.adamw]\n[schedule.cosine]\nrate = 3e-2\n[run]\n\
                    steps = 300\nbatch = 8\ncontext = 64\nevaluate-every = 100\ncheckpoint-every = 100\nlog-every = \
                    10\n\
                    clip-norm = 1.0\nsample-every = 300\nprompts = [\"a?\"]\nsample-tokens = 8\n";

const CHARACTERS: &str = "[tokenizer.character]\nspecial-tokens = ['<|end|>']\n";

/// Twenty questions, each with its own answer.
fn talks() -> String {
    let letters = "abcdefghijklmnopqrst";
    let line = |letter: char| {
        let answer = letter.to_string().repeat(3);
        format!(
            "{{\"conversations\": [{{\"from\": \"human\", \"value\": \"{letter}?\"}}, \
             {{\"from\": \"gpt\", \"value\": \"{answer}\"}}]}}\n"
        )
    };
    letters.chars().map(line).collect::<String>().repeat(2)
}

fn workshop(settings: &str) -> Workshop {
    let workshop = Workshop::new();
    workshop.write("talks.jsonl", talks());
    let data =
        format!("[data]\nvalidation-fraction = 0.5\n[data.conversations]\npaths = ['talks.jsonl']\n{settings}\n");
    workshop.write("talk.toml", format!("{data}{CHARACTERS}{REST}"));
    workshop
}

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "talk.toml", "--run", "talk", "--device", "cpu"], more].concat()
}

fn losses(workshop: &Workshop) -> Vec<f64> {
    let log = fs::read_to_string(workshop.path("runs/talk/metrics.jsonl")).expect("there is a log");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    lines.filter_map(|line| line["valid_loss"].as_f64()).collect()
}

#[test]
fn a_model_that_learned_from_conversations_answers_and_stops() {
    let workshop = workshop("template = 'plain'");
    let trained = workshop.kiln(&train(&[])).success();
    let words = &trained.stderr;
    assert!(
        words.contains("data: 20 conversations, 20 more for validation; 100 tokens of answers to learn from"),
        "{words}"
    );
    assert!(words.contains("300 steps of 8 conversations (120.0 passes)"), "{words}");
    assert!(words.contains("talk to it:       kiln chat runs/talk"), "{words}");
    // The sample is asked as a user asks, and ends with the answer.
    assert!(words.contains("a? aaa"), "{words}");
    let losses = losses(&workshop);
    assert!(losses[2] < 0.1 && losses[2] < losses[0], "{losses:?}");
    let chat = ["chat", "talk", "-t", "0", "-n", "20", "--device", "cpu"];
    let said = workshop.kiln_with(&chat, b"c?\n/reset\nm?\n").success();
    assert_eq!(said.stdout, " ccc\n mmm\n");
    // The loss of the validation split, under the run's own template.
    let evaluated = workshop.kiln(&["eval", "talk", "--json", "--device", "cpu"]).success();
    let evaluated: Value = serde_json::from_str(&evaluated.stdout).expect("it is JSON");
    let (found, best) =
        (evaluated["loss"].as_f64().expect("a number"), losses.iter().copied().fold(f64::MAX, f64::min));
    assert!((found - best).abs() < 1e-9, "{found} {losses:?}");
    assert_eq!(evaluated["tokens"], 100, "a space, three letters and the end of each of twenty: {evaluated}");
    let inspected = workshop.kiln(&["inspect", "talk"]).success().stdout;
    assert!(inspected.contains("training    BLAKE3 ") && inspected.contains("`kiln chat` holds one"), "{inspected}");
}

#[test]
fn a_run_on_conversations_resumes_with_the_same_bits_and_without_its_start_model() {
    let workshop = workshop("template = 'plain'\ntoo-long = 'cut'");
    workshop.kiln(&train(&["--set", "run.steps=40"])).success();
    // A run that starts from it takes its model, its tokenizer and its template.
    let start =
        "[start]\nfrom = 'talk'\n[data]\nvalidation-fraction = 0.5\n[data.conversations]\npaths = ['talks.jsonl']\n";
    workshop.write(
        "more.toml",
        format!(
            "{start}{}",
            REST.split_once("[optimizer").expect("it has one").1.replacen(".adamw]", "[optimizer.adamw]", 1)
        ),
    );
    let more = |run: &str, stop: &[&str]| {
        let arguments =
            [&["train", "more.toml", "--run", run, "--device", "cpu", "--set", "run.steps=20"], stop].concat();
        workshop.kiln(&arguments).success()
    };
    more("whole", &[]);
    more("stopped", &["--stop-after", "7"]);
    fs::remove_dir_all(workshop.path("runs/talk")).expect("it can be removed");
    workshop.kiln(&["resume", "stopped", "--device", "cpu"]).success();
    let [whole, stopped] = ["whole", "stopped"].map(|run| newest_checkpoint(&workshop.path(&format!("runs/{run}"))));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let [whole, stopped] = [&whole, &stopped].map(|folder| fs::read(folder.join(file)).expect("it is there"));
        assert!(whole == stopped, "`{file}` differs");
    }
    workshop.kiln_with(&["chat", "stopped", "-n", "3", "--device", "cpu"], b"a?\n").success();
}

#[test]
fn what_is_wrong_with_conversations_is_said_before_there_is_a_run() {
    let workshop = workshop("");
    let refused = |settings: &str, talks: &str, words: &[&str]| {
        workshop.write("talks.jsonl", talks);
        let data =
            format!("[data]\nvalidation-fraction = 0.5\n[data.conversations]\npaths = ['talks.jsonl']\n{settings}\n");
        workshop.write("talk.toml", format!("{data}{CHARACTERS}{REST}"));
        let finished = workshop.kiln(&train(&[]));
        assert!(finished.code == Some(2) || finished.code == Some(3), "{settings}: {}", finished.stderr);
        for expected in words {
            assert!(finished.stderr.contains(expected), "{settings}: {expected:?} is not in {}", finished.stderr);
        }
        assert!(!workshop.path("runs/talk").exists(), "{settings}");
    };
    let right = talks();
    refused("", &right, &["needs a chat template, and there is no start model that has one", "template = \"plain\""]);
    refused("template = 'chatml'", &right, &["needs the special token `<|im_start|>`", "special-tokens"]);
    refused("template = 'poem'", &right, &["must be \"plain\", \"chatml\", \"bare\" or a file"]);
    refused("template = 'plain'", "", &["talks.jsonl holds no line"]);
    let wrong = format!("{right}{{\"messages\": [{{\"role\": \"user\", \"content\": \"x\"}}]}}\n");
    refused(
        "template = 'plain'",
        &wrong,
        &["1 of 41 lines is no conversation", "talks.jsonl, line 41: nobody answers"],
    );
    let wrong = format!("{right}{{\"messages\": [{{\"role\": \"bard\", \"content\": \"x\"}}]}}\n");
    refused("template = 'plain'", &wrong, &["line 41: `messages[0]`: unknown role \"bard\""]);
    // What is allowed is left out and told.
    workshop.write("talks.jsonl", wrong);
    let data = "[data]\nvalidation-fraction = 0.5\n[data.conversations]\npaths = ['talks.jsonl']\ntemplate = \
                'plain'\nwrong-lines = 0.1\n";
    workshop.write("talk.toml", format!("{data}{CHARACTERS}{REST}"));
    let checked = workshop.kiln(&["check", "talk.toml", "--device", "cpu"]).success();
    assert!(checked.stdout.contains("left out: ") && checked.stdout.contains("unknown role"), "{}", checked.stdout);
    let trained = workshop.kiln(&train(&["--set", "run.steps=2"])).success();
    assert!(trained.stderr.contains("warning: left out: "), "{}", trained.stderr);
    // Questions that are longer than the context.
    let long = workshop.kiln(&["train", "talk.toml", "--run", "long", "--device", "cpu", "--set", "run.context=18"]);
    assert_eq!(long.code, Some(3), "{}", long.stderr);
    assert!(long.stderr.contains("20 more don't fit `run.context`, which is 18"), "{}", long.stderr);
    let streams = ["train", "talk.toml", "--run", "long", "--device", "cpu", "--set", "run.windows=streams"];
    let streams = workshop.kiln(&streams);
    assert!(streams.stderr.contains("each conversation is read by itself"), "{}", streams.stderr);
    assert!(!workshop.path("runs/long").exists());
    assert!(contents_of(&workshop.path("runs")).keys().all(|path| !path.to_string_lossy().contains(".part")));
}

#[test]
fn the_shipped_sums_are_learned() {
    let workshop = Workshop::with_config("finetune/conversations.toml");
    fs::copy(repository().join("configs/finetune/sums.jsonl"), workshop.path("sums.jsonl")).expect("it is shipped");
    let finished =
        workshop.kiln(&["train", "conversations.toml", "--set", "run.steps=60", "--device", "cpu"]).success();
    assert!(finished.stderr.contains("data: 86 conversations, 14 more for validation"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("warning"), "{}", finished.stderr);
}

#[test]
fn preferences_are_learned_beside_the_start_model_and_without_it_after_a_stop() {
    let workshop = workshop("template = 'plain'");
    workshop.kiln(&train(&["--set", "run.steps=100"])).success();
    let line = |letter: char| {
        format!(
            "{{\"prompt\": \"{letter}?\", \"chosen\": \"{letter}!\", \"rejected\": \"{letter}{letter}{letter}\"}}\n"
        )
    };
    let pairs: String = "abcdefghijklmnopqrst".chars().map(line).collect::<String>().replace('!', "a");
    workshop.write("pairs.jsonl", pairs.repeat(2));
    let data = "[start]\nfrom = 'talk'\n[data]\nvalidation-fraction = 0.5\n[data.conversations]\npaths = \
                ['pairs.jsonl']\n\
                [preference.dpo]\nbeta = 0.5\n";
    let rest = REST.split_once("[optimizer").expect("it has one").1;
    workshop.write("prefer.toml", format!("{data}[optimizer{rest}"));
    let prefer = |run: &str, more: &[&str]| {
        let settings =
            ["--set", "run.steps=30", "--set", "run.evaluate-every=10", "--set", "schedule.cosine.rate=0.003"];
        let arguments = [&["train", "prefer.toml", "--run", run, "--device", "cpu"], &settings[..], more].concat();
        workshop.kiln(&arguments)
    };
    prefer("whole", &[]).success();
    let log = fs::read_to_string(workshop.path("runs/whole/metrics.jsonl")).expect("there is a log");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let first = lines[0]["train_loss"].as_f64().expect("a number");
    assert!((first - 2.0_f64.ln()).abs() < 1e-4, "the model is its own reference: {first}");
    let last = lines.iter().rfind(|line| line["valid_loss"].is_number()).expect("it was evaluated");
    assert!(last["margin"].as_f64() > Some(0.5) && last["accuracy"].as_f64() > Some(0.9), "{last}");
    prefer("stopped", &["--stop-after", "7"]).success();
    let references = fs::read(workshop.path("runs/stopped/reference.json")).expect("they are with the run");
    fs::remove_dir_all(workshop.path("runs/talk")).expect("it can be removed");
    workshop.kiln(&["resume", "stopped", "--device", "cpu"]).success();
    assert!(fs::read(workshop.path("runs/stopped/reference.json")).expect("they are there") == references);
    let [whole, stopped] = ["whole", "stopped"].map(|run| newest_checkpoint(&workshop.path(&format!("runs/{run}"))));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let [whole, stopped] = [&whole, &stopped].map(|folder| fs::read(folder.join(file)).expect("it is there"));
        assert!(whole == stopped, "`{file}` differs");
    }
    // What can't be: lines without two answers, no start, a teacher beside it.
    let lone = workshop.kiln(&[
        "train",
        "prefer.toml",
        "--run",
        "x",
        "--device",
        "cpu",
        "--set",
        "data.conversations.paths=talks.jsonl",
    ]);
    assert!(lone.code != Some(0), "{}", lone.stderr);
    workshop.write(
        "lone.toml",
        format!("{}{CHARACTERS}{REST}[preference.dpo]\n", "[data.conversations]\npaths = ['pairs.jsonl']\n"),
    );
    let lone = workshop.kiln(&["check", "lone.toml"]);
    assert!(lone.stderr.contains("needs `[start]`, the model that is held to"), "{}", lone.stderr);
    assert!(!workshop.path("runs/x").exists());
}
