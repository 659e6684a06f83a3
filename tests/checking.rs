//! `kiln check`: what a run would need, without starting it.

use crate::support::{Workshop, repository};

#[test]
fn a_check_writes_nothing() {
    let workshop = Workshop::with_config("quickstart.toml");
    let before = workshop.contents();
    let finished = workshop.kiln(&["check", "quickstart.toml"]).success();
    assert_eq!(workshop.contents(), before);
    for label in ["parameters", "vocabulary", "memory", "compute", "tokens", "passes", "time", "disk"] {
        assert!(finished.stdout.contains(label), "{label} is not in\n{}", finished.stdout);
    }
    assert_eq!(finished.stderr, "");
}

/// A billion characters take longer to make than a check may look at them.
#[test]
fn a_check_of_a_long_text_reads_its_beginning() {
    let workshop = Workshop::with_config("quickstart.toml");
    let arguments = ["check", "quickstart.toml", "--set", "data.builtin.characters=1_000_000_000", "--json"];
    let finished = workshop.kiln(&arguments).success();
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    assert_eq!(report["text"]["training_characters"], 980_000_000);
    let how = report["vocabulary"]["how"].as_str().expect("it is text");
    let read: u64 = how.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect(how);
    assert!(how.starts_with("counted in its first ") && read < 980_000_000, "{how}");
}

#[test]
fn the_figures_are_those_of_the_model() {
    let workshop = Workshop::new();
    let config = "[data.file]\npaths = [\"text.txt\"]\n[tokenizer.byte]\n\
        [model.transformer]\nlayers = 1\nheads = 1\nwidth = 8\n[optimizer.adamw]\n[schedule.constant]\nrate = 1e-3\n\
        [run]\nsteps = 10\nbatch = 2\ncontext = 4\naccumulate = 3\n";
    workshop.write("run.toml", config);
    workshop.write("text.txt", "abcdefghi\n".repeat(100));
    let finished = workshop.kiln(&["check", "run.toml", "--json"]).success();
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    // Token and position tables, one block of 12 w^2 weights and two norms, the last norm; the head is the token table.
    let parameters = 256 * 8 + 4 * 8 + 12 * 64 + 2 * 8 + 8;
    assert_eq!(report["parameters"], parameters);
    assert_eq!(report["vocabulary"]["size"], 256);
    assert_eq!(report["needs"]["memory"]["weights"], 4 * parameters);
    assert_eq!(report["needs"]["memory"]["optimizer"], 8 * parameters);
    assert_eq!(report["needs"]["checkpoint_bytes"], 12 * parameters);
    assert_eq!(report["needs"]["tokens"], 10 * 2 * 4 * 3);
    assert_eq!(report["passes"].as_f64(), Some(240.0 / 900.0));
    assert!(report["time"]["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0 && seconds < 10.0), "{report}");
}

#[test]
fn averages_and_the_state_of_each_matrix_are_counted() {
    let workshop = Workshop::new();
    let config = "[data.file]\npaths = [\"text.txt\"]\n[tokenizer.byte]\n\
        [model.transformer]\nlayers = 1\nheads = 1\nwidth = 8\n[optimizer.muon]\n\
        [averaging.exponential]\n[schedule.constant]\nrate = 1e-3\n[run]\nsteps = 10\nbatch = 2\ncontext = 4\n";
    workshop.write("run.toml", config);
    workshop.write("text.txt", "abcdefghi\n".repeat(100));
    let finished = workshop.kiln(&["check", "run.toml", "--json"]).success();
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    // As above; Muon keeps one number of each weight inside the block, AdamW two of all others.
    let (hidden, rest) = (12 * 64, 256 * 8 + 4 * 8 + 2 * 8 + 8);
    let (weights, optimizer) = (4 * (hidden + rest), 4 * (hidden + 2 * rest));
    assert_eq!(report["needs"]["memory"]["optimizer"], optimizer);
    assert_eq!(report["needs"]["memory"]["average"], weights);
    assert_eq!(report["needs"]["checkpoint_bytes"], 2 * weights + optimizer);
    let words = workshop.kiln(&["check", "run.toml"]).success().stdout;
    assert!(words.contains(", average "), "{words}");
}

#[test]
fn what_is_not_known_is_not_guessed() {
    let workshop = Workshop::with_config("shakespeare/lstm.toml");
    let finished = workshop.kiln(&["check", "lstm.toml", "--json"]).success();
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    assert_eq!(report["parameters"], serde_json::Value::Null);
    assert_eq!(report["needs"], serde_json::Value::Null);
    // The table, the head and the head's bias; two layers of 4 * 128 * (128 + 128 + 1).
    assert_eq!(report["parameters_per_token"], 128 + 128 + 1);
    assert_eq!(report["fixed_parameters"], 2 * 4 * 128 * (128 + 128 + 1));
    let words = workshop.kiln(&["check", "lstm.toml"]).success().stdout;
    assert!(words.contains("not downloaded"), "{words}");
}

#[test]
fn every_shipped_configuration_is_checked() {
    let mut checked = 0;
    for folder in ["configs", "configs/tiny", "configs/shakespeare", "configs/bench"] {
        for entry in std::fs::read_dir(repository().join(folder)).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                Workshop::new().kiln(&["check", &path.to_string_lossy()]).success();
                checked += 1;
            }
        }
    }
    assert!(checked >= 19, "only {checked} were checked");
}

