//! `kiln race` and `kiln sweep`: runs that differ, and what comes out.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::support::{Workshop, newest_checkpoint};

/// The entrants of a race, after the shared sections.
const ENTRANTS: &str = r#"
[[entrants]]
label = "Constant rate"
[entrants.schedule.constant]
rate = 1e-2

[[entrants]]
label = "cosine"
[entrants.schedule.cosine]
rate = 1e-2

[[entrants]]
label = "hopeless"
[entrants.schedule.constant]
rate = 1e30
[entrants.optimizer.sgd]
"#;

/// A workshop with `race.toml`: the tiny LSTM without its schedule, and these entrants.
fn workshop(entrants: &str) -> Workshop {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let run = fs::read_to_string(workshop.path("lstm.toml")).expect("it is there");
    let start = run.find("[schedule.cosine]").expect("there is a schedule");
    let end = run.find("[run]").expect("there is a run");
    workshop.write("race.toml", format!("{}{}{entrants}", &run[..start], &run[end..]));
    workshop
}

#[test]
fn a_sweep_of_a_single_run_says_what_would_make_it_several() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    for command in ["sweep", "race"] {
        let refused = workshop.kiln(&[command, "lstm.toml"]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        for words in ["lstm.toml is the configuration of one run", "`--set run.batch=8,16`", "`kiln train lstm.toml`"] {
            assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        }
        assert!(!refused.stderr.contains("[[entrants]]"), "{}", refused.stderr);
    }
}

fn race<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["race", "race.toml", "--device", "cpu", "--run", "race"], more].concat()
}

/// Names and contents of the last checkpoint's files of an entrant.
fn last_checkpoint(workshop: &Workshop, entrant: &str) -> Vec<(String, Vec<u8>)> {
    let run = workshop.path("runs/race").join(entrant);
    let entries = fs::read_dir(newest_checkpoint(&run)).expect("the checkpoint can be listed");
    let file = |path: &Path| {
        (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), fs::read(path).expect("it can be read"))
    };
    let mut files: Vec<_> = entries.map(|entry| file(&entry.expect("it can be listed").path())).collect();
    files.sort();
    files
}

/// The rows of a CSV file among the runs, by the names of the columns.
fn csv(workshop: &Workshop, name: &str) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(workshop.path("runs").join(name)).expect("there is a table");
    let cells = |line: &str| {
        // A label with a comma stands in quotes.
        let parts = line
            .split('"')
            .enumerate()
            .map(|(index, part)| if index % 2 == 0 { part.replace(',', "\n") } else { part.to_owned() });
        parts.collect::<String>().split('\n').map(str::to_owned).collect::<Vec<_>>()
    };
    let names = cells(text.lines().next().expect("there is a header"));
    text.lines().skip(1).map(|line| names.iter().cloned().zip(cells(line)).collect()).collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

#[test]
fn a_race_compares_its_entrants_and_continues_past_one_that_diverges() {
    let workshop = workshop(ENTRANTS);
    let finished = workshop.kiln(&race(&[])).success();
    assert!(finished.stderr.contains("hopeless: diverged at step"), "{}", finished.stderr);
    let rows: Vec<&str> = finished.stdout.lines().collect();
    assert!(rows[0].starts_with("| entrant") && rows[0].contains("tokens/s"), "{rows:?}");
    assert_eq!(rows.len(), 5);
    assert!(rows[4].starts_with("| hopeless") && rows[4].contains("diverged at step"), "{rows:?}");
    let runs = csv(&workshop, "race/runs.csv");
    let first = |name: &str| runs[0][name].as_str();
    assert_eq!([first("entrant"), first("folder"), first("steps")], ["Constant rate", "runs/race/constant-rate", "60"]);
    assert!(number(first("best_valid_loss")) <= number(first("final_valid_loss")), "{runs:?}");
    assert!(number(first("final_valid_loss")) < 3.2 && first("diverged_at_step").is_empty(), "{runs:?}");
    assert_eq!(number(first("final_learning_rate")), 0.01);
    assert_eq!(first("schedule"), "constant");
    assert!(number(&runs[2]["diverged_at_step"]) > 1.0, "{runs:?}");
    let summary = csv(&workshop, "race/summary.csv");
    assert_eq!(summary[2]["entrant"], "hopeless");
    let behind = number(&summary[1]["behind_best"]);
    assert_eq!(behind, number(&summary[1]["final_loss"]) - number(&summary[0]["final_loss"]));
    for name in ["validation-loss", "training-loss", "learning-rate"] {
        let picture = fs::read_to_string(workshop.path(&format!("runs/race/{name}.svg"))).expect("there is a picture");
        assert!(picture.contains("Constant rate"), "{name}");
        assert!(workshop.path(&format!("runs/race/{name}.png")).is_file());
    }
    // An entrant is a run like any other.
    let sample = workshop.kiln(&["sample", "runs/race/cosine", "--device", "cpu", "--max-tokens", "5"]).success();
    assert!(!sample.stdout.is_empty());

    let (before, again) = (last_checkpoint(&workshop, "cosine"), workshop.kiln(&race(&[])));
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
    let resumed = workshop.kiln(&race(&["--resume"])).success();
    assert_eq!(resumed.stdout, finished.stdout);
    assert!(!resumed.stderr.contains("after step"), "somebody ran again:\n{}", resumed.stderr);
    assert!(last_checkpoint(&workshop, "cosine") == before, "a finished entrant was changed");
}

