//! `kiln converge` through the binary.

use std::fs;

use crate::support::{Workshop, repository, skip};

const QUADRATIC: &str = "\
title = \"a small experiment\"
repeats = 20
steps = 60
iterations-to = [0.5, 0.1]

[problem.quadratic]
spectrum = [0.5, 1.0]

[[curves]]
label = \"mini-batches\"
batch = 4
[curves.schedule.constant]
rate = 0.2

[[curves]]
label = \"halved\"
batch = 4
[curves.schedule.error-floor]
rate = 0.4
";

#[test]
fn an_experiment_prints_its_table_and_leaves_figures_numbers_and_a_report() {
    let workshop = Workshop::new();
    workshop.write("small.toml", QUADRATIC);
    let finished = workshop.kiln(&["converge", "small.toml"]).success();
    for words in ["a small experiment", "c = 0.5, L = 1, L/c = 2", "sigma² = 1 (exact)", "under the bound", "| agrees"]
    {
        assert!(finished.stdout.contains(words), "{words} is not in\n{}", finished.stdout);
    }
    assert!(!finished.stdout.contains("NaN"), "{}", finished.stdout);
    let files = [
        "report.html",
        "small.csv",
        "small.toml",
        "small.svg",
        "small.png",
        "small-rates.svg",
        "small-iterations.svg",
        "small-summary.csv",
    ];
    for file in files {
        assert!(
            fs::metadata(workshop.path(&format!("runs/small/{file}"))).is_ok_and(|file| file.len() > 100),
            "{file}"
        );
    }
    let numbers = fs::read_to_string(workshop.path("runs/small/small.csv")).unwrap();
    assert_eq!(numbers.lines().next(), Some("curve,update,error,half_width,bound,exact,rate"));
    assert_eq!(numbers.lines().count(), 1 + 2 * 61);
    let report = fs::read_to_string(workshop.path("runs/small/report.html")).unwrap();
    assert!(report.contains("<svg") && !report.contains("src=\"http"));
}

/// What the script of a report says of a quadratic, as JSON: the exact errors, the bounds, and the mean of many paths.
const ASK_THE_SCRIPT: &str = "
const set = { spectrum: [0.5, 1], start: 1, rate: 0.2, batch: 4, variance: 1, steps: 60 };
const bound = theorem(set);
const errors = expectedErrors(set);
const normal = normalNumbers(7);
let [sum, squares, paths] = [0, 0, 4000];
for (let path = 0; path < paths; path++) {
  let weights = startOf(set);
  for (let t = 0; t < set.steps; t++) weights = descend(weights, set, normal);
  sum += errorOf(weights, set);
  squares += errorOf(weights, set) ** 2;
}
const mean = sum / paths;
const standardError = Math.sqrt((squares / paths - mean * mean) / paths);
const long = expectedErrors({ ...set, steps: 5000 });
console.log(JSON.stringify({
  errors, bounds: errors.map((_, t) => bound.at(t)), mean, standardError, rest: expectedFloor(set), last: long[5000],
  none: theorem({ ...set, rate: 1.01 }), start: errorOf(startOf(set), set),
}));";

#[test]
fn the_script_of_the_report_computes_what_the_program_does() {
    let workshop = Workshop::new();
    workshop.write("small.toml", QUADRATIC);
    workshop.kiln(&["converge", "small.toml", "--output", "out"]).success();
    let report = fs::read_to_string(workshop.path("out/report.html")).unwrap();
    let (_, script) = report.split_once("<script>").unwrap();
    let (script, _) = script.split_once("</script>").unwrap();
    workshop.write("script.js", format!("{script}\n{ASK_THE_SCRIPT}"));
    let Ok(asked) = std::process::Command::new("node").arg(workshop.path("script.js")).output() else {
        return skip("there is no `node`");
    };
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let said: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
    let number = |key: &str| said[key].as_f64().unwrap();
    let mut numbers = csv::Reader::from_path(workshop.path("out/small.csv")).unwrap();
    let of_curve = numbers.records().map(Result::unwrap).filter(|row| &row[0] == "mini-batches");
    let rows: Vec<_> = of_curve.collect();
    assert_eq!(rows.len(), 61);
    for (t, row) in rows.iter().enumerate() {
        for (column, key) in [(5, "errors"), (4, "bounds")] {
            let (expected, found) = (row[column].parse::<f64>().unwrap(), said[key][t].as_f64().unwrap());
            assert!((found / expected - 1.0).abs() < 1e-12, "{key} at {t}: {found} is not {expected}");
        }
    }
    // The animation goes the same way in the mean, and the error rests where it is said to.
    assert!((number("mean") - said["errors"][60].as_f64().unwrap()).abs() < 4.0 * number("standardError"), "{said}");
    assert!((number("rest") / number("last") - 1.0).abs() < 1e-12);
    assert!((number("start") - 1.0).abs() < 1e-12 && said["none"].is_null());
}

