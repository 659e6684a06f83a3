//! For every key of the schema: a typo, a wrong type, a value out of range, a wrong place, and its absence.

use super::support::{choices, read, right_text, values, with_line};
use crate::config::Config;
use kiln_settings::{ConfigErrors, Kind, Problem, Schema};

/// Values that are no choice of the key, or out of its range, beside [`out_of_range`].
const OUT_OF_RANGE: &[(&str, &[&str])] = &[
    ("seed", &["9223372036854775808"]),
    ("data.validation-fraction", &["0.0", "1.0", "-0.5"]),
    ("data.validation", &["\"every document\"", "\"every 1st document\"", "\"every 10 document\""]),
    ("data.validation-files", &["[]", "[\"a.txt\", \"\"]", "[\"a[.txt\"]"]),
    ("data.builtin.characters", &["0"]),
    ("data.builtin.seed", &["9223372036854775808"]),
    ("data.file.paths", &["[]", "[\"a.txt\", \"\"]", "[\"a[.txt\"]"]),
    ("data.conversations.paths", &["[]", "[\"a.jsonl\", \"\"]"]),
    ("data.conversations.template", &["\"\"", "\"jinja\"", "\"talk.txt\""]),
    ("data.conversations.wrong-lines", &["-0.1", "1.0"]),
    ("data.pairs.paths", &["[]", "[\"a.tsv\", \"\"]", "[\"a[.tsv\"]"]),
    ("data.builtin-pairs.pairs", &["9", "20000000"]),
    ("data.builtin-pairs.clauses", &["0", "21"]),
    ("data.builtin-pairs.seed", &["9223372036854775808"]),
    ("data.download.url", &["\"ftp://example.org/a.txt\""]),
    ("data.download.sha256", &["\"86c4\""]),
    ("data.download.name", &["\"a/b\""]),
    ("tokenizer.character.special-tokens", &["[\"a\"]", "[\"<|end|>\", \"<|end|>\"]"]),
    ("tokenizer.file.path", &["\"\""]),
    ("tokenizer.byte-pair.vocabulary-size", &["255", "2000000"]),
    ("tokenizer.byte-pair.training-bytes", &["0"]),
    ("model.rnn.layers", &["0", "2000"]),
    ("model.rnn.hidden", &["0", "70000"]),
    ("model.rnn.embedding", &["0", "70000"]),
    ("model.rnn.dropout", &["1.0", "-0.1"]),
    ("model.rnn.output-dropout", &["1.0", "-0.1"]),
    ("model.lstm.layers", &["0", "2000"]),
    ("model.lstm.hidden", &["0", "70000"]),
    ("model.lstm.embedding", &["0", "70000"]),
    ("model.lstm.forget-bias", &["inf", "nan"]),
    ("model.lstm.dropout", &["1.0", "-0.1"]),
    ("model.lstm.output-dropout", &["1.0", "-0.1"]),
    ("model.gru.layers", &["0", "2000"]),
    ("model.gru.hidden", &["0", "70000"]),
    ("model.gru.embedding", &["0", "70000"]),
    ("model.gru.dropout", &["1.0", "-0.1"]),
    ("model.gru.output-dropout", &["1.0", "-0.1"]),
    ("model.encoder-decoder.layers", &["0", "2000"]),
    ("model.encoder-decoder.decoder-layers", &["0", "2000"]),
    ("model.encoder-decoder.heads", &["0", "5", "10000"]),
    ("model.encoder-decoder.width", &["0", "200000"]),
    ("model.encoder-decoder.feed-forward", &["0", "2000000"]),
    ("model.encoder-decoder.rotary-base", &["0.0", "-1.0"]),
    ("model.encoder-decoder.relative-buckets", &["0", "6", "100000"]),
    ("model.encoder-decoder.relative-distance", &["16"]),
    ("model.encoder-decoder.norm-epsilon", &["0.0"]),
    ("model.encoder-decoder.dropout", &["1.0", "-0.1"]),
    ("model.recurrent-encoder-decoder.layers", &["0", "2000"]),
    ("model.recurrent-encoder-decoder.hidden", &["0", "70000"]),
    ("model.recurrent-encoder-decoder.embedding", &["0", "70000"]),
    ("model.recurrent-encoder-decoder.attention-width", &["0", "70000"]),
    ("model.recurrent-encoder-decoder.dropout", &["1.0", "-0.1"]),
    ("model.transformer.layers", &["0", "2000"]),
    ("model.transformer.heads", &["0", "5", "10000"]),
    ("model.transformer.key-value-heads", &["0", "4"]),
    ("model.transformer.width", &["0", "200000"]),
    ("model.transformer.head-width", &["0", "70000"]),
    ("model.transformer.feed-forward", &["0", "2000000"]),
    ("model.transformer.rotary-scaling.linear.factor", &["0.0", "-1.0"]),
    ("model.transformer.rotary-scaling.llama3.factor", &["0.0", "-1.0"]),
    ("model.transformer.rotary-scaling.llama3.low-frequency-factor", &["0.0", "-1.0"]),
    ("model.transformer.rotary-scaling.llama3.high-frequency-factor", &["1.0", "0.5"]),
    ("model.transformer.rotary-scaling.llama3.original-context", &["0"]),
    ("model.transformer.rotary-scaling.yarn.factor", &["0.0", "-1.0"]),
    ("model.transformer.rotary-scaling.yarn.original-context", &["0"]),
    ("model.transformer.rotary-scaling.yarn.fast", &["1.0", "0.5"]),
    ("model.transformer.rotary-scaling.yarn.slow", &["0.0", "-1.0"]),
    ("model.transformer.rotary-scaling.yarn.attention-factor", &["0.0", "-1.0"]),
    ("model.transformer.rotary-scaling.long-rope.factors", &["[]", "[1.0]"]),
    ("model.transformer.rotary-scaling.long-rope.attention-factor", &["0.0", "-1.0"]),
    ("model.transformer.rotary-base", &["0.0", "-1.0"]),
    ("model.transformer.rotary-fraction", &["0.0", "1.5", "nan"]),
    ("model.transformer.local-rotary-base", &["0.0", "-1.0"]),
    ("model.transformer.attention-window", &["0"]),
    ("model.transformer.layer-pattern", &["[]", "[\"local\"]", "[\"unrotated\"]", "[\"sliding\"]"]),
    ("model.transformer.attention-scale", &["0.0", "-1.0"]),
    ("model.transformer.norm-epsilon", &["0.0", "-1e-5"]),
    ("model.transformer.attention-soft-cap", &["0.0", "-1.0"]),
    ("model.transformer.logit-soft-cap", &["0.0", "-1.0"]),
    ("model.transformer.dropout", &["1.0", "-0.1"]),
    ("preference.dpo.beta", &["0.0", "-1.0"]),
    ("preference.dpo.label-smoothing", &["0.5", "-0.1"]),
    ("optimizer.adamw.betas", &["[0.9, 1.0]", "[-0.1, 0.9]", "[0.9]", "[0.9, 0.99, 0.999]"]),
    ("optimizer.adamw.epsilon", &["0.0", "-1e-8"]),
    ("optimizer.adamw.weight-decay", &["-0.1"]),
    ("optimizer.sgd.momentum", &["1.0", "-0.1"]),
    ("optimizer.sgd.weight-decay", &["-0.1"]),
    ("optimizer.adam.betas", &["[0.9, 1.0]", "[-0.1, 0.9]", "[0.9]"]),
    ("optimizer.adam.epsilon", &["0.0", "-1e-8"]),
    ("optimizer.adam.weight-decay", &["-0.1"]),
    ("optimizer.rmsprop.decay", &["1.0", "-0.1"]),
    ("optimizer.rmsprop.epsilon", &["0.0", "-1e-8"]),
    ("optimizer.rmsprop.momentum", &["1.0", "-0.1"]),
    ("optimizer.rmsprop.weight-decay", &["-0.1"]),
    ("optimizer.lion.betas", &["[0.9, 1.0]", "[-0.1, 0.9]", "[0.9]"]),
    ("optimizer.lion.weight-decay", &["-0.1"]),
    ("optimizer.muon.momentum", &["1.0", "-0.1"]),
    ("optimizer.muon.weight-decay", &["-0.1"]),
    ("optimizer.muon.rest-rate", &["0.0", "-1.0"]),
    ("optimizer.muon.rest-betas", &["[0.9, 1.0]", "[-0.1, 0.9]", "[0.9]"]),
    ("optimizer.muon.rest-epsilon", &["0.0", "-1e-8"]),
    ("optimizer.schedule-free-sgd.momentum", &["0.0", "1.0"]),
    ("optimizer.schedule-free-sgd.weight-decay", &["-0.1"]),
    ("optimizer.schedule-free-adamw.betas", &["[0.0, 0.9]", "[1.0, 0.9]", "[0.9, 1.0]", "[0.9]"]),
    ("optimizer.schedule-free-adamw.epsilon", &["0.0", "-1e-8"]),
    ("optimizer.schedule-free-adamw.weight-decay", &["-0.1"]),
    ("averaging.polyak.start", &["0", "101"]),
    ("averaging.exponential.decay", &["1.0", "-0.1"]),
    ("averaging.non-monotone.patience", &["0"]),
    ("schedule.constant.rate", &["0.0", "-1.0"]),
    ("schedule.inverse-time.rate", &["0.0", "-1.0"]),
    ("schedule.inverse-time.time-constant", &["0.0", "-1.0"]),
    ("schedule.inverse-square-root.rate", &["0.0", "-1.0"]),
    ("schedule.inverse-square-root.time-constant", &["0.0", "-1.0"]),
    ("schedule.step.rate", &["0.0", "-1.0"]),
    ("schedule.step.every", &["0"]),
    ("schedule.step.factor", &["0.0", "1.0"]),
    ("schedule.exponential.rate", &["0.0", "-1.0"]),
    ("schedule.exponential.factor", &["0.0", "1.0"]),
    ("schedule.polynomial.rate", &["0.0", "-1.0"]),
    ("schedule.polynomial.final-rate", &["-0.1", "1.0"]),
    ("schedule.polynomial.power", &["0.0", "-1.0"]),
    ("schedule.polynomial.warmup", &["100"]),
    ("schedule.linear.rate", &["0.0", "-1.0"]),
    ("schedule.linear.final-rate", &["-0.1", "1.0"]),
    ("schedule.linear.warmup", &["100"]),
    ("schedule.cosine.rate", &["0.0", "-1.0"]),
    ("schedule.cosine.final-rate", &["-0.1", "1.0"]),
    ("schedule.cosine.warmup", &["100"]),
    ("schedule.cosine-restarts.rate", &["0.0", "-1.0"]),
    ("schedule.cosine-restarts.final-rate", &["-0.1", "1.0"]),
    ("schedule.cosine-restarts.period", &["0"]),
    ("schedule.cosine-restarts.period-growth", &["0"]),
    ("schedule.one-cycle.rate", &["0.0", "-1.0"]),
    ("schedule.one-cycle.start-divisor", &["0.5", "-1.0"]),
    ("schedule.one-cycle.final-divisor", &["0.5", "-1.0"]),
    ("schedule.one-cycle.rising", &["0.0", "1.0"]),
    ("schedule.one-cycle.warmup", &["100"]),
    ("schedule.noam.factor", &["0.0", "-1.0"]),
    ("schedule.noam.width", &["0"]),
    ("schedule.noam.warmup", &["0"]),
    ("schedule.warmup-stable-decay.rate", &["0.0", "-1.0"]),
    ("schedule.warmup-stable-decay.final-rate", &["-0.1", "1.0"]),
    ("schedule.warmup-stable-decay.decay-fraction", &["0.0", "1.5"]),
    ("schedule.warmup-stable-decay.warmup", &["100"]),
    ("schedule.piecewise.rates", &["[]", "[0.1, 0.0]"]),
    ("schedule.piecewise.boundaries", &["[]", "[1, 2, 3]"]),
    ("schedule.error-floor.rate", &["0.0", "-1.0"]),
    ("schedule.error-floor.factor", &["0.0", "1.0"]),
    ("schedule.error-floor.multiple", &["0.0", "-1.0"]),
    ("schedule.error-floor.window", &["3"]),
    ("schedule.error-floor.window-growth", &["0.5"]),
    ("schedule.error-floor.standard-errors", &["-0.5", "0.0"]),
    ("schedule.error-floor.tolerance", &["0.0", "1.0"]),
    ("schedule.reduce-on-plateau.rate", &["0.0", "-1.0"]),
    ("schedule.reduce-on-plateau.factor", &["0.0", "1.0"]),
    ("schedule.reduce-on-plateau.threshold", &["1.0", "-0.1"]),
    ("schedule.reduce-on-plateau.minimum-rate", &["-0.1", "1.0"]),
    ("schedule.non-monotone.rate", &["0.0", "-1.0"]),
    ("schedule.non-monotone.factor", &["0.0", "1.0"]),
    ("start.from", &["\"\""]),
    ("start.only", &["[\"\"]"]),
    ("start.except", &["[\"a\", \"\"]"]),
    ("distillation.teacher", &["\"\""]),
    ("distillation.temperature", &["0.0", "-1.0", "nan"]),
    ("distillation.weight", &["-0.1", "1.1", "nan"]),
    ("adapter.lora.rank", &["0"]),
    ("adapter.lora.alpha", &["0.0", "-1.0"]),
    ("adapter.lora.dropout", &["1.0", "-0.1"]),
    ("adapter.lora.targets", &["[]", "[\"\"]"]),
    ("train-only.parameters", &["[\"\"]"]),
    ("train-only.last-layers", &["1000"]),
    ("rates.layer-decay", &["0.0", "1.5", "nan"]),
    ("run.steps", &["0"]),
    ("run.batch", &["0"]),
    ("run.context", &["0"]),
    ("run.accumulate", &["0"]),
    ("run.clip-norm", &["0.0"]),
    ("run.label-smoothing", &["1.0", "-0.1"]),
    ("run.translated-pairs", &["0"]),
    ("run.evaluate-every", &["0"]),
    ("run.evaluate-fraction", &["0.0", "1.5"]),
    ("run.checkpoint-every", &["0"]),
    ("run.keep", &["0", "1"]),
    ("run.log-every", &["0"]),
    ("run.patience", &["0"]),
    ("run.sample-every", &["0"]),
    ("run.sample-tokens", &["0"]),
    ("estimates.noise-every", &["0"]),
    ("estimates.noise-decay", &["1.0", "-0.1"]),
    ("estimates.sharpness-every", &["0"]),
];