#[test]
fn several_values_are_checked_as_the_sweep_that_they_make() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    for values in ["run.batch=2,4", "run.batch=[2, 4]"] {
        let words = workshop.kiln(&["check", "rnn.toml", "--set", values]).success().stdout;
        assert!(words.starts_with("rnn.toml is valid: 2 entrants, 2 runs") && words.contains("| batch=4 "), "{words}");
    }
    // With another mistake it is said who takes such a list.
    let refused = workshop.kiln(&["check", "rnn.toml", "--set", "run.batch=[2,4]", "--set", "run.step=3"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("help: `kiln sweep` tries several values"), "{}", refused.stderr);
}

#[test]
fn the_files_of_the_lab_are_checked() {
    let lab = |name: &str| repository().join("configs/convergence").join(name).display().to_string();
    let checked = |name: &str| -> serde_json::Value {
        let json = Workshop::new().kiln(&["check", &lab(name), "--json"]).success().stdout;
        serde_json::from_str(&json).expect("it is JSON")
    };
    let report = checked("mini-batch.toml");
    // Three curves of 300 updates; of each update mean, half-width, rate, the error of the first repeat and ten groups
    // are kept, and the 200 repeats have a point, a gradient and two slots.
    let curves = report["experiments"][0]["curves"].as_u64();
    assert_eq!((curves, report["updates"].as_u64()), (Some(3), Some(900)));
    let weights = std::fs::read_to_string(lab("mini-batch.toml")).expect("it is shipped");
    let weights: toml::Table = weights.parse().expect("it is TOML");
    let weights = weights["problem"]["quadratic"]["spectrum"].as_array().expect("it is a list").len() as u64;
    assert_eq!(report["memory_bytes"].as_u64(), Some(8 * (3 * 301 * 14 + 200 * 4 * weights)));
    let lecture = checked("lecture.toml");
    let listed: toml::Table =
        std::fs::read_to_string(lab("lecture.toml")).expect("it is shipped").parse().expect("it is TOML");
    let listed = listed["experiments"].as_array().expect("it is a list").len();
    assert_eq!(lecture["experiments"].as_array().map(Vec::len), Some(listed));
    let words = Workshop::new().kiln(&["check", &lab("lecture.toml")]).success().stdout;
    let valid = format!("lecture.toml is valid: {listed} experiments");
    assert!(words.contains(&valid) && words.contains("| neural-network "), "{words}");
    let refused = Workshop::new().kiln(&["check", &lab("mini-batch.toml"), "--set", "steps=2"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("`steps` must be from 10 to"), "{}", refused.stderr);
}

#[test]
fn a_device_that_is_none_is_refused_and_cpu_is_the_usual_one() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let refused = workshop.kiln(&["check", "rnn.toml", "--device", "gpu"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("did you mean `wgpu`?"), "{}", refused.stderr);
    let words = workshop.kiln(&["check", "rnn.toml", "--device", "cpu"]).success().stdout;
    assert!(words.contains("on this machine's processor, an estimate within a factor of two"), "{words}");
}

#[test]
fn prompts_and_texts_that_training_will_stumble_over_are_warned_of() {
    let workshop = Workshop::new();
    let config = |tokenizer: &str, context: usize| {
        format!(
            "[data.file]\npaths = [\"text.txt\"]\n[tokenizer.{tokenizer}\n[model.gru]\n[optimizer.adamw]\n\
             [schedule.constant]\nrate = 1e-3\n[run]\nsteps = 1\nbatch = 2\ncontext = {context}\n\
             sample-every = 1\nprompts = [\"fee\", \"\u{416}\", \"\\n\"]\n"
        )
    };
    workshop.write("text.txt", "a coffee for me ".repeat(100));
    let warnings = |tokenizer: &str, context: usize| -> Vec<String> {
        workshop.write("run.toml", config(tokenizer, context));
        let json = workshop.kiln(&["check", "run.toml", "--json"]).success().stdout;
        let report: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        let warnings = report["warnings"].as_array().expect("it is a list");
        warnings.iter().map(|warning| warning.as_str().expect("it is text").to_owned()).collect()
    };
    let found = warnings("character]", 8);
    assert!(found.len() == 1 && found[0].contains("no samples after the prompt \"\u{416}\""), "{found:?}");
    let found = warnings("character]\nunknown = \"token\"", 8);
    assert!(found.len() == 1 && found[0].contains("\"\u{416}\" of `run.prompts` has characters"), "{found:?}");
    assert_eq!(warnings("byte]", 8), Vec::<String>::new());
    // 160 bytes validate, which are 160 tokens at most; 1,440 bytes are trained on.
    let of_text = |found: Vec<String>| found.into_iter().find(|warning| warning.contains("training will refuse"));
    assert_eq!(of_text(warnings("byte-pair]\nvocabulary-size = 260", 159)), None);
    let found = of_text(warnings("byte-pair]\nvocabulary-size = 260", 160)).expect("it is warned of");
    assert!(found.contains("the validation split has at most 160 tokens, but 161 are needed"), "{found}");
    let found = of_text(warnings("byte-pair]\nvocabulary-size = 260", 720)).expect("it is warned of");
    assert!(found.contains("the training split has at most 1440 tokens, but 1441 are needed"), "{found}");
}

#[test]
fn the_entrants_of_a_race_are_checked_one_by_one() {
    let race = repository().join("configs/race.toml").display().to_string();
    let words = Workshop::new().kiln(&["check", &race]).success().stdout;
    assert!(words.contains("16 entrants") && words.contains("| cosine restarts "), "{words}");
    let json = Workshop::new().kiln(&["check", &race, "--json"]).success().stdout;
    let report: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(report["runs"], 16);
    let entrants = report["entrants"].as_array().expect("there are entrants");
    assert_eq!((entrants.len(), &entrants[0]["label"]), (16, &serde_json::json!("constant")));
    assert_eq!(entrants[0]["parameters"], entrants[15]["parameters"]);
}
