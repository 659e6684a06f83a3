//! `kiln ls` and `kiln inspect`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::Workshop;

/// A workshop whose run `run` of the tiny LSTM has checkpoints of the steps 10 and 20.
fn trained() -> Workshop {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    train(&workshop, &[]);
    workshop
}

fn train(workshop: &Workshop, more: &[&str]) {
    let settings = ["run.steps=20", "run.checkpoint-every=10", "run.evaluate-every=10"];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let arguments = ["train", "lstm.toml", "--device", "cpu", "--run", "run"].into_iter().chain(settings);
    workshop.kiln(&arguments.chain(more.iter().copied()).collect::<Vec<_>>()).success();
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The object of one run in the list.
fn listed(workshop: &Workshop, name: &str) -> Value {
    let rows = json(&workshop.kiln(&["ls", "--json"]).success().stdout);
    let rows = rows.as_array().expect("it is a list");
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} is not in {rows:?}")).clone()
}

/// The lowest validation loss in the log.
fn best_logged(workshop: &Workshop) -> f64 {
    let text = fs::read_to_string(workshop.path("runs/run/metrics.jsonl")).expect("there is a log");
    let losses = text.lines().filter_map(|line| json(line)["valid_loss"].as_f64());
    losses.min_by(f64::total_cmp).expect("there was an evaluation")
}

/// Flips one bit in the middle of a file.
fn damage(workshop: &Workshop, file: &str) {
    let path = workshop.path(file);
    let mut bytes = fs::read(&path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("it can be written");
}

const OLDER: &str = "runs/run/checkpoints/step-00000010";
const NEWER: &str = "runs/run/checkpoints/step-00000020";

#[test]
fn a_list_without_runs_is_empty() {
    let workshop = Workshop::new();
    let finished = workshop.kiln(&["ls"]).success();
    assert_eq!(finished.stdout, "");
    assert!(finished.stderr.contains("kiln train"), "{}", finished.stderr);
    assert_eq!(json(&workshop.kiln(&["ls", "--json"]).success().stdout), json("[]"));
    assert_eq!(workshop.kiln(&["ls", "nowhere"]).code, Some(3));
}

#[test]
fn a_run_is_listed_with_what_it_has_done() {
    let workshop = trained();
    let row = listed(&workshop, "run");
    assert_eq!((row["model"].as_str(), row["state"].as_str()), (Some("lstm"), Some("done")), "{row}");
    assert_eq!((row["step"].as_u64(), row["steps"].as_u64()), (Some(20), Some(20)));
    assert_eq!((row["whole_checkpoints"].as_u64(), row["checkpoints"].as_u64()), (Some(2), Some(2)));
    assert_eq!(row["best_loss"].as_f64(), Some(best_logged(&workshop)));
    let files = workshop.contents().into_iter().filter(|(path, _)| path.starts_with(workshop.path("runs/run")));
    assert_eq!(row["bytes"].as_u64(), Some(files.map(|(_, bytes)| bytes.len() as u64).sum()));
    let changed = row["changed"].as_u64().expect("it was changed");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970").as_secs();
    assert!(changed <= now && now - changed < 600, "{changed} and {now}");

    let table = workshop.kiln(&["ls"]).success().stdout;
    let line = table.lines().find(|line| line.contains("| run ")).unwrap_or_else(|| panic!("no line:\n{table}"));
    let loss = format!("{:.4}", best_logged(&workshop));
    for words in ["lstm", "20 / 20", &loss, "2 / 2", "done", "KiB", "ago"] {
        assert!(line.contains(words), "{words} is not in {line}");
    }
}

#[test]
fn columns_are_those_that_were_asked_for_and_sorted() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    for (name, batch, steps) in [("a", "2", "6"), ("b", "3", "2"), ("c", "1", "4")] {
        let batch = format!("run.batch={batch}");
        let steps = format!("run.steps={steps}");
        let settings = ["--set", &batch, "--set", &steps, "--set", "schedule.cosine.warmup=1"];
        let train = ["train", "lstm.toml", "--device", "cpu", "--run", name];
        workshop.kiln(&[&train[..], &settings[..]].concat()).success();
    }
    workshop.write("runs/pictures/a.svg", "<svg/>");
    let cells = |arguments: &[&str]| -> Vec<Vec<String>> {
        let table = workshop.kiln(&[&["ls"], arguments].concat()).success().stdout;
        let lines = table.lines().filter(|line| line.starts_with('|') && !line.starts_with("|-"));
        let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        lines.map(cells).collect()
    };
    let columns = ["--columns", "name,run.batch,schedule,model.lstm.hidden,parameters", "--sort", "run.batch"];
    let found = cells(&columns);
    assert_eq!(found[0], ["name", "run.batch", "schedule", "model.lstm.hidden", "parameters"]);
    let names: Vec<&str> = found[1..].iter().map(|line| line[0].as_str()).collect();
    assert_eq!(names, ["c", "a", "b", "pictures"]);
    assert_eq!((found[1][1].as_str(), found[1][2].as_str()), ("1", "cosine"));
    assert_eq!(found[4][1..], ["", "", "", ""]);
    let reversed: Vec<String> = cells(&["--sort", "steps", "--reverse"]).iter().map(|line| line[0].clone()).collect();
    assert_eq!(reversed, ["name", "pictures", "a", "c", "b"]);

    // The numbers beside the loss: those of the checkpoint, of the log and of the disk.
    let row = listed(&workshop, "a");
    let report = json(&workshop.kiln(&["inspect", "runs/a", "--json"]).success().stdout);
    assert_eq!(row["parameters"], report["model"]["parameters"]);
    let log = fs::read_to_string(workshop.path("runs/a/metrics.jsonl")).expect("there is a log");
    let best = log.lines().map(json).find(|line| line["valid_loss"] == row["best_loss"]).expect("it is in the log");
    assert_eq!(row["bits_per_byte"], best["bits_per_byte"]);
    let rows = json(&workshop.kiln(&["ls", "--json", "--columns", "seed,run.batch"]).success().stdout);
    assert_eq!(rows[0]["settings"], serde_json::json!({ "run.batch": 2, "seed": 1 }));
    let total = workshop.kiln(&["ls"]).success().stdout.lines().last().unwrap_or_default().to_owned();
    assert!(total.starts_with("3 runs, ") && total.contains("the cache of texts has "), "{total}");
    for wrong in ["--columns=los", "--sort=run", "--columns=name,,loss"] {
        let refused = workshop.kiln(&["ls", wrong]);
        assert!(refused.code == Some(2) && refused.stderr.contains("bits-per-byte"), "{wrong}: {}", refused.stderr);
    }
}