/// A right value of the kind.
fn right_value(path: &str, kind: &Kind) -> String {
    let resolved: toml::Table =
        read(&right_text(path)).expect("the text is right").to_toml().parse().expect("it is TOML");
    let value =
        path.split('.').try_fold(&toml::Value::Table(resolved), |value, key| value.get(key)).map(ToString::to_string);
    value.unwrap_or_else(|| match kind {
        _ if path == "data.validation" => "\"every 10th document\"".into(),
        _ if path == "data.conversations.template" => "\"chatml\"".into(),
        _ if path == "data.validation-files" => "[\"a.txt\"]".into(),
        _ if path == "model.transformer.layer-pattern" => "[\"global\"]".into(),
        _ if path == "schedule.error-floor.window-growth" => "2.0".into(),
        Kind::Whole { .. } => "1".into(),
        Kind::Number => "0.5".into(),
        Kind::Text => "\"text\"".into(),
        Kind::Flag => "true".into(),
        Kind::Word(words) => format!("{:?}", words[0]),
        Kind::List => "[]".into(),
        Kind::Map => "{}".into(),
        other => panic!("{path} is no value but {other:?}"),
    })
}

/// A value of another type, with the words that must follow.
fn wrong_value(kind: &Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Whole { .. } => ("\"seven\"", "must be a whole number"),
        Kind::Number => ("\"seven\"", "must be a number"),
        Kind::Text => ("7", "must be text in quotes"),
        Kind::Flag => ("7", "must be true or false"),
        Kind::Word(_) => ("\"zzzzzz\"", "cannot be \"zzzzzz\""),
        Kind::List => ("7", "must be a list"),
        Kind::Map => ("7", "must be a table"),
        other => panic!("{other:?} is no kind of value"),
    }
}