#[test]
fn a_stopped_race_resumes_to_the_bits_of_one_that_was_not() {
    let two = ENTRANTS.split("\n[[entrants]]\nlabel = \"hopeless\"").next().expect("there is a start");
    let settings = ["--set", "run.steps=400"];
    let whole = workshop(two);
    whole.kiln(&race(&settings)).success();

    let stopped = workshop(two);
    let mut command = stopped.command(&race(&settings));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("kiln can be started");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
    let next = |lines: &mut dyn Iterator<Item = std::io::Result<String>>, start: &str| {
        lines
            .map(|line| line.expect("kiln writes UTF-8"))
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("kiln ended before it said {start:?}"))
    };
    next(&mut lines, "cosine: validation loss");
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("there is a kill").success());
    let resume = next(&mut lines, "resume it:");
    assert_eq!(child.wait().expect("kiln ends").code(), Some(130));

    let words: Vec<&str> = resume.split_once("kiln ").expect("it is a command").1.split_whitespace().collect();
    let resumed = stopped.kiln(&words).success();
    assert!(resumed.stderr.contains("cosine: resumed after step"), "{}", resumed.stderr);
    for entrant in ["constant-rate", "cosine"] {
        assert!(last_checkpoint(&stopped, entrant) == last_checkpoint(&whole, entrant), "{entrant} ended elsewhere");
    }
}

#[test]
fn where_nobody_arrives_the_race_has_diverged() {
    let hopeless = ENTRANTS.find("\n[[entrants]]\nlabel = \"hopeless\"").expect("there is one");
    let workshop = workshop(&ENTRANTS[hopeless..]);
    assert_eq!(workshop.kiln(&race(&[])).code, Some(4));
}

#[test]
fn a_race_is_no_run_and_a_run_is_no_race() {
    let workshop = workshop(ENTRANTS);
    for command in ["train", "find-rate"] {
        let finished = workshop.kiln(&[command, "race.toml"]);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains("kiln race race.toml"), "{}", finished.stderr);
    }
    let finished = workshop.kiln(&["train", "lstm.toml", "--set", "model.lstm.dropout=0.0,0.1"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("`kiln sweep` tries several values"), "{}", finished.stderr);
    let finished = workshop.kiln(&["race", "lstm.toml"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("nothing to compare"), "{}", finished.stderr);
    assert!(!workshop.path("runs").exists());
}

/// `kiln sweep` of the tiny LSTM, whose evaluations are every 20 of 60 steps.
fn sweep<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["sweep", "lstm.toml", "--device", "cpu", "--run", "race"], more].concat()
}