#[test]
fn a_run_that_can_go_on_is_stopped_and_one_that_trains_names_its_process() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let arguments = ["train", "transformer.toml", "--device", "cpu", "--run", "run", "--set", "run.steps=1000000"];
    let mut command = workshop.command(&arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("kiln can be started");
    let lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
    // Kept, since kiln would find its stderr closed.
    let mut lines = lines.map(|line| line.expect("kiln writes UTF-8"));
    lines.find(|line| line.starts_with("step")).expect("it makes steps");
    let row = listed(&workshop, "run");
    assert_eq!((row["state"].as_str(), row["process"].as_u64()), (Some("training"), Some(child.id().into())), "{row}");
    assert!(row["step"].as_u64().is_some_and(|step| step > 0), "{row}");
    let table = workshop.kiln(&["ls"]).success().stdout;
    assert!(table.contains(&format!("training now by process {}", child.id())), "{table}");
    let words = workshop.kiln(&["inspect", "runs/run"]).success().stdout;
    assert!(words.contains(&format!("training now by process {}", child.id())), "{words}");

    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("there is a kill").success());
    lines.for_each(drop);
    assert_eq!(child.wait().expect("kiln ends").code(), Some(130));
    let row = listed(&workshop, "run");
    assert_eq!((row["state"].as_str(), row["process"].as_u64()), (Some("stopped"), None), "{row}");
    assert!(row["step"].as_u64().is_some_and(|step| step > 0 && step < 1_000_000), "{row}");
}