/// The key with two letters swapped.
fn typo(key: &str) -> String {
    let mut letters: Vec<char> = key.chars().collect();
    let place =
        (0..letters.len() - 1).rev().find(|&place| letters[place] != letters[place + 1]).expect("a key has letters");
    letters.swap(place, place + 1);
    letters.into_iter().collect()
}

/// The only problem of the text, after it was made sure that it points at the line that starts with `key = `.
fn only_problem(path: &str, text: &str, key: &str) -> (ConfigErrors, Problem) {
    let errors = read(text).expect_err(&format!("this is wrong in {path}:\n{text}"));
    assert_eq!(errors.problems.len(), 1, "{path}: {errors}\n{text}");
    let problem = errors.problems[0].clone();
    let (line, column) = errors.position_of(&problem);
    let pointed_at = text.lines().nth(line - 1).unwrap_or_default();
    assert!(pointed_at.starts_with(&format!("{key} = ")), "{path}: line {line} is {pointed_at:?}: {errors}");
    assert!(column <= pointed_at.chars().count(), "{path}: column {column} of {pointed_at:?}");
    let reported = errors.to_string();
    assert!(reported.starts_with(&format!("run.toml:{line}:{column}: ")), "{reported}");
    (errors, problem)
}

#[test]
fn the_right_texts_are_right() {
    for choice in choices() {
        read(&right_text(choice)).unwrap_or_else(|errors| panic!("{choice}: {errors}"));
    }
    for (path, kind) in values() {
        let key = path.rsplit('.').next().expect("a path has a key");
        let text = with_line(&path, &format!("{key} = {}", right_value(&path, &kind)));
        // A separator needs a tokenizer that has a token for it.
        assert_eq!(read(&text).is_ok(), path != "data.separator", "{path}: {:?}\n{text}", read(&text).err());
    }
}