fn run_folders(workshop: &Workshop) -> Vec<String> {
    let entries = fs::read_dir(workshop.path("runs/race")).expect("there is a folder");
    let folders = entries.map(|entry| entry.expect("it can be listed")).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_sweep_tells_what_seeds_do_from_what_settings_do() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let hidden = ["--set", "model.lstm.hidden=8,32", "--seeds"];
    let one = workshop.kiln(&sweep(&[&hidden[..], &["1"]].concat())).success();
    assert!(one.stderr.contains("one seed") && !one.stdout.contains('±'), "{}", one.stderr);
    let before = last_checkpoint(&workshop, "hidden=8");
    // Seeds are added, and what is there stays.
    let three = workshop.kiln(&sweep(&[&hidden[..], &["3", "--resume"]].concat())).success();
    assert!(last_checkpoint(&workshop, "hidden=8") == before, "a finished run was changed");
    assert_eq!(
        run_folders(&workshop),
        ["hidden=32", "hidden=32-seed-2", "hidden=32-seed-3", "hidden=8", "hidden=8-seed-2", "hidden=8-seed-3",]
    );
    assert!(three.stdout.contains('±'), "{}", three.stdout);
    let (runs, summary) = (csv(&workshop, "race/runs.csv"), csv(&workshop, "race/summary.csv"));
    assert_eq!((runs.len(), summary.len()), (6, 2));
    let losses: Vec<f64> =
        runs.iter().filter(|run| run["entrant"] == "hidden=32").map(|run| number(&run["final_valid_loss"])).collect();
    let mean = losses.iter().sum::<f64>() / 3.0;
    let deviation = (losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    // The 0.975 quantile of Student's distribution with two degrees of freedom, from any table.
    let half_width = 4.302_652_729_911_275 * deviation / 3.0_f64.sqrt();
    let row = summary.iter().find(|row| row["entrant"] == "hidden=32").expect("it is there");
    assert!((number(&row["final_loss"]) - mean).abs() < 1e-12, "{row:?}");
    assert!((number(&row["final_loss_half_width"]) - half_width).abs() < 1e-9, "{row:?}");
    assert_eq!((row["model.lstm.hidden"].as_str(), row["runs"].as_str()), ("32", "3"));
    let picture = fs::read_to_string(workshop.path("runs/race/validation-loss.svg")).expect("there is a picture");
    assert!(picture.contains("95 % intervals"));

    let fewer = workshop.kiln(&sweep(&[&hidden[..], &["2", "--resume"]].concat()));
    assert_eq!(fewer.code, Some(2), "{}", fewer.stderr);
    assert!(fewer.stderr.contains("sweep.seeds: 3 -> 2"), "{}", fewer.stderr);
}

#[test]
fn halving_trains_the_best_on_to_the_bits_of_one_that_was_never_stopped() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let rates = ["--set", "schedule.cosine.rate=2e-3,1e-2,3e-2,1e-1"];
    let every = ["--set", "run.evaluate-every=5", "--search", "halving"];
    let halved = workshop.kiln(&sweep(&[&rates[..], &every].concat())).success();
    assert!(halved.stderr.contains("halving: 4 to step 15, 2 to step 30, 1 to step 60"), "{}", halved.stderr);
    let runs = csv(&workshop, "race/runs.csv");
    let mut steps: Vec<&str> = runs.iter().map(|run| run["steps"].as_str()).collect();
    steps.sort_unstable();
    assert_eq!(steps, ["15", "15", "30", "60"]);
    let best = runs.iter().find(|run| run["steps"] == "60").expect("one reached its end");
    let folder = best["folder"].strip_prefix("runs/race/").expect("it is in the sweep").to_owned();
    let rate = format!("schedule.cosine.rate={}", best["schedule.cosine.rate"]);
    let plain = ["train", "lstm.toml", "--device", "cpu", "--run", "plain", "--set", "run.evaluate-every=5", "--set"];
    workshop.kiln(&[&plain[..], &[&rate]].concat()).success();
    let weights = |run: &str| fs::read(newest_checkpoint(&workshop.path("runs").join(run)).join("model.safetensors"));
    let (halved, plain) = (weights(&format!("race/{folder}")), weights("plain"));
    assert!(halved.expect("there are weights") == plain.expect("there are weights"), "{folder} ended elsewhere");

    // What is left behind is a run that can be resumed, and the sweep is done.
    let again = workshop.kiln(&["resume", "race", "--device", "cpu"]).success();
    assert!(!again.stderr.contains("resumed after step"), "somebody ran again:\n{}", again.stderr);
}

#[test]
fn a_race_of_schedules_needs_no_file_of_its_own() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let race = ["race", "lstm.toml", "--device", "cpu", "--run", "race", "--schedules", "constant,cosine,step"];
    workshop.kiln(&race).success();
    assert_eq!(run_folders(&workshop), ["constant", "cosine", "step"]);
    let unknown = workshop.kiln(&["race", "lstm.toml", "--run", "other", "--schedules", "cosin"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("there is no schedule `cosin`"), "{}", unknown.stderr);
    let compared = workshop.kiln(&["compare", "race", "--json"]).success();
    assert!(compared.stdout.contains("\"schedule\""), "{}", compared.stdout);
}

