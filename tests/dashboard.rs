//! The dashboard on a terminal, which `script` makes.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kiln_storage::list_checkpoints;

use crate::support::{Workshop, skip};

/// A terminal on which a training runs.
struct Screen<'a> {
    workshop: &'a Workshop,
    script: Child,
}

impl<'a> Screen<'a> {
    /// Trains, or resumes, with these arguments on a terminal of so many columns and rows; `before` is done by the
    /// shell before.
    fn start(workshop: &'a Workshop, [columns, rows]: [u16; 2], before: &str, kiln: &str) -> Option<Self> {
        let program = env!("CARGO_BIN_EXE_kiln");
        let line = format!("stty rows {rows} cols {columns}; {before} exec '{program}' {kiln} --device cpu");
        let shown = fs::File::create(workshop.path("screen")).expect("a file can be made");
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]);
        command.current_dir(workshop.path(".")).env("KILN_CACHE", workshop.path("cache"));
        command.env("TERM", "xterm").env("NO_COLOR", "1").env("SHELL", "/bin/sh");
        match command.stdin(Stdio::piped()).stdout(shown).stderr(Stdio::null()).spawn() {
            Ok(script) => Some(Self { workshop, script }),
            Err(error) => {
                skip(&format!("there is no `script`: {error}"));
                None
            }
        }
    }

    /// Everything that the terminal got, without what moves its cursor, and without spaces, over which it is moved.
    fn letters(&self) -> String {
        let bytes = fs::read(self.workshop.path("screen")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut pieces = text.split("\u{1b}[");
        let first = pieces.next().unwrap_or_default().to_owned();
        let rest =
            pieces.map(|piece| piece.split_once(|letter: char| letter.is_ascii_alphabetic()).map_or("", |part| part.1));
        rest.fold(first, |letters, piece| letters + piece).split_whitespace().collect()
    }

    fn wait_for(&self, words: &str) {
        let (words, began): (String, _) = (words.split_whitespace().collect(), Instant::now());
        while !self.letters().contains(&words) {
            assert!(began.elapsed() < Duration::from_secs(60), "`{words}` is not on the screen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        let keyboard = self.script.stdin.as_mut().expect("it is piped");
        keyboard.write_all(keys.as_bytes()).and_then(|()| keyboard.flush()).expect("the terminal takes keys");
    }

    /// Waits for its end; its exit code and everything that the terminal got.
    fn end(&mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.script.try_wait().expect("a child can be asked") {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it did not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        (status.code(), self.letters())
    }
}

impl Drop for Screen<'_> {
    /// A training outlives its terminal, but not a test that failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.script.kill();
            let trainer = fs::read_to_string(self.workshop.path("runs/run/lock")).unwrap_or_default();
            let _ = Command::new("kill").args(["-KILL", trainer.trim()]).stderr(Stdio::null()).status();
        }
    }
}

/// A training that goes on until it is stopped.
const TRAIN: &str = "train transformer.toml --run run --set run.steps=1000000";

fn saved_steps(workshop: &Workshop) -> Vec<u64> {
    let checkpoints = list_checkpoints(&workshop.path("runs/run")).expect("checkpoints can be listed");
    assert!(checkpoints.iter().all(|entry| entry.valid.is_ok()), "{checkpoints:?}");
    checkpoints.iter().map(|entry| entry.step).collect()
}