#[test]
fn a_typo_in_any_key_is_told_with_what_was_meant() {
    for (path, kind) in values() {
        let key = path.rsplit('.').next().expect("a path has a key");
        let mistyped = typo(key);
        let text = with_line(&path, &format!("{mistyped} = {}", right_value(&path, &kind)));
        let errors = read(&text).expect_err("a key is mistyped");
        let problem =
            errors.problems.iter().find(|problem| problem.message.contains("unknown")).expect("it is reported");
        let (line, column) = errors.position_of(problem);
        assert_eq!(column, 1, "{path}: {errors}");
        assert!(text.lines().nth(line - 1).is_some_and(|line| line.starts_with(&mistyped)), "{path}: {errors}\n{text}");
        assert!(problem.help.contains(&format!("did you mean `{key}`?")), "{path}: {errors}");
        assert!(problem.help.iter().any(|help| help.contains(" takes ")), "{path}: {errors}");
        assert!(!errors.to_string().contains("missing"), "a consequence is reported as a mistake: {errors}");
    }
}

#[test]
fn a_wrong_type_of_any_key_is_told_with_the_right_one() {
    for (path, kind) in values() {
        let key = path.rsplit('.').next().expect("a path has a key");
        let (value, words) = wrong_value(&kind);
        let (errors, problem) = only_problem(&path, &with_line(&path, &format!("{key} = {value}")), key);
        assert_eq!(problem.key, path);
        assert!(problem.message.contains(&format!("`{path}` ")) && problem.message.contains(words), "{errors}");
    }
}