#[test]
fn labels_are_escaped_and_the_only_script_of_a_report_is_its_own() {
    let workshop = Workshop::new();
    let text = QUADRATIC.replace("\"mini-batches\"", "\"<script>alert(1)</script> 漢字\"");
    workshop.write("small.toml", text.replace("a small experiment", "</style><script>alert(2)</script>"));
    workshop.kiln(&["converge", "small.toml", "--output", "out"]).success();
    let report = fs::read_to_string(workshop.path("out/report.html")).unwrap();
    assert_eq!(report.matches("<script").count(), 1);
    assert!(!report.contains("<script>alert") && report.contains("&lt;script&gt;alert(2)"));
    // Nothing is fetched, and without the script there is a sentence where the sliders would be.
    for resource in ["http", "src=", "@import", "url(", "<link", "fetch(", "import("] {
        assert!(!report.contains(resource), "{resource}");
    }
    assert!(report.contains("<div class=\"lab\" id=\"lab\" hidden>") && report.contains("need JavaScript"));
    for words in ["Theorem 4.6", "Theorem 4.7", "halving rule", "± is everywhere the half-width of a 95 % interval"] {
        assert!(report.contains(words), "{words}");
    }
}

#[test]
fn a_quadratic_in_two_dimensions_has_its_paths_and_its_parabolas_drawn() {
    let workshop = Workshop::new();
    workshop.write("small.toml", QUADRATIC);
    workshop.write("three.toml", QUADRATIC.replace("[0.5, 1.0]", "[0.5, 0.7, 1.0]"));
    workshop.kiln(&["converge", "small.toml", "--output", "out"]).success();
    workshop.kiln(&["converge", "three.toml", "--output", "out"]).success();
    let drawn = |name: &str| fs::read_to_string(workshop.path(&format!("out/{name}"))).unwrap_or_default();
    assert!(drawn("small-plane.svg").contains("w₂") && drawn("small-plane.svg").contains("halved"));
    assert!(drawn("small-parabolas.svg").contains("what c = 0.5 and L = 1 mean"));
    assert_eq!(drawn("three-plane.svg"), "");
    // The rate of `halved` follows what each repeat sees, so one of them is drawn beside the mean.
    assert!(drawn("small-rates.svg").contains("one repeat") && drawn("small.svg").contains("one repeat"));
}

#[test]
fn the_same_file_gives_the_same_numbers_and_pictures() {
    let made = || {
        let workshop = Workshop::new();
        workshop.write("small.toml", QUADRATIC);
        workshop.kiln(&["converge", "small.toml", "--output", "out"]).success();
        ["small.csv", "small.svg", "small.png", "report.html"]
            .map(|file| fs::read(workshop.path(&format!("out/{file}"))).unwrap())
    };
    assert!(made() == made());
}

