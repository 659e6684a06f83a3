//! `kiln bench`: what it prints, not how fast it is.

use serde_json::Value;

use crate::support::{Finished, Workshop};

/// `kiln bench` on the processor with these arguments, as short as can be.
fn bench(workshop: &Workshop, arguments: &[&str]) -> Finished {
    workshop.kiln(&[&["bench"], arguments, &["--device", "cpu", "--rounds", "1"]].concat())
}

/// The object that it prints with `--json`.
fn report(workshop: &Workshop, arguments: &[&str]) -> Value {
    let stdout = bench(workshop, &[arguments, &["--json"]].concat()).success().stdout;
    serde_json::from_str(&stdout).expect("stdout is one object")
}

/// Makes sure that the object has numbers above zero under these keys.
fn assert_positive(object: &Value, keys: &[&str]) {
    for key in keys {
        assert!(object[key].as_f64().is_some_and(|number| number > 0.0), "{key} in {object}");
    }
}

const SPEED: [&str; 5] =
    ["median_milliseconds", "fastest_milliseconds", "slowest_milliseconds", "flops_per_second", "bytes_per_second"];

/// The cells of a line of a table, which two spaces or more separate.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// A number of a table, such as `1,234.5`.
fn number(cell: &str) -> f64 {
    cell.replace(',', "").parse().unwrap_or_else(|_| panic!("`{cell}` is not a number"))
}

/// Makes sure that two numbers are equal, of which tables print three digits.
fn assert_printed(found: f64, expected: f64, table: &str) {
    assert!((found / expected - 1.0).abs() < 0.02, "{found} instead of {expected} in\n{table}");
}

#[test]
fn training_is_timed_and_nothing_is_written() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let rnn =
        std::fs::read_to_string(crate::support::repository().join("configs/tiny/rnn.toml")).expect("it is shipped");
    workshop.write("rnn.toml", rnn);
    let before = workshop.kept();
    let train = ["train", "lstm.toml", "rnn.toml", "--steps", "1", "--warmup", "1", "--no-limits"];
    let report = report(&workshop, &[&train[..], &["--set", "run.batch=4", "--set", "run.accumulate=2"]].concat());
    assert_eq!(workshop.kept(), before);
    assert_eq!((&report["rounds"], &report["steps_a_round"]), (&1.into(), &1.into()));
    assert_eq!((&report["device"], &report["limits"]), (&"cpu".into(), &Value::Null));
    let results = report["results"].as_array().expect("there is a list of results");
    assert_eq!(results.len(), 2);
    for (result, (config, model)) in results.iter().zip([("lstm.toml", "lstm"), ("rnn.toml", "rnn")]) {
        assert_eq!((&result["config"], &result["model"]), (&config.into(), &model.into()));
        assert_eq!(result["tokens_per_step"], 4 * 32 * 2);
        assert_positive(result, &SPEED);
        assert_positive(result, &["tokens_per_second", "least_bytes_per_step", "loss"]);
        assert_eq!(result["round_milliseconds"].as_array().map(Vec::len), Some(1));
    }
    // Two layers of four gates of 32, which read 16 and 32 numbers; a table and a head of a vocabulary.
    let vocabulary = results[0]["vocabulary"].as_u64().expect("it is a number");
    let layers = 4 * 32 * (16 + 32 + 1) + 4 * 32 * (32 + 32 + 1);
    assert_eq!(results[0]["parameters"], vocabulary * (16 + 32 + 1) + layers);
    // Three times two operations for each number of a matrix.
    let matrices = vocabulary * 32 + 4 * 32 * (16 + 32 + 32 + 32);
    assert_eq!(results[0]["flops_per_step"].as_f64(), Some((6 * matrices * 4 * 32 * 2) as f64));
    #[cfg(target_os = "linux")]
    assert_positive(&report, &["peak_resident_bytes"]);
}