#[test]
fn broken_folders_and_races_are_listed_beside_the_others() {
    let workshop = trained();
    damage(&workshop, &format!("{OLDER}/optimizer.safetensors"));
    workshop.write("runs/broken/config.toml", "this is no TOML");
    workshop.write("runs/pictures/a.svg", "<svg/>");
    workshop.write("runs/race/sweep.toml", "nor is this");
    workshop.write("runs/a file", "");
    let run = listed(&workshop, "run");
    assert_eq!((run["state"].as_str(), run["whole_checkpoints"].as_u64()), (Some("damaged"), Some(1)), "{run}");
    let why = run["damage"][0].as_str().expect("it is said why");
    assert!(why.contains("step 10") && why.contains("optimizer.safetensors"), "{why}");
    assert_eq!(listed(&workshop, "broken")["state"], "damaged");
    assert_eq!(listed(&workshop, "pictures")["kind"], "other");
    let race = listed(&workshop, "race");
    assert_eq!((race["kind"].as_str(), race["state"].as_str()), (Some("sweep"), Some("damaged")), "{race}");
    let table = workshop.kiln(&["ls", "runs"]).success().stdout;
    assert_eq!(table.lines().filter(|line| line.starts_with('|')).count(), 6, "{table}");
    assert!(table.contains("damaged: checkpoint of step 10"), "{table}");
}

#[test]
fn a_race_is_listed_with_its_runs() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let run = fs::read_to_string(workshop.path("lstm.toml")).expect("it is there");
    let start = run.find("[schedule.cosine]").expect("there is a schedule");
    let end = run.find("[run]").expect("there is a run");
    let entrants = "\n[[entrants]]\nlabel = \"steady\"\n[entrants.schedule.constant]\nrate = 1e-2\n\
        \n[[entrants]]\nlabel = \"hopeless\"\n[entrants.optimizer.sgd]\n[entrants.schedule.constant]\nrate = 1e30\n";
    workshop.write("race.toml", format!("{}{}{entrants}", &run[..start], &run[end..]));
    workshop.kiln(&["race", "race.toml", "--device", "cpu", "--run", "race", "--set", "run.steps=10"]).success();
    assert_eq!(listed(&workshop, "race")["state"], "2 of 2 done");
    assert_eq!(listed(&workshop, "race/steady")["state"], "done");
    assert_eq!(listed(&workshop, "race/hopeless")["state"], "diverged");
    let refused = workshop.kiln(&["inspect", "runs/race"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("kiln ls runs/race"), "{}", refused.stderr);
    workshop.kiln(&["inspect", "runs/race/steady"]).success();
}