#[test]
fn q_saves_and_stops_and_a_resumption_shows_the_earlier_curve() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let Some(mut screen) = Screen::start(&workshop, [80, 24], "", TRAIN) else { return };
    screen.wait_for("loss, nats per token");
    let (run, began) = (workshop.path("runs/run"), Instant::now());
    while kiln_storage::steps(&run).map_or(0, |steps| steps.len()) < 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing was saved");
        std::thread::sleep(Duration::from_millis(20));
    }
    screen.press("q");
    let (code, letters) = screen.end();
    assert_eq!(code, Some(0), "{letters}");
    let step = *saved_steps(&workshop).last().expect("it saved");
    assert!(letters.contains(&format!("stoppedbyqafterstep{step};savedinruns/run")), "{letters}");
    // What stays: evaluations, plot, sample.
    for words in ["steplossperplexitybits/byte", "traininglosssmoothed", "sampleafterstep"] {
        assert!(letters.replace(',', "").contains(words), "{words} is not in {letters}");
    }

    // Without an update, all that is drawn comes from before.
    let resume = format!("resume runs/run --set run.steps={step}");
    let Some(mut screen) = Screen::start(&workshop, [80, 24], "", &resume) else { return };
    screen.wait_for("there was nothing left to do");
    let (code, letters) = screen.end();
    assert_eq!(code, Some(0), "{letters}");
    assert!(letters.contains(&format!("step{step}of")) && letters.contains("trainingloss,smoothed"), "{letters}");
}

#[test]
fn q_twice_leaves_at_once() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    // Steps of a second or more.
    let long = format!("{TRAIN} --set run.batch=1000 --set run.context=256 --set data.builtin.characters=400_000");
    let Some(mut screen) = Screen::start(&workshop, [80, 24], "", &long) else { return };
    screen.wait_for("q saves and stops");
    screen.press("qq");
    let (code, letters) = screen.end();
    assert_eq!(code, Some(130), "{letters}");
    assert!(letters.ends_with("leftatonce;nothingissaved"), "{letters}");
}

#[test]
fn a_terminal_that_changes_its_size_is_drawn_anew() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let grow = "(while [ ! -e grown ]; do sleep 0.1; done; stty -F /dev/tty rows 45 cols 150) &";
    let Some(mut screen) = Screen::start(&workshop, [80, 24], grow, TRAIN) else { return };
    screen.wait_for("loss, nats per token");
    assert!(!screen.letters().contains("gradientnormbeforeclipping"), "{}", screen.letters());
    workshop.write("grown", "");
    screen.wait_for("gradient norm before clipping");
    screen.press("q");
    assert_eq!(screen.end().0, Some(0));
}

#[test]
fn a_terminal_that_cannot_show_it_gets_lines() {
    for (size, before) in [([80, 24], "TERM=dumb"), ([80, 24], "unset TERM;"), ([50, 24], ""), ([80, 10], "")] {
        let workshop = Workshop::with_config("tiny/transformer.toml");
        let Some(mut screen) = Screen::start(&workshop, size, before, "train transformer.toml --run run") else {
            return;
        };
        let (code, letters) = screen.end();
        assert_eq!(code, Some(0), "{letters}");
        assert!(letters.contains("step60/60100.0%loss") && !letters.contains("qsavesandstops"), "{letters}");
        // Bars are drawn on a narrow terminal as on any other.
        let bytes = fs::read(workshop.path("screen")).expect("it is there");
        assert!(before.is_empty() || !bytes.contains(&0x1b), "{letters}");
    }
}

#[test]
fn colours_are_for_terminals_that_take_them() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let train = ["train", "transformer.toml", "--device", "cpu", "--run", "run", "--set", "run.steps=10"];
    workshop.kiln(&[&train[..], &["--set", "schedule.cosine.warmup=1"]].concat()).success();
    for (before, has_colours) in
        [("unset NO_COLOR;", true), ("", false), ("unset NO_COLOR TERM;", false), ("unset NO_COLOR; TERM=dumb", false)]
    {
        for (kiln, code) in [("sample nosuch", 3), ("score run --text Once", 0)] {
            let Some(mut screen) = Screen::start(&workshop, [80, 24], before, kiln) else { return };
            let (ended, letters) = screen.end();
            assert_eq!(ended, Some(code), "{letters}");
            let bytes = fs::read(workshop.path("screen")).expect("it is there");
            assert_eq!(bytes.contains(&0x1b), has_colours, "`{before}` {kiln}: {letters}");
        }
    }
}