/// Every value that is tried: those above and, for every number, -1, of which no key of Kiln is sensible.
fn out_of_range() -> Vec<(String, &'static str)> {
    let above = OUT_OF_RANGE.iter().flat_map(|(path, bad)| bad.iter().map(|bad| ((*path).to_owned(), *bad)));
    let is_number = |kind: &Kind| matches!(kind, Kind::Whole { .. } | Kind::Number);
    let numbers = values().into_iter().filter(|(path, kind)| is_number(kind) && path != "model.lstm.forget-bias");
    above.chain(numbers.map(|(path, _)| (path, "-1"))).collect()
}

#[test]
fn a_value_out_of_range_is_reported_at_its_place() {
    for (path, value) in out_of_range() {
        let key = path.rsplit('.').next().expect("a path has a key");
        let text = with_line(&path, &format!("{key} = {value}"));
        let errors = read(&text).expect_err(&format!("{path} = {value} is out of range"));
        let about = |problem: &&Problem| problem.key == path || problem.key.starts_with(&format!("{path}["));
        let problem = errors.problems.iter().find(about).unwrap_or_else(|| panic!("{path} = {value}: {errors}"));
        let (line, column) = errors.position_of(problem);
        let pointed_at = text.lines().nth(line - 1).unwrap_or_default();
        assert!(pointed_at.starts_with(&format!("{key} = ")) && column > key.len(), "{path} = {value}: {errors}");
    }
}

