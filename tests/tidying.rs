//! `kiln resume`, `prune`, `rm`, `cache`, and where runs are looked for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Finished, Workshop, contents_of, newest_checkpoint};

/// A workshop whose run `run` of the tiny LSTM has checkpoints of the steps 10, 20 and 30.
fn trained() -> Workshop {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    train(&workshop, &[]).success();
    workshop
}

fn train(workshop: &Workshop, more: &[&str]) -> Finished {
    let settings = ["run.steps=30", "run.checkpoint-every=10", "run.evaluate-every=10"];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let arguments = ["train", "lstm.toml", "--device", "cpu", "--run", "run"].into_iter().chain(settings);
    workshop.kiln(&arguments.chain(more.iter().copied()).collect::<Vec<_>>())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The steps of a run's checkpoints.
fn steps(run: &Path) -> Vec<u64> {
    let mut steps: Vec<u64> = fs::read_dir(run.join("checkpoints"))
        .expect("there are checkpoints")
        .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .map(|name| name.trim_start_matches("step-").parse().expect("it is a number"))
        .collect();
    steps.sort_unstable();
    steps
}

/// The names of the files of a checkpoint.
fn files(checkpoint: &Path) -> Vec<String> {
    let entries = fs::read_dir(checkpoint).expect("it is there");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The loss that `kiln eval --json` prints.
fn loss(workshop: &Workshop, arguments: &[&str]) -> f64 {
    let finished = workshop.kiln(&[&["eval", "--device", "cpu", "--json"], arguments].concat()).success();
    json(&finished.stdout)["loss"].as_f64().expect("there is a loss")
}

/// Files but the locks, which looking at a run writes.
fn without_lock(files: BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<PathBuf, Vec<u8>> {
    files.into_iter().filter(|(path, _)| !path.ends_with("lock")).collect()
}

/// The best of three checkpoints that is not the newest: the file says so, whatever the losses.
fn name_best(workshop: &Workshop, step: u64) {
    workshop.write("runs/run/best", format!("step-{step:08}\n"));
}

#[test]
fn a_moved_run_goes_on_without_its_configuration_file_and_ends_with_the_same_bits() {
    let (whole, moved) = (trained(), Workshop::with_config("tiny/lstm.toml"));
    let stopped = train(&moved, &["--stop-after", "13"]).success();
    let words = "resume it:        kiln resume runs/run --device cpu";
    assert_eq!(stopped.stderr.lines().last(), Some(words), "{}", stopped.stderr);
    fs::remove_file(moved.path("lstm.toml")).expect("it can be removed");
    fs::create_dir(moved.path("archive")).expect("a folder can be made");
    fs::rename(moved.path("runs/run"), moved.path("archive/old")).expect("it can be moved");
    moved.kiln(&["resume", "archive/old", "--device", "cpu"]).success();
    let [expected, found] = [whole.path("runs/run"), moved.path("archive/old")].map(|run| newest_checkpoint(&run));
    for file in files(&expected) {
        let [expected, found] = [&expected, &found].map(|folder| fs::read(folder.join(&file)).expect("it is there"));
        assert!(expected == found, "{file} differs");
    }
    assert!(!moved.path("runs/old").exists(), "a second run was started");

    // By its name among other runs; what may change may change.
    let again =
        moved.kiln(&["resume", "old", "--runs", "archive", "--device", "cpu", "--set", "run.steps=34"]).success();
    assert!(
        again.stderr.contains("run.steps: 30 -> 34") && again.stderr.contains("done: steps 31 to 34"),
        "{}",
        again.stderr
    );
    let nothing = moved.kiln(&["resume", "archive/old", "--device", "cpu"]).success();
    assert!(nothing.stderr.contains("kiln resume archive/old --set run.steps=68"), "{}", nothing.stderr);
}

#[test]
fn a_run_whose_text_was_moved_goes_on_with_the_text_in_its_new_place() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let text = "Once upon a time there was a kiln, and in it burned a fire.\n".repeat(400);
    workshop.write("tales.txt", &text);
    train(&workshop, &["--set", "data.file.paths=[\"tales.txt\"]", "--stop-after", "10"]).success();
    fs::rename(workshop.path("tales.txt"), workshop.path("moved.txt")).expect("it can be moved");
    let resume = ["resume", "run", "--device", "cpu", "--set", "data.file.paths=[\"moved.txt\"]"];
    let resumed = workshop.kiln(&resume).success();
    assert!(resumed.stderr.contains("changed: data.file.paths: "), "{}", resumed.stderr);
    workshop.write("moved.txt", format!("Now {text}"));
    assert_eq!(workshop.kiln(&resume).code, Some(2));
}

#[test]
fn what_is_no_run_cannot_be_resumed_and_nothing_is_written() {
    let workshop = trained();
    workshop.write("race/sweep.toml", "");
    workshop.write("elsewhere/notes.txt", "nothing");
    let before = workshop.contents();
    let cases = [
        ("runs/nosuch", 3, "there is no `runs/nosuch`"),
        ("elsewhere", 3, "neither a run folder"),
        ("runs/run/checkpoints/step-00000010", 2, "is a checkpoint"),
        ("race", 2, "nothing to compare"),
    ];
    for (path, code, words) in cases {
        let refused = workshop.kiln(&["resume", path, "--device", "cpu"]);
        assert_eq!(refused.code, Some(code), "{path}: {}", refused.stderr);
        assert!(refused.stderr.contains(words), "{path}: {}", refused.stderr);
    }
    assert!(workshop.contents() == before, "a refusal wrote something");
}

#[test]
fn a_name_that_is_none_is_proposed_the_nearest_and_told_where_it_was_looked_for() {
    let workshop = trained();
    workshop.write("runs/sweep/sweep.toml", "");
    workshop.write("runs/figures/report.html", "");
    let commands = [
        "sample",
        "eval",
        "log",
        "compare",
        "plot",
        "resume",
        "inspect",
        "rm",
        "ls",
        "prune --keep=best",
        "bench generate",
    ];
    for command in commands {
        for (name, help) in [("rnu", "did you mean `run`?"), ("runs/swep", "did you mean `runs/sweep`?")] {
            let arguments: Vec<&str> = command.split(' ').chain([name]).collect();
            let refused = workshop.kiln(&arguments);
            assert_eq!(refused.code, Some(3), "{arguments:?}: {}", refused.stderr);
            assert!(refused.stderr.contains(help), "{arguments:?}: {}", refused.stderr);
        }
    }
    let refused = |arguments: &[&str]| -> String {
        let finished: Finished =
            workshop.command(arguments).env("KILN_RUNS", "elsewhere").output().expect("kiln can be started").into();
        assert_eq!(finished.code, Some(3), "{}", finished.stderr);
        finished.stderr
    };
    let text = refused(&["log", "rnu", "--runs", "runs"]);
    assert!(text.contains("there is no `rnu`, neither in the current folder nor among the runs in `runs`"), "{text}");
    let text = refused(&["log", "rnu"]);
    assert!(text.contains("and no folder `elsewhere` of runs") && text.contains("KILN_RUNS"), "{text}");
    // What is no run is not proposed.
    let text = refused(&["log", "figure", "--runs", "runs"]);
    assert!(text.contains("`kiln ls` lists what there is") && !text.contains("did you mean"), "{text}");
}

#[test]
fn a_run_and_a_sweep_are_listed_by_their_names() {
    let workshop = trained();
    let sweep = ["sweep", "lstm.toml", "--run", "both", "--device", "cpu", "--set", "run.steps=5"];
    workshop.kiln(&[&sweep[..], &["--set", "run.batch=2,4", "--set", "schedule.cosine.warmup=1"]].concat()).success();
    let names = |arguments: &[&str]| -> Vec<String> {
        let rows = json(&workshop.kiln(&[&["ls", "--json"], arguments].concat()).success().stdout);
        let name = |row: &Value| row["name"].as_str().expect("it has a name").to_owned();
        rows.as_array().expect("it is a list").iter().map(name).collect()
    };
    assert_eq!(names(&["run"]), ["run"]);
    assert_eq!(names(&["runs/run"]), ["run"]);
    assert_eq!(names(&["both"]), ["batch=2", "batch=4"]);
    assert_eq!(names(&["runs"]), ["both", "both/batch=2", "both/batch=4", "run"]);
}

#[cfg(unix)]
#[test]
fn pruning_counts_what_is_freed_behind_a_link_and_not_what_has_another_name() {
    let bytes_of = |folder: &Path| -> u64 {
        let entries = fs::read_dir(folder).expect("it is there");
        entries.map(|entry| entry.expect("it can be listed").metadata().expect("it has a size").len()).sum()
    };
    let words = |workshop: &Workshop| {
        let pruned = workshop.kiln(&["prune", "run", "--keep", "last"]).success();
        pruned.stderr.lines().last().expect("it says what is freed").to_owned()
    };
    // In bytes of three digits and a unit, as they are printed.
    let kib = |bytes: u64| format!("{:.0} KiB", bytes as f64 / 1024.0);
    let checkpoint = |name: &str| format!("runs/run/checkpoints/step-000000{name}");

    let moved = trained();
    let gone: u64 = ["10", "20"].map(|step| bytes_of(&moved.path(&checkpoint(step)))).iter().sum();
    fs::rename(moved.path("runs/run/checkpoints"), moved.path("large-disk")).expect("it can be moved");
    std::os::unix::fs::symlink(moved.path("large-disk"), moved.path("runs/run/checkpoints")).expect("it can be linked");
    assert_eq!(words(&moved), format!("freed {}", kib(gone)));

    let linked = trained();
    fs::create_dir(linked.path("backup")).expect("it can be made");
    for file in files(&linked.path(&checkpoint("10"))) {
        let (from, to) = (linked.path(&checkpoint("10")).join(&file), linked.path("backup").join(&file));
        fs::hard_link(from, to).expect("it can be linked");
    }
    let [of_10, of_20] = ["10", "20"].map(|step| kib(bytes_of(&linked.path(&checkpoint(step)))));
    let stays = "stay on the disk, where files have other names (hard links)";
    assert_eq!(words(&linked), format!("freed {of_20}; {of_10} {stays}"));
}

#[test]
fn runs_are_where_the_argument_or_the_variable_says() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    train(&workshop, &["--runs", "one"]).success();
    let kiln = |arguments: &[&str]| -> Finished {
        workshop.command(arguments).env("KILN_RUNS", "one").output().expect("kiln can be started").into()
    };
    let rows = json(&kiln(&["ls", "--json"]).success().stdout);
    assert_eq!(rows.as_array().map(Vec::len), Some(1));
    for command in [&["sample", "run", "-n", "3"][..], &["eval", "run"], &["inspect", "run"]] {
        let device: &[&str] = if command[0] == "inspect" { &[] } else { &["--device", "cpu"] };
        kiln(&[command, device].concat()).success();
        assert_eq!(workshop.kiln(&[command, device].concat()).code, Some(3), "{command:?} without the variable");
    }
    // The argument counts more than the variable, and an empty variable counts as none.
    assert_eq!(kiln(&["ls", "--runs", "two", "--json"]).success().stdout.trim(), "[]");
    let train = ["train", "lstm.toml", "--device", "cpu", "--set", "run.steps=6"];
    kiln(&train).success();
    assert!(workshop.path("one/lstm").is_dir() && !workshop.path("runs").exists());
    let mut empty = workshop.command(&train);
    assert!(empty.env("KILN_RUNS", "").status().expect("kiln can be started").success());
    assert!(workshop.path("runs/lstm").is_dir());
}

#[test]
fn pruning_keeps_what_was_asked_for() {
    let cases: [(&str, &[u64]); 4] = [("best", &[20]), ("last", &[30]), ("1", &[20, 30]), ("7", &[10, 20, 30])];
    for (keep, expected) in cases {
        let workshop = trained();
        name_best(&workshop, 20);
        let before: u64 = workshop.contents().values().map(|bytes| bytes.len() as u64).sum();
        let finished = workshop.kiln(&["prune", "run", "--keep", keep]).success();
        assert_eq!(steps(&workshop.path("runs/run")), expected, "{keep}: {}", finished.stderr);
        let after: u64 = workshop.contents().values().map(|bytes| bytes.len() as u64).sum();
        assert_eq!(before > after, expected.len() < 3, "{keep}");
        workshop.kiln(&["inspect", "run"]).success();
        assert_eq!(workshop.path("runs/run/best").exists(), keep != "last", "{keep}");
    }
}

#[test]
fn a_damaged_checkpoint_is_never_the_one_that_stays() {
    let workshop = trained();
    name_best(&workshop, 20);
    fs::write(workshop.path("runs/run/checkpoints/step-00000030/model.safetensors"), "").expect("it can be written");
    workshop.kiln(&["prune", "run", "--keep", "last"]).success();
    assert_eq!(steps(&workshop.path("runs/run")), [20]);
    name_best(&workshop, 10);
    let refused = workshop.kiln(&["prune", "run", "--keep", "best"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("--keep last"), "{}", refused.stderr);
    assert_eq!(steps(&workshop.path("runs/run")), [20]);
    assert_eq!(workshop.kiln(&["prune", "run"]).code, Some(2), "nothing was said to be removed");
}

#[test]
fn weights_alone_are_sampled_from_and_evaluated_and_not_trained_on() {
    let workshop = trained();
    let expected = loss(&workshop, &["run"]);
    let sample = ["sample", "run", "--device", "cpu", "-n", "40"];
    let text = workshop.kiln(&sample).success().stdout;
    let table = workshop.kiln(&["ls", "--columns", "loss,steps,state"]).success().stdout;
    workshop.kiln(&["prune", "run", "--keep", "best", "--weights-only"]).success();
    let checkpoint = newest_checkpoint(&workshop.path("runs/run"));
    assert_eq!(files(&checkpoint), ["manifest.json", "model.safetensors", "training.json"]);
    assert_eq!(loss(&workshop, &["run"]).to_bits(), expected.to_bits());
    assert_eq!(workshop.kiln(&sample).success().stdout, text);
    let looked = workshop.kiln(&["inspect", "run"]).success().stdout;
    assert!(looked.contains("state       done, 30 of 30 steps, weights only\n"), "{looked}");
    workshop.kiln(&["inspect", &checkpoint.to_string_lossy()]).success();
    let lines = |table: &str| table.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    let after = workshop.kiln(&["ls", "--columns", "loss,steps,state"]).success().stdout;
    let columns = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(columns(&lines(&table)[0]), columns(&lines(&after)[0]));
    assert!(lines(&after)[2].contains("| done, weights only |"), "{after}");

    let before = workshop.contents();
    let refused = workshop.kiln(&["resume", "run", "--device", "cpu", "--set", "run.steps=60"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    for words in ["has only weights", "kiln sample"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert!(without_lock(workshop.contents()) == without_lock(before), "a refusal wrote something");
}

#[test]
fn a_copy_of_the_weights_beside_their_tokenizer_is_a_model() {
    let workshop = trained();
    let tale = "the cat and the dog";
    workshop.write("tale.txt", tale);
    let expected = loss(&workshop, &["run", "tale.txt"]);
    fs::create_dir(workshop.path("model")).expect("a folder can be made");
    let checkpoint = fs::read_to_string(workshop.path("runs/run/best")).expect("there is a best one");
    let weights = format!("runs/run/checkpoints/{}/model.safetensors", checkpoint.trim());
    fs::copy(workshop.path(&weights), workshop.path("model/model.safetensors")).expect("it can be copied");
    // Without the tokenizer it is none.
    assert_eq!(workshop.kiln(&["sample", "model", "--device", "cpu"]).code, Some(3));
    fs::copy(workshop.path("runs/run/tokenizer.json"), workshop.path("model/tokenizer.json")).expect("it is copied");
    let [first, second] = [&["sample", "model"], &["sample", "run"]]
        .map(|which| workshop.kiln(&[&which[..], &["--device", "cpu", "-n", "40"]].concat()).success());
    assert_eq!(first.stdout, second.stdout);
    assert!(first.stderr.contains("has no `manifest.json`"), "{}", first.stderr);
    assert!((loss(&workshop, &["model", "tale.txt"]) - expected).abs() < 1e-3);
    let refused = workshop.kiln(&["eval", "model", "--device", "cpu"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let refused = workshop.kiln(&["resume", "model", "--device", "cpu"]);
    assert!(refused.code == Some(3) && refused.stderr.contains("has only weights"), "{}", refused.stderr);
}

#[test]
fn only_whole_runs_that_nobody_trains_are_removed() {
    let workshop = trained();
    workshop.write("project/config.toml", "mine = true");
    workshop.write("project/thesis.txt", "two years of work");
    workshop.write("notes/a.txt", "a");
    let before = workshop.contents();
    for (arguments, words) in [
        (&["rm", "run"][..], "--yes"),
        (&["rm", "--yes", "run", "nosuch"], "there is no `nosuch`"),
        (&["rm", "--yes", "notes"], "neither a run folder"),
        (&["rm", "--yes", "project"], "thesis.txt` doesn't belong to a run"),
    ] {
        let refused = workshop.kiln(arguments);
        assert!(matches!(refused.code, Some(2 | 3)), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(words), "{arguments:?}: {}", refused.stderr);
        assert!(workshop.contents() == before, "{arguments:?} removed something");
    }
    let lock = fs::File::open(workshop.path("runs/run/lock")).expect("there is a lock");
    lock.lock().expect("nobody holds it");
    let refused = workshop.kiln(&["rm", "--yes", "run"]);
    assert!(refused.code == Some(3) && refused.stderr.contains("is being trained"), "{}", refused.stderr);
    assert_eq!(workshop.kiln(&["prune", "run", "--keep", "last"]).code, Some(3));
    assert!(workshop.contents() == before);
    drop(lock);
    let removed = workshop.kiln(&["rm", "--yes", "run"]).success();
    assert!(removed.stderr.contains("removed runs/run, "), "{}", removed.stderr);
    assert_eq!(fs::read_dir(workshop.path("runs")).expect("it is there").count(), 0);
}

#[test]
fn the_cache_is_listed_counted_and_cleared() {
    let workshop = trained();
    let bytes: usize = workshop.cached().values().map(Vec::len).sum();
    assert!(bytes > 0);
    let listed = workshop.kiln(&["cache"]).success().stdout;
    assert!(listed.contains("| tokens | tales of 20000 characters, seed 1, character "), "{listed}");
    let total = listed.lines().last().and_then(|line| line.rsplit_once(": ")).expect("there is a total").1.to_owned();
    let list = workshop.kiln(&["ls"]).success().stdout;
    assert!(list.contains(&format!("the cache of texts has {total}")), "{list}");
    workshop.kiln(&["cache", "--clear"]).success();
    assert_eq!(workshop.cached().values().map(Vec::len).sum::<usize>(), 0);
    let listed = workshop.kiln(&["cache"]).success().stdout;
    assert!(listed.ends_with("cache: 0 B\n"), "{listed}");
    // It is made again when it is needed.
    workshop.kiln(&["eval", "run", "--device", "cpu"]).success();
    let validation = workshop.cached().values().map(Vec::len).sum::<usize>();
    assert!(validation > 0 && validation < bytes, "the validation split alone is needed: {validation} of {bytes}");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_run_goes_alone_and_one_that_leads_nowhere_is_listed_and_removed() {
    let workshop = trained();
    fs::create_dir(workshop.path("far")).expect("a folder can be made");
    fs::rename(workshop.path("runs/run"), workshop.path("far/run")).expect("it can be moved");
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, workshop.path(&format!("runs/{name}"))).expect("a link can be made");
    };
    link("../far/run", "run");
    let before = without_lock(contents_of(&workshop.path("far/run")));
    let removed = workshop.kiln(&["rm", "--yes", "runs/run/"]).success();
    let words = "removed runs/run, a link to ../far/run; what links lead to stays: ";
    assert!(removed.stderr.contains(words) && removed.stderr.contains("/far/run\n"), "{}", removed.stderr);
    assert!(fs::symlink_metadata(workshop.path("runs/run")).is_err(), "the link is left");
    let after = without_lock(contents_of(&workshop.path("far/run")));
    assert!(after == before && before.len() > 5, "what the link leads to has changed");
    link("../far/gone", "broken");
    let listed = workshop.kiln(&["ls"]).success().stdout;
    assert!(listed.contains("broken") && listed.contains("a link to ../far/gone, which isn't there"), "{listed}");
    assert_eq!(workshop.kiln(&["resume", "broken", "--device", "cpu"]).code, Some(3));
    workshop.kiln(&["rm", "--yes", "broken"]).success();
    assert!(fs::symlink_metadata(workshop.path("runs/broken")).is_err(), "the link is left");
    assert!(workshop.path("far").exists());
}

#[cfg(unix)]
#[test]
fn checkpoints_on_another_disk_count_but_only_the_link_to_them_goes_with_their_run() {
    let workshop = trained();
    let size = |workshop: &Workshop| json(&workshop.kiln(&["ls", "--json"]).success().stdout)[0]["bytes"].clone();
    let expected = size(&workshop);
    fs::rename(workshop.path("runs/run/checkpoints"), workshop.path("large-disk")).expect("it can be moved");
    std::os::unix::fs::symlink("../../large-disk", workshop.path("runs/run/checkpoints")).expect("it can be linked");
    assert_eq!(size(&workshop), expected);
    let pruned = workshop.kiln(&["prune", "run", "--keep", "2"]).success();
    assert!(pruned.stderr.contains("large-disk, which `checkpoints` of the run is a link to"), "{}", pruned.stderr);
    let before = contents_of(&workshop.path("large-disk"));
    let removed = workshop.kiln(&["rm", "--yes", "run"]).success();
    let words = "what links lead to stays: ";
    assert!(removed.stderr.contains(words) && removed.stderr.contains("/large-disk\n"), "{}", removed.stderr);
    assert!(fs::symlink_metadata(workshop.path("runs/run")).is_err(), "the run is left");
    let after = contents_of(&workshop.path("large-disk"));
    assert!(after == before && before.len() > 8, "what the link leads to has changed");
}

#[cfg(unix)]
#[test]
fn a_run_whose_checkpoints_lead_nowhere_is_refused_before_it_trains() {
    let workshop = trained();
    fs::remove_dir_all(workshop.path("runs/run/checkpoints")).expect("it can be removed");
    std::os::unix::fs::symlink("gone", workshop.path("runs/run/checkpoints")).expect("it can be linked");
    let refused = workshop.kiln(&["resume", "run", "--device", "cpu"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("`runs/run/checkpoints` is a link that leads to nothing"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("step  1"), "{}", refused.stderr);
}

#[test]
fn a_model_without_a_run_is_listed_and_removed_as_one() {
    let workshop = trained();
    workshop.kiln(&["import", "run", "--run", "copy", "--device", "cpu"]).success();
    let listed = json(&workshop.kiln(&["ls", "--json"]).success().stdout);
    let [copy, run] = [&listed[0], &listed[1]];
    assert_eq!((&copy["kind"], &copy["state"]), (&"model".into(), &"a model without a run".into()));
    assert_eq!((&copy["model"], &copy["parameters"]), (&run["model"], &run["parameters"]));
    for command in ["log", "plot", "resume"] {
        let refused = workshop.kiln(&[command, "copy"]);
        assert!(refused.stderr.contains("a model without a run"), "{command}: {}", refused.stderr);
    }
    workshop.kiln(&["rm", "--yes", "copy"]).success();
    assert!(!workshop.path("runs/copy").exists());
}

#[test]
fn what_is_given_in_place_of_a_run_or_a_configuration_is_answered_with_the_command_that_takes_it() {
    let workshop = trained();
    let sweep = ["sweep", "lstm.toml", "--device", "cpu", "--run", "sweep", "--set", "schedule.cosine.rate=1e-3,1e-2"];
    workshop.kiln(&[&sweep[..], &["--set", "run.steps=20"]].concat()).success();
    let listed = workshop.kiln(&["ls", "sweep", "--sort", "loss", "--columns", "name"]).success().stdout;
    let best = listed.lines().nth(2).expect("there is a first run").trim_matches(['|', ' ']).to_owned();
    for (arguments, words) in [
        (&["sample", "sweep"][..], format!("`kiln sample runs/sweep/{best}` takes its best run")),
        (&["eval", "sweep"], format!("`kiln eval runs/sweep/{best}` takes its best run")),
        (&["sample", "lstm.toml"], "`kiln train lstm.toml` trains a run".to_owned()),
        (
            &["eval", "runs/run/checkpoints/step-00000030/model.safetensors"],
            "give its folder: `kiln eval runs/run/checkpoints/step-00000030`".to_owned(),
        ),
        (&["sample", "runs/run/config.toml"], "give its folder: `kiln sample runs/run`".to_owned()),
        (&["resume", "lstm.toml"], "`kiln train lstm.toml` trains a new run".to_owned()),
        (&["train", "runs/run"], "`kiln resume runs/run` resumes it".to_owned()),
        (&["train", "run", "--resume"], "`kiln resume runs/run` resumes it".to_owned()),
        (&["train", "lstm.toml", "--lr", "0.1"], "`lr` is `schedule.cosine.rate` here".to_owned()),
    ] {
        let refused = workshop.kiln(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(&words), "{arguments:?}, {words}: {}", refused.stderr);
    }
}

#[test]
fn a_copied_checkpoint_is_evaluated_and_what_is_left_of_a_run_is_said() {
    let workshop = trained();
    workshop.write("tale.txt", "the cat and the dog");
    let of_run = workshop.kiln(&["eval", "run", "tale.txt", "--device", "cpu"]).success();
    let checkpoint = fs::read_to_string(workshop.path("runs/run/best")).expect("there is a best one");
    let checkpoint = checkpoint.trim();
    let words = format!("checkpoint: runs/run/checkpoints/{checkpoint} (the best, step ");
    assert!(of_run.stderr.contains(&words), "{}", of_run.stderr);
    fs::create_dir(workshop.path("copy")).expect("a folder can be made");
    let from = workshop.path(&format!("runs/run/checkpoints/{checkpoint}"));
    for entry in fs::read_dir(from).expect("it can be listed").flatten() {
        fs::copy(entry.path(), workshop.path("copy").join(entry.file_name())).expect("it can be copied");
    }
    let refused = workshop.kiln(&["eval", "copy", "tale.txt", "--device", "cpu"]);
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains("cannot use the tokenizer `copy/tokenizer.json`"), "{}", refused.stderr);
    fs::copy(workshop.path("runs/run/tokenizer.json"), workshop.path("copy/tokenizer.json")).expect("it is copied");
    let of_copy = workshop.kiln(&["eval", "copy", "tale.txt", "--device", "cpu"]).success();
    assert_eq!(of_copy.stdout, of_run.stdout);
    assert_eq!(workshop.kiln(&["eval", "copy", "--device", "cpu"]).code, Some(2));

    let pruned = workshop.kiln(&["prune", "run", "--weights-only"]).success();
    assert!(pruned.stderr.contains("removed the state of training"), "{}", pruned.stderr);
    let listed = workshop.kiln(&["ls"]).success().stdout;
    assert!(listed.contains("done, weights only"), "{listed}");
}