#[test]
fn speeds_stand_beside_the_limits_of_the_machine() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let report = report(&workshop, &["train", "rnn.toml", "--steps", "1", "--warmup", "0"]);
    for limits in [&report["limits"], &report["limits"]["before"], &report["limits"]["after"]] {
        assert_positive(limits, &["matmul_flops_per_second", "copy_bytes_per_second"]);
    }
    let result = &report["results"][0];
    assert_positive(result, &["matmul_fraction", "copy_fraction"]);
    let fraction = result["flops_per_second"].as_f64().zip(report["limits"]["matmul_flops_per_second"].as_f64());
    assert_eq!(result["matmul_fraction"].as_f64(), fraction.map(|(speed, limit)| speed / limit));
}

#[test]
fn the_table_shows_what_was_measured() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let finished = bench(&workshop, &["train", "rnn.toml", "--steps", "1", "--warmup", "0", "--no-limits"]).success();
    let table: Vec<_> = finished.stdout.lines().map(cells).collect();
    let speed = ["ms", "fastest to slowest", "GFLOP/s", "of matmul", "GB/s", "of copy"];
    assert_eq!(table[0], [&["configuration", "parameters", "tokens/s"][..], &speed].concat());
    let [config, parameters, rate, median, range, _, matmul, _, copy] = table[1][..] else { panic!("{table:?}") };
    // Without limits there is nothing to be a part of.
    assert_eq!((config, matmul, copy), ("rnn.toml", "-", "-"));
    // One round is the fastest and the slowest.
    assert_eq!(range, format!("{median} to {median}"));
    let checked = workshop.kiln(&["check", "rnn.toml", "--json"]).success().stdout;
    let checked: Value = serde_json::from_str(&checked).expect("it is JSON");
    assert_eq!(Some(number(parameters)), checked["parameters"].as_f64());
    // 8 rows of 32 tokens an update.
    assert_printed(number(rate) * number(median) / 1e3, 8.0 * 32.0, &finished.stdout);
    assert!(finished.stderr.starts_with("device: cpu"), "{}", finished.stderr);
}

#[test]
fn sampling_is_timed_with_fresh_and_with_trained_weights() {
    for kind in ["transformer", "gru"] {
        let file = format!("{kind}.toml");
        let workshop = Workshop::with_config(&format!("tiny/{file}"));
        let few = ["train", &file, "--device", "cpu", "--run", "run", "--set", "run.steps=6"];
        workshop.kiln(&few).success();
        for source in [&file, "runs/run"] {
            let report = report(&workshop, &["generate", source, "--no-limits"]);
            assert_eq!((&report["model"], &report["prompt_tokens"]), (&kind.into(), &16.into()));
            assert_eq!(report["tokens"], 16);
            assert_positive(&report, &["parameters", "prefill_tokens_per_second", "decode_tokens_per_second"]);
            assert_positive(&report["prefill"], &SPEED);
            assert_positive(&report["decode"], &SPEED);
        }
        // Further than the context.
        let long = report(&workshop, &["generate", &file, "--no-limits", "--prompt-tokens", "3", "--tokens", "50"]);
        assert_eq!((&long["prompt_tokens"], &long["tokens"]), (&3.into(), &50.into()));
        let words = bench(&workshop, &["generate", &file, "--no-limits"]).success().stdout;
        let rows: Vec<_> = words.lines().map(cells).collect();
        for (row, what, tokens) in [(&rows[1], "reading 16 tokens", 16.0), (&rows[2], "writing a token", 1.0)] {
            assert_eq!(row[0], what);
            assert_printed(number(row[1]) * number(row[2]) / 1e3, tokens, &words);
        }
    }
}