#[test]
fn a_key_in_the_wrong_section_is_told_where_it_belongs() {
    let schema = Schema::of::<Config>();
    for (path, kind) in values() {
        let Some((table, key)) = path.rsplit_once('.') else { continue };
        // A table that knows a key of this name would take it.
        let wrong_table = if table == "run" { "optimizer.adamw" } else { "run" };
        let known_there = schema.get(&format!("{wrong_table}.{key}")).is_some();
        let misplaced = format!("{wrong_table}.{key}");
        if known_there {
            continue;
        }
        let errors = read(&with_line(&misplaced, &format!("{key} = {}", right_value(&path, &kind))))
            .expect_err("it is misplaced");
        let help = errors.problems.iter().flat_map(|problem| &problem.help).cloned().collect::<Vec<_>>().join("\n");
        // Of many tables with such a key only the first are named.
        let is_named = help.contains(table) || help.contains(" more");
        assert!(help.contains(&format!("there is a `{key}` in ")) && is_named, "{path}: {errors}");
    }
}

#[test]
fn every_needed_key_and_section_is_missed() {
    for choice in choices().chain(["run"]) {
        let right = right_text(choice);
        for line in right.lines().filter(|line| !line.is_empty() && !line.starts_with("seed") && *line != "[data]") {
            let without: String =
                right.lines().filter(|other| other != &line).map(|line| format!("{line}\n")).collect();
            let Some((key, _)) = line.split_once(" = ") else { continue };
            // It has a default, with which the table below it makes no sense; and two files may stand for one of pairs.
            if key == "position" || choice == "data.pairs" && key == "paths" {
                continue;
            }
            let errors = read(&without).expect_err(&format!("without {line} it is wrong:\n{without}"));
            assert_eq!(errors.problems.len(), 1, "{errors}");
            assert!(errors.problems[0].message.starts_with(&format!("`{key}` is missing in [")), "{errors}");
            assert!(errors.problems[0].help[0].starts_with(&format!("write `{key} = …`")), "{errors}");
        }
    }
    let errors = read("").expect_err("nothing is there");
    for section in ["data", "tokenizer", "model", "optimizer", "schedule", "run"] {
        assert!(errors.to_string().contains(&format!("section [{section}] is missing")), "{errors}");
    }
}

#[test]
fn the_resolved_file_reads_back_equal() {
    for choice in choices() {
        let config = read(&right_text(choice)).expect("the text is right");
        let resolved = config.to_toml();
        assert_eq!(read(&resolved).unwrap_or_else(|errors| panic!("{errors}\n{resolved}")), config, "{resolved}");
    }
}

#[test]
fn every_choice_twice_is_refused_at_the_second() {
    for choice in choices() {
        let (section, _) = choice.split_once('.').expect("a choice is in a section");
        for other in choices().filter(|other| other.starts_with(&format!("{section}.")) && *other != choice) {
            let other_text = right_text(other);
            let start = other_text.find(&format!("[{other}]")).expect("the choice is in its text");
            let table = other_text[start..].split("\n\n").next().expect("a table ends");
            let text = format!("{}\n{table}\n", right_text(choice));
            let errors = read(&text).expect_err("two are chosen");
            // What doesn't go with one of two sources is said too.
            let of_two = |problem: &&Problem| section != "data" || problem.message.contains("one source too many");
            let [problem] = errors.problems.iter().filter(of_two).collect::<Vec<_>>()[..] else { panic!("{errors}") };
            let (line, _) = errors.position_of(problem);
            let header = text.lines().nth(line - 1).unwrap_or_default();
            // The sources of `[data]` are no enum; the problem stands at one of the two.
            let at_first = section == "data" && header == format!("[{choice}]");
            assert!(header == format!("[{other}]") || at_first, "{errors}");
        }
    }
}
