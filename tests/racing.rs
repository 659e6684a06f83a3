//! `kiln race`: several schedules on one model.

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

#[test]
fn a_race_compares_its_entrants_and_continues_past_one_that_diverges() {
    let workshop = workshop(ENTRANTS);
    let finished = workshop.kiln(&race(&[])).success();
    assert!(finished.stderr.contains("hopeless: diverged at step"), "{}", finished.stderr);
    let rows: Vec<&str> = finished.stdout.lines().collect();
    assert!(rows[0].starts_with("entrant") && rows[0].contains("tokens/s"), "{rows:?}");
    assert_eq!(rows.len(), 4);
    assert!(rows[3].starts_with("hopeless") && rows[3].contains("diverged at step"), "{rows:?}");
    let table = fs::read_to_string(workshop.path("runs/race/race.csv")).expect("there is a table");
    let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(cells[0][..2], ["label", "folder"]);
    let first = &cells[1];
    assert_eq!((first[0], first[1], first[2], first[3]), ("Constant rate", "runs/race/constant-rate", "60", ""));
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{text} in {table}"));
    assert!(number(first[5]) <= number(first[4]) && number(first[4]) < 3.2, "{table}");
    assert_eq!(number(first[6]), 0.01);
    assert!(number(cells[3][3]) > 1.0, "{table}");
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
    assert!(resumed.stderr.contains("cosine: going on after step"), "{}", resumed.stderr);
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
    for command in ["check", "train", "find-rate"] {
        let finished = workshop.kiln(&[command, "race.toml"]);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains("kiln race race.toml"), "{}", finished.stderr);
    }
    let finished = workshop.kiln(&["race", "lstm.toml"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("[[entrants]]"), "{}", finished.stderr);
    assert!(!workshop.path("runs").exists());
}