#[test]
fn a_curve_that_would_not_fit_into_memory_is_refused_with_its_numbers() {
    let workshop = Workshop::new();
    // Known from the file of the experiment, or when the data have been read.
    let generated = "title = \"data\"\nsteps = 20\nrepeats = 20000\n[problem.linear-regression.data.generated]\n\
                     samples = 100000\nfeatures = 2\n[[curves]]\nlabel = \"b\"\nbatch = 1\n\
                     [curves.schedule.constant]\nrate = 0.1\n";
    let rows: String = (0..2000).map(|row| format!("{row},{}\n", row * row % 7)).collect();
    workshop.write("data.csv", format!("a,y\n{rows}"));
    let read = "title = \"data\"\nsteps = 20\nrepeats = 100000\n[problem.linear-regression]\n\
                data.csv = { path = \"data.csv\" }\n[[curves]]\nlabel = \"b\"\nbatch = 2\n\
                [curves.schedule.constant]\nrate = 0.1\n";
    for (text, words) in [
        (generated, "needs 2000000000 numbers at once for the losses of all 100000 samples in 20000 repeats"),
        (read, "curve `b` needs 200000000 numbers at once for the losses of all 2000 samples in 100000 repeats"),
    ] {
        workshop.write("large.toml", text);
        let finished = workshop.kiln(&["converge", "large.toml"]);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains(words), "{}", finished.stderr);
    }
}

#[test]
fn a_lecture_makes_its_experiments_into_one_report() {
    let workshop = Workshop::new();
    workshop.write("small.toml", QUADRATIC);
    workshop.write("other.toml", QUADRATIC.replace("a small experiment", "another"));
    workshop.write("all.toml", "title = \"both\"\nexperiments = [\"small.toml\", \"other.toml\"]\n");
    workshop.kiln(&["converge", "all.toml"]).success();
    let report = fs::read_to_string(workshop.path("runs/all/report.html")).unwrap();
    assert!(report.contains("a small experiment") && report.contains("another"));
}

#[test]
fn a_divergence_is_reported_with_its_step_and_ends_with_exit_code_4() {
    let workshop = Workshop::new();
    let text = QUADRATIC.replace("rate = 0.2", "rate = 2.5");
    workshop.write("small.toml", &text);
    let finished = workshop.kiln(&["converge", "small.toml"]);
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert!(finished.stdout.contains("diverged at step"), "{}", finished.stdout);
    assert!(finished.stdout.contains("the rate 2.5 is beyond 2/L = 2"), "{}", finished.stdout);
    assert!(!finished.stdout.contains("NaN") && !finished.stdout.contains("inf"), "{}", finished.stdout);
    // Unless it was meant to.
    workshop.write("small.toml", text.replace("label = \"mini-batches\"", "label = \"mini-batches\"\ndiverges = true"));
    workshop.kiln(&["converge", "small.toml"]).success();
}

#[test]
fn wrong_files_end_with_the_exit_code_of_their_kind() {
    let workshop = Workshop::new();
    let regression = |data: &str, batch: usize| {
        format!(
            "title = \"data\"\nsteps = 20\n[problem.linear-regression]\ndata.csv = {{ path = \"{data}\" }}\n\
             [[curves]]\nlabel = \"b\"\nbatch = {batch}\n[curves.schedule.constant]\nrate = 0.1\n"
        )
    };
    workshop.write("flat.csv", "a,y\n1,1\n1,0\n");
    workshop.write("torn.csv", "a,b,y\n1,2,1\n2,x,0\n");
    workshop.write("few.csv", "a,y\n1,1\n2,0\n3,5\n");
    let cases = [
        (QUADRATIC.replace("repeats = 20", "repeats = 0"), 2, "`repeats` must be 1 or more, is 0"),
        (QUADRATIC.replace("[0.5, 1.0]", "[0.5, -1.0]"), 2, "`problem.quadratic.spectrum[1]` must be above 0, is -1"),
        (regression("flat.csv", 1), 3, "column `a` is always 1"),
        (regression("torn.csv", 1), 3, "torn.csv:3: `x` in column `b` is no number, or one too large to compute with"),
        (regression("absent.csv", 1), 3, "cannot read the data `absent.csv`"),
        (regression("few.csv", 4), 2, "a mini-batch of 4 is larger than the data, which has 3 samples"),
        (
            "title = \"none\"\nexperiments = [\"absent.toml\"]\n".to_string(),
            2,
            "cannot read the configuration `absent.toml`",
        ),
        ("title = \"none\"\nexperiments = []\n".to_string(), 2, "`experiments` is empty"),
    ];
    for (text, code, words) in cases {
        workshop.write("wrong.toml", &text);
        let finished = workshop.kiln(&["converge", "wrong.toml"]);
        assert_eq!(finished.code, Some(code), "{text}\n{}", finished.stderr);
        assert!(finished.stderr.contains(words), "{words} is not in\n{}", finished.stderr);
    }
}