#[test]
fn every_operation_is_timed_on_both_sides() {
    let report = report(&Workshop::new(), &["kernels", "--no-limits"]);
    let results = report["results"].as_array().expect("there is a list of results");
    let names: std::collections::BTreeSet<_> = results.iter().filter_map(|result| result["name"].as_str()).collect();
    for operation in [
        "affine",
        "GELU",
        "SwiGLU",
        "layer norm",
        "RMS norm",
        "dropout",
        "embedding",
        "attention, forward",
        "attention",
        "cached attention",
        "rotary positions",
        "RNN sequence",
        "LSTM sequence",
        "GRU sequence",
        "cross-entropy",
        "projected cross-entropy",
        "AdamW step",
        "SGD step",
        "sum of squares",
    ] {
        assert!(names.contains(operation), "{operation} is not among {names:?}");
    }
    for result in results {
        assert_positive(result, &["flops", "bytes"]);
        assert_positive(&result["reference"], &SPEED);
        let name = result["name"].as_str().expect("it has a name");
        // Burn's own, by which the others are measured.
        let is_plain = ["matmul", "copy (x + 1)"].contains(&name);
        assert_eq!(result["fused"].is_null(), is_plain, "{name}");
        if is_plain {
            assert!(result["ratio"].is_null(), "{result}");
            continue;
        }
        assert_positive(&result["fused"], &SPEED);
        let milliseconds = |side: &str| result[side]["median_milliseconds"].as_f64().expect("it is a number");
        let ratio = result["ratio"].as_f64().expect("it is a number");
        // Of one round.
        assert!((ratio * milliseconds("fused") / milliseconds("reference") - 1.0).abs() < 1e-12, "{result}");
        assert_eq!((&result["least_ratio"], &result["most_ratio"]), (&result["ratio"], &result["ratio"]));
    }
    // By hand: two operations for each number of a product of 768 x 128 and 128 x 384, and three such products.
    let flops = |name: &str| {
        let result = results.iter().find(|result| result["name"] == name && result["shape"] == "768 x 128 x 384");
        result.and_then(|result| result["flops"].as_f64())
    };
    assert_eq!((flops("affine, forward"), flops("affine")), (Some(75_497_472.0), Some(226_492_416.0)));
}

#[test]
fn operations_are_found_by_parts_of_their_names() {
    let workshop = Workshop::new();
    let words = bench(&workshop, &["kernels", "--no-limits", "--only", "matmul", "--only", "norm"]).success().stdout;
    let table: Vec<_> = words.lines().map(cells).take_while(|row| !row.is_empty()).collect();
    let operations: Vec<_> = table[1..].iter().map(|row| [row[0], row[1], row[2]]).collect();
    let expected = [
        ["matmul", "512 x 512", "reference"],
        ["matmul", "1024 x 1024", "reference"],
        ["layer norm", "2048 x 384", "fused"],
        ["layer norm", "2048 x 384", "reference"],
        ["RMS norm", "2048 x 384", "fused"],
        ["RMS norm", "2048 x 384", "reference"],
    ];
    assert_eq!(operations, expected);
    // The fused side of an operation also has the ratio, of one round here.
    for sides in table[3..].chunks(2) {
        let ratio = sides[0].last().and_then(|cell| cell.split(' ').next()).expect("there is a ratio");
        assert_eq!((table[0].len(), sides[0].len(), sides[1].len()), (10, 10, 9));
        assert_eq!(sides[0][9], format!("{ratio} ({ratio} to {ratio})"));
        assert_printed(number(ratio), number(sides[1][3]) / number(sides[0][3]), &words);
    }
}

#[test]
fn attention_is_measured_against_the_length() {
    let workshop = Workshop::new();
    let short = ["attention", "--no-limits", "--lengths", "512,128,256", "--longest-reference", "256"];
    let report = report(&workshop, &short);
    let results = report["results"].as_array().expect("there is a list of results");
    assert_eq!(results.iter().map(|result| result["length"].as_u64()).collect::<Vec<_>>(), [128, 256, 512].map(Some));
    // 8 heads of 64: six products of a number for each query and each of the keys up to its own.
    assert_eq!(results[0]["flops"].as_f64(), Some((6 * 2 * 64 * 8 * (128 * 129 / 2)) as f64));
    for result in results {
        let has_reference = result["length"] != 512;
        assert_eq!(!result["reference"].is_null(), has_reference, "{result}");
        assert_eq!(!result["ratio"].is_null(), has_reference, "{result}");
        let sides = [&result["fused"], &result["reference"]];
        for side in sides.into_iter().filter(|side| !side.is_null()) {
            assert_positive(side, &SPEED);
            assert_positive(side, &["nanoseconds_over_square"]);
            #[cfg(target_os = "linux")]
            assert_positive(side, &["memory_bytes", "memory_bytes_a_token"]);
        }
    }
    assert_eq!(report["fused_growth"]["lengths"], serde_json::json!([256.0, 512.0]));
    assert_eq!(report["reference_growth"]["lengths"], serde_json::json!([128.0, 256.0]));
    let words = bench(&workshop, &["attention", "--no-limits", "--lengths", "64,128,256"]).success().stdout;
    let lines: Vec<_> = words.lines().collect();
    let rows: Vec<_> = lines[1..7].iter().map(|line| cells(line)).collect();
    let lengths_and_sides: Vec<_> = rows.iter().map(|row| (row[0], row[1])).collect();
    let sides = ["fused", "reference"];
    let expected: Vec<_> =
        ["64", "128", "256"].into_iter().flat_map(|length| sides.map(|side| (length, side))).collect();
    assert_eq!(lengths_and_sides, expected);
    for (index, side) in sides.into_iter().enumerate() {
        // Time at twice the length over time, as a power of two.
        let exponent = (number(rows[4 + index][2]) / number(rows[2 + index][2])).log2();
        let start = format!("{side}: from T = 128 to 256 time grows as T^");
        let printed = lines.iter().find_map(|line| line.strip_prefix(&start)).expect("growth is printed");
        let printed = number(printed.split(',').next().unwrap_or_default());
        assert!((printed - exponent).abs() < 0.05, "{printed} instead of {exponent} in\n{words}");
    }
}