#[test]
fn a_sweep_that_cannot_begin_keeps_no_folder_and_one_whose_text_moved_is_resumed_in_its_new_place() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let text = "Once upon a time there was a kiln, and in it burned a fire.\n".repeat(400);
    workshop.write("tales.txt", &text);
    let sweep = |settings: &[&str]| {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let arguments = ["sweep", "lstm.toml", "--device", "cpu", "--run", "sw", "--set", "data.file.paths=tales.txt"];
        let arguments: Vec<&str> = arguments.into_iter().chain(["--set", "run.batch=2,4"]).chain(settings).collect();
        workshop.kiln(&arguments)
    };
    let refused = sweep(&["data.validation-fraction=0.0001"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(!workshop.path("runs/sw").exists(), "a folder is left");
    let made = sweep(&["run.steps=8"]).success();
    assert!(made.stderr.contains("each run: 8 steps"), "{}", made.stderr);

    // One of its runs has yet to be made, on a text that has moved.
    fs::remove_dir_all(workshop.path("runs/sw/batch=4")).expect("it can be removed");
    fs::rename(workshop.path("tales.txt"), workshop.path("moved.txt")).expect("it can be moved");
    let resume = |more: &[&str]| workshop.kiln(&[&["resume", "sw", "--device", "cpu"], more].concat());
    let refused = resume(&[]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("`kiln resume runs/sw --set data.file.paths=FILE`"), "{}", refused.stderr);
    let refused = resume(&["--set", "run.steps=9"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("nothing may change but"), "{}", refused.stderr);
    let resumed = resume(&["--set", "data.file.paths=moved.txt"]).success();
    assert!(resumed.stderr.contains("batch=4: done, validation loss"), "{}", resumed.stderr);
    // The same by the command that began it, with one more entrant; but on no other text, nor with other settings.
    let again = |path: &str, more: &[&str]| {
        let settings = [format!("data.file.paths={path}"), "run.batch=2,4,8".to_owned()];
        let sets = settings.iter().flat_map(|setting| ["--set", setting]).chain(more.iter().copied());
        let arguments = ["sweep", "lstm.toml", "--device", "cpu", "--run", "sw", "--resume"].into_iter().chain(sets);
        workshop.kiln(&arguments.collect::<Vec<_>>())
    };
    workshop.write("other.txt", text.replace("fire", "glow"));
    let refused = again("other.txt", &["--set", "run.steps=8"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("BLAKE3"), "{}", refused.stderr);
    assert!(!workshop.path("runs/sw/batch=8").exists(), "it was trained on another text");
    assert_eq!(again("moved.txt", &["--set", "run.steps=9"]).code, Some(2));
    let resumed = again("moved.txt", &["--set", "run.steps=8"]).success();
    assert!(resumed.stderr.contains("batch=8: done, validation loss"), "{}", resumed.stderr);
    // The place is remembered.
    fs::remove_dir_all(workshop.path("runs/sw/batch=4")).expect("it can be removed");
    resume(&[]).success();
}

#[test]
fn a_sweep_says_that_it_starts_anew_and_that_its_runs_have_different_lengths() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let arguments = ["sweep", "lstm.toml", "--device", "cpu", "--resume", "--run", "nosuch", "--set", "run.steps=6,8"];
    let made = workshop.kiln(&arguments).success();
    assert!(made.stderr.contains("warning: nothing is at `runs/nosuch` to resume; it starts anew"), "{}", made.stderr);
    assert!(made.stderr.contains("different lengths, 6 to 8 steps"), "{}", made.stderr);
    assert!(!made.stderr.contains("that of their sizes"), "{}", made.stderr);
}

#[test]
fn a_sweep_over_sizes_says_so_once_and_one_over_rates_lets_the_last_rate_follow() {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let sweep = |more: &[&str]| {
        let arguments = ["sweep", "lstm.toml", "--device", "cpu", "--set", "run.steps=6"];
        workshop.kiln(&[&arguments[..], more].concat()).success().stderr
    };
    let said = sweep(&["--run", "sizes", "--set", "model.lstm.hidden=8,16"]);
    let warning = "warning: the entrants' models have 2,2";
    assert_eq!(said.matches("that of their sizes").count(), 1, "{said}");
    assert!(said.contains(" parameters, so that part of a difference may be that of their sizes"), "{warning}: {said}");
    let said = sweep(&["--run", "rates", "--rates", "1e-3,4e-3"]);
    assert!(!said.contains("that of their sizes"), "{said}");
    let written = fs::read_to_string(workshop.path("runs/rates/sweep.toml")).expect("it is there");
    assert!(written.contains("rate = 0.001") && written.contains("rate = 0.004"), "{written}");
}