#[test]
fn noise_that_grows_with_the_weights_is_reported_as_divergence() {
    let workshop = Workshop::new();
    let text = "title = \"sampled\"\nsteps = 400\n[problem.linear-regression.data.generated]\n\
        [[curves]]\nlabel = \"b = 1\"\nbatch = 1\n[curves.schedule.constant]\nrate = 0.9\n";
    workshop.write("sampled.toml", text);
    let finished = workshop.kiln(&["converge", "sampled.toml"]);
    assert_eq!(finished.code, Some(4), "{}", finished.stdout);
    assert!(finished.stdout.contains("diverged at step") && !finished.stdout.contains("floor"), "{}", finished.stdout);
    assert!(finished.stderr.contains("error: sampled: `b = 1` diverged"), "{}", finished.stderr);
    // The expectation has no bound there, though 2/L is larger.
    assert!(finished.stdout.contains("the rate 0.9 is beyond"), "{}", finished.stdout);
    assert!(
        finished.stdout.contains("the expected error stays finite up to a constant rate of"),
        "{}",
        finished.stdout
    );
}

#[test]
fn the_folder_of_a_run_is_not_written_into() {
    let workshop = Workshop::new();
    workshop.write("small.toml", QUADRATIC);
    workshop.write("runs/mine/config.toml", "");
    let finished = workshop.kiln(&["converge", "small.toml", "--output", "runs/mine"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("is the folder of a run or a sweep"), "{}", finished.stderr);
}

#[test]
fn other_commands_say_which_one_an_experiment_belongs_to() {
    let workshop = Workshop::new();
    workshop.write("small.toml", QUADRATIC);
    workshop.write("all.toml", "title = \"all\"\nexperiments = [\"small.toml\"]\n");
    for file in ["small.toml", "all.toml"] {
        let finished = workshop.kiln(&["train", file]);
        assert_eq!(finished.code, Some(2));
        assert!(finished.stderr.contains(&format!("start it by `kiln converge {file}`")), "{}", finished.stderr);
    }
}

#[test]
fn each_command_says_which_one_takes_a_file_of_another_kind() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let run = std::fs::read_to_string(workshop.path("rnn.toml")).unwrap();
    workshop.write("sweep.toml", format!("{run}[sweep.set]\nrun.batch = [2, 4]\n"));
    workshop.write("race.toml", format!("{run}[[entrants]]\nlabel = \"one\"\n"));
    workshop.write("lab.toml", QUADRATIC);
    workshop.write("all.toml", "title = \"all\"\nexperiments = [\"rnn.toml\"]\n");
    let cases = [
        (&["race", "sweep", "find-rate", "verify-resume", "train"][..], "lab.toml", "converge lab.toml"),
        (&["train", "find-rate", "converge"], "sweep.toml", "sweep sweep.toml"),
        (&["train", "find-rate", "converge"], "race.toml", "race race.toml"),
        (&["converge"], "rnn.toml", "train rnn.toml"),
        (&["converge", "check"], "all.toml", "train rnn.toml"),
    ];
    for (commands, file, taker) in cases {
        for command in commands {
            let refused = workshop.kiln(&[command, file]);
            assert_eq!(refused.code, Some(2), "{command} {file}: {}", refused.stderr);
            let help = format!("start it by `kiln {taker}`");
            assert!(refused.stderr.contains(&help), "{command} {file}: {}", refused.stderr);
            assert_eq!(refused.stderr.matches("error: ").count(), 1, "{command} {file}: {}", refused.stderr);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_stop_keeps_what_is_done() {
    let workshop = Workshop::new();
    workshop.write("small.toml", QUADRATIC);
    workshop.write("long.toml", QUADRATIC.replace("steps = 60", "steps = 1000000"));
    workshop.write("all.toml", "title = \"both\"\nexperiments = [\"small.toml\", \"long.toml\"]\n");
    let mut child = workshop.command(&["converge", "all.toml"]).spawn().unwrap();
    let first = workshop.path("runs/all/small.svg");
    while !first.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let stopped = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(fs::read_to_string(workshop.path("runs/all/report.html")).unwrap().contains("a small experiment"));
}

#[test]
fn two_experiments_of_one_name_are_refused() {
    let workshop = Workshop::new();
    workshop.write("small.toml", QUADRATIC);
    workshop.write("other/small.toml", QUADRATIC);
    workshop.write("all.toml", "title = \"both\"\nexperiments = [\"small.toml\", \"other/small.toml\"]\n");
    let finished = workshop.kiln(&["converge", "all.toml"]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("two of the experiments are named `small`"), "{}", finished.stderr);
}

#[test]
fn the_shipped_experiments_run_when_cut_short() {
    let workshop = Workshop::new();
    let mut differ = 0;
    for entry in fs::read_dir(repository().join("configs/convergence")).unwrap() {
        let path = entry.unwrap().path();
        let is_lecture = ["lecture.toml", "next-door.toml"].iter().any(|lecture| path.ends_with(lecture));
        if path.extension().is_some_and(|extension| extension == "toml") && !is_lecture {
            let name = path.to_str().unwrap();
            let arguments = ["converge", name, "--set", "steps=60", "--set", "repeats=30", "--output", "out"];
            let table = workshop.kiln(&arguments).success().stdout;
            // A wrong word in the report of an experiment would be a wrong word on somebody's slide.
            for wrong in ["ABOVE", "NaN", "inf"] {
                assert!(!table.contains(wrong), "{wrong}: {table}");
            }
            differ += usize::from(table.contains("DIFFERS"));
        }
    }
    // One in twenty experiments says so by chance: of 27, more than four do with a probability of 1 %.
    assert!(differ <= 4, "{differ} experiments are off their exact expectation");
}

#[test]
fn updates_to_one_error_are_drawn_against_the_size_of_the_mini_batches() {
    let workshop = Workshop::new();
    let curve = |batch: usize| {
        format!("[[curves]]\nlabel = \"b = {batch}\"\nbatch = {batch}\n[curves.schedule.constant]\nrate = 0.5\n")
    };
    let head = "title = \"t\"\nsteps = 40\niterations-to = [0.1]\n";
    let problem = "[problem.quadratic]\nspectrum = [0.5, 1.0]\nstart-error = 1.0\n";
    workshop.write("batches.toml", format!("{head}{problem}{}{}", curve(16), curve(64)));
    workshop.kiln(&["converge", "batches.toml", "--output", "out"]).success();
    let picture = fs::read_to_string(workshop.path("out/batches-iterations.svg")).unwrap();
    assert!(picture.contains("b, samples in a mini-batch"), "{picture}");
}

#[test]
fn a_data_file_is_looked_for_beside_its_experiment_and_checked_and_a_failure_leaves_no_folder() {
    let workshop = Workshop::new();
    let experiment = "title = 'data'\nsteps = 10\n[problem.linear-regression.data.csv]\npath = 'points.csv'\n\
                      target = 'y'\n[[curves]]\nlabel = 'a'\n[curves.schedule.constant]\nrate = 0.1\n";
    workshop.write("lab/data.toml", experiment);
    let check = || workshop.kiln(&["check", "lab/data.toml"]);
    for (points, words) in [
        (None, "points.csv"),
        (Some("x,z\n1,2\n2,3\n3,5\n"), "`y`"),
        (Some("x,y\n1,2\nred,3\n3,5\n"), "`red` in column `x` is no number"),
    ] {
        points.inspect(|points| workshop.write("lab/points.csv", points));
        let refused = check();
        assert_eq!(refused.code, Some(3), "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        let failed = workshop.kiln(&["converge", "lab/data.toml"]);
        assert_eq!(failed.code, Some(3), "{}", failed.stderr);
        assert!(!workshop.path("runs/data").exists(), "an empty folder is left");
    }
    workshop.write("lab/points.csv", "x,y\n1,2\n2,3\n3,5\n");
    check().success();
    workshop.kiln(&["converge", "lab/data.toml"]).success();
}