#[test]
fn a_whole_run_is_inspected() {
    let workshop = trained();
    let report = json(&workshop.kiln(&["inspect", "runs/run", "--json"]).success().stdout);
    let record = json(&fs::read_to_string(workshop.path("runs/run/run.json")).expect("there is a record"));
    assert_eq!(report["record"], record);
    assert_eq!((report["step"].as_u64(), report["state"].as_str()), (Some(20), Some("done")));
    let steps: Vec<u64> =
        report["checkpoints"].as_array().expect("a list").iter().filter_map(|each| each["step"].as_u64()).collect();
    assert_eq!(steps, [10, 20]);
    assert_eq!(report["best"]["loss"].as_f64(), Some(best_logged(&workshop)));
    assert_eq!(report["history"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["damage"], json("[]"));
    let words = workshop.kiln(&["inspect", "runs/run"]).success().stdout;
    for expected in ["lstm", "step       10", "step       20", "whole", "the best", "from step        0", "all is well"]
    {
        assert!(words.contains(expected), "{expected:?} is not in\n{words}");
    }
    assert!(words.contains(record["train_text_hash"].as_str().expect("there is a hash")), "{words}");
}

#[test]
fn damage_and_leftovers_of_a_run_are_reported_exactly() {
    let workshop = trained();
    let weights = workshop.path(&format!("{OLDER}/model.safetensors"));
    let length = fs::metadata(&weights).expect("it is there").len();
    fs::OpenOptions::new().write(true).open(&weights).and_then(|file| file.set_len(length - 1)).expect("it can be cut");
    fs::remove_file(workshop.path(&format!("{NEWER}/training.json"))).expect("it can be removed");
    fs::create_dir(workshop.path("runs/run/checkpoints/step-00000030.tmp-77")).expect("a folder can be made");
    workshop.write("runs/run/tokenizer.json", "{");
    let finished = workshop.kiln(&["inspect", "runs/run"]);
    assert_eq!(finished.code, Some(3), "{}", finished.stdout);
    for expected in [
        format!("`model.safetensors` has {} bytes instead of {length}", length - 1),
        "DAMAGED: checkpoint of step 20: `training.json` is missing".to_owned(),
        "step-00000030.tmp-77".to_owned(),
        "tokenizer.json".to_owned(),
    ] {
        assert!(finished.stdout.contains(&expected), "{expected:?} is not in\n{}", finished.stdout);
    }
    let json = json(&workshop.kiln(&["inspect", "runs/run", "--json"]).stdout);
    assert_eq!(json["damage"].as_array().map(Vec::len), Some(3), "{json}");
    assert_eq!(json["leftovers"].as_array().map(Vec::len), Some(1), "{json}");
}

#[test]
fn a_whole_checkpoint_is_inspected() {
    let workshop = trained();
    let report = json(&workshop.kiln(&["inspect", NEWER, "--json"]).success().stdout);
    let state = json(&fs::read_to_string(workshop.path(&format!("{NEWER}/training.json"))).expect("it is there"));
    assert_eq!((&report["training"], report["step"].as_u64()), (&state, Some(20)));
    assert_eq!(report["description"]["model"]["lstm"]["hidden"].as_u64().map(|hidden| hidden > 0), Some(true));
    for file in report["files"].as_array().expect("a list") {
        let name = file["name"].as_str().expect("a name");
        let bytes = fs::metadata(workshop.path(&format!("{NEWER}/{name}"))).expect("it is there").len();
        assert_eq!(file["bytes"].as_u64(), Some(bytes), "{name}");
        assert_eq!(file["verified"].as_bool(), Some(true), "{name}");
        assert_eq!(file["blake3"].is_string(), name != "manifest.json", "{name}");
    }
    // The weights' header says the same to the safetensors crate.
    let weights = fs::read(workshop.path(&format!("{NEWER}/model.safetensors"))).expect("it is there");
    let weights = safetensors::SafeTensors::deserialize(&weights).expect("it is a safetensors file");
    let tensors = report["tensors"].as_array().expect("a list");
    let of_weights: Vec<&Value> = tensors.iter().filter(|tensor| tensor["file"] == "model.safetensors").collect();
    assert_eq!(of_weights.len(), weights.len());
    for tensor in of_weights {
        let view = weights.tensor(tensor["name"].as_str().expect("a name")).expect("it is there");
        let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).expect("a shape");
        assert_eq!((shape.as_slice(), tensor["number_type"].as_str()), (view.shape(), Some("F32")));
    }
    let words = workshop.kiln(&["inspect", NEWER]).success().stdout;
    for expected in ["after step 20", "verified", "faults      none", "optimizer.safetensors", "F32", "all is well"] {
        assert!(words.contains(expected), "{expected:?} is not in\n{words}");
    }
}

#[test]
fn every_damaged_file_of_a_checkpoint_is_reported() {
    let workshop = trained();
    damage(&workshop, &format!("{NEWER}/model.safetensors"));
    damage(&workshop, &format!("{NEWER}/optimizer.safetensors"));
    workshop.write(&format!("{NEWER}/note.txt"), "not a part of it");
    let finished = workshop.kiln(&["inspect", NEWER, "--json"]);
    assert_eq!(finished.code, Some(3), "{}", finished.stdout);
    let report = json(&finished.stdout);
    let damage: Vec<&str> = report["damage"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(damage.len(), 2, "{damage:?}");
    assert!(damage[0].contains("`model.safetensors`") && damage[1].contains("`optimizer.safetensors`"), "{damage:?}");
    let words = workshop.kiln(&["inspect", NEWER]).stdout;
    assert!(words.contains("note.txt") && words.contains("never read"), "{words}");

    fs::remove_file(workshop.path(&format!("{OLDER}/manifest.json"))).expect("it can be removed");
    let finished = workshop.kiln(&["inspect", OLDER]);
    assert_eq!(finished.code, Some(3), "{}", finished.stdout);
    assert!(finished.stdout.contains("DAMAGED: `manifest.json` is missing"), "{}", finished.stdout);
}

#[test]
fn what_is_no_run_is_said_to_be_none() {
    let workshop = Workshop::new();
    workshop.write("folder/file", "");
    for (path, words) in
        [("folder", "runs/NAME"), ("folder/file", "runs/NAME"), ("nowhere", "no folder `runs` of runs")]
    {
        let finished = workshop.kiln(&["inspect", path]);
        assert_eq!(finished.code, Some(3), "{path}: {}", finished.stderr);
        assert!(finished.stderr.contains(words), "{path}: {}", finished.stderr);
    }
}