/// The memory of a process is counted, which nothing else on the machine changes: a bound is safe.
#[cfg(target_os = "linux")]
#[test]
fn fused_attention_holds_no_matrix_of_scores() {
    let lengths = ["attention", "--no-limits", "--lengths", "512,1024,2048", "--longest-reference", "1024"];
    let report = report(&Workshop::new(), &lengths);
    let bytes =
        |index: usize, side: &str| report["results"][index][side]["memory_bytes"].as_f64().expect("it is known");
    // One such matrix has T² numbers of four bytes for each of eight heads.
    let scores = |length: f64| 8.0 * 4.0 * length * length;
    assert!(bytes(1, "reference") > scores(1024.0), "{report}");
    assert!(bytes(2, "fused") < scores(2048.0) / 2.0, "{report}");
    // Output, its gradient, and the gradient of queries, keys and values are there at least: 5 x 512 numbers a token.
    assert!(bytes(2, "fused") > 4.0 * 5.0 * 512.0 * 2048.0, "{report}");
    // Twice as long, twice as much, not four times.
    assert!(bytes(2, "fused") < 2.6 * bytes(1, "fused"), "{report}");
}

#[test]
fn a_mistake_is_reported_in_one_message() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let config = std::fs::read_to_string(workshop.path("transformer.toml")).expect("it is there");
    workshop.write("wrong.toml", config.replace("batch = 8", "bach = 8\nbatch = 8"));
    for (arguments, code, message) in [
        (&["train", "transformer.toml", "missing.toml"][..], 2, "missing.toml"),
        (&["train", "transformer.toml", "wrong.toml"], 2, "did you mean `batch`?"),
        (&["train", "transformer.toml", "--set", "run.batch=0"], 2, "`run.batch` must be 1 or more"),
        (&["train", "transformer.toml", "--set", "run.context=100000"], 3, "are needed for one batch"),
        (&["generate", "transformer.toml", "--prompt-tokens", "33"], 2, "the model reads at most 32 tokens"),
        (&["generate", "transformer.toml", "--checkpoint", "last"], 2, "is a configuration, not a run"),
        (&["generate", "runs/none", "--set", "run.batch=1"], 2, "is a run"),
        (&["generate", "runs/none"], 3, "runs/none"),
        (&["kernels", "--only", "atention"], 2, "no operation is called so; there are"),
        (&["attention", "--lengths", "256,0"], 2, "must be a whole number from 1 to 1048576"),
    ] {
        let finished = bench(&workshop, &[arguments, &["--no-limits"]].concat());
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(code), ""), "{arguments:?}: {}", finished.stderr);
        assert_eq!(finished.stderr.matches("error: ").count(), 1, "{}", finished.stderr);
        assert!(finished.stderr.contains(message), "{message} is not in\n{}", finished.stderr);
    }
    for arguments in [&["bench"][..], &["bench", "train"], &["bench", "train", "transformer.toml", "--rounds", "0"]] {
        assert_eq!(workshop.kiln(arguments).code, Some(2), "{arguments:?}");
    }
}
