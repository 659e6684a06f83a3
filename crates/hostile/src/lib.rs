//! Damaged and hostile files for the tests of every reader. Only tests depend on this crate.
//!
//! A mutant is a function of the valid files and of a number, so a failure is reproduced by the number that it prints:
//! `KILN_MUTANT=1234 cargo test --release --workspace --lib NAME`. `KILN_MUTANTS=1000000` tries a million of each
//! format.

mod damage;
mod numbers;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub use damage::{Form, mutant};

/// Mutants of a format where nobody asks for another number.
const MUTANTS: u64 = 10_000;

/// The longest that a reader may take over one small file.
/// Two seconds are the aim; the rest is for a machine that does other things too.
const LONGEST: Duration = Duration::from_secs(8);

/// After so long over one mutant the reader hangs, and the whole test is given up.
const HANG: Duration = Duration::from_secs(60);

/// What a reader made of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was read, and what was read is valid.
    Read,
    /// It was refused with an error that names the file.
    Refused,
}

/// How many mutants were read and how many refused.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Read.
    pub read: u64,
    /// Refused.
    pub refused: u64,
}

/// Gives mutants of the valid files `valid` to `reader`, 10,000 of them, and counts what became of them.
///
/// # Panics
/// When `reader` panics or takes longer than eight seconds, with the number of the mutant.
pub fn each_mutant(valid: &[Vec<u8>], form: Form, mut reader: impl FnMut(&[u8]) -> Fate) -> Tally {
    let mut tally = Tally::default();
    let watch = Watch::start();
    for number in numbers_to_try() {
        let bytes = mutant(valid, form, number);
        watch.begin(number);
        let started = Instant::now();
        let fate = catch_unwind(AssertUnwindSafe(|| reader(&bytes)));
        let took = started.elapsed();
        match fate {
            Ok(Fate::Read) => tally.read += 1,
            Ok(Fate::Refused) => tally.refused += 1,
            Err(_) => panic!("mutant {number} made the reader panic: {:?}", String::from_utf8_lossy(&bytes)),
        }
        assert!(took < LONGEST, "mutant {number} took {took:?}: {:?}", String::from_utf8_lossy(&bytes));
    }
    tally
}

fn numbers_to_try() -> std::ops::Range<u64> {
    let asked = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match asked("KILN_MUTANT") {
        Some(number) => number..number + 1,
        None => 0..asked("KILN_MUTANTS").unwrap_or(MUTANTS),
    }
}

/// A thread that ends the process when a reader hangs: nothing else can stop it.
struct Watch(mpsc::Sender<u64>);

impl Watch {
    fn start() -> Self {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut last = None;
            loop {
                match receiver.recv_timeout(HANG) {
                    Ok(number) => last = Some(number),
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        let _ = writeln!(std::io::stderr(), "mutant {last:?} makes the reader hang");
                        std::process::abort();
                    }
                }
            }
        });
        Self(sender)
    }

    fn begin(&self, number: u64) {
        let _ = self.0.send(number);
    }
}

/// What `work` gives, which must not take longer than ten seconds.
///
/// # Panics
/// When it does, or panics itself.
pub fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(Duration::from_secs(10)).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Puts things that aren't regular files into `folder`, each under its own name: a folder, a pipe that nobody writes
/// to, a device without an end, and a link to it.
///
/// # Panics
/// Where the system cannot make them.
#[cfg(unix)]
pub fn no_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let [directory, pipe, link] = ["directory", "pipe", "link"].map(|name| folder.join(name));
    std::fs::create_dir_all(&directory).expect("the folder can be written");
    if !pipe.exists() {
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
        assert!(made.success(), "no pipe was made");
        std::os::unix::fs::symlink("/dev/zero", &link).expect("the folder can be written");
    }
    vec![directory, pipe, link, "/dev/zero".into()]
}

/// The most memory that this process has held so far, in bytes; `None` if the system does not say.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// Runs the ignored test `name` of this test binary in a process of its own, with `path` in the variable
/// `KILN_HOSTILE_FILE`, and gives what it printed. What aborts or hangs there is a failure here.
///
/// # Panics
/// When the other process fails or takes longer than a minute.
pub fn in_a_process(name: &str, path: &Path) -> String {
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test is a program"))
        .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("KILN_HOSTILE_FILE", path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("this test can be started again");
    let started = Instant::now();
    while child.try_wait().expect("it is our child").is_none() {
        if started.elapsed() > HANG {
            let _ = child.kill();
            panic!("`{name}` hangs over {}", path.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("it has ended");
    let (words, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?} over {}: {words}{errors}", output.status, path.display());
    assert!(words.contains("1 passed"), "there is no ignored test `{name}`: {words}");
    words.into_owned()
}

/// For the other side of [`in_a_process`]: reads the file that was named by `read`, and fails where that takes more
/// than two seconds or more memory than twice the file and 64 MiB. `read` gives what it read, so that its memory
/// counts.
///
/// # Panics
/// Where too much time or memory was taken.
pub fn within_bounds<T>(read: impl FnOnce(&Path) -> T) -> T {
    let path = std::env::var_os("KILN_HOSTILE_FILE").map(std::path::PathBuf::from).expect("a file is named");
    let length = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let (before, started) = (peak_memory(), Instant::now());
    let read = read(&path);
    let took = started.elapsed();
    assert!(took < LONGEST, "{} took {took:?}", path.display());
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        let (taken, most) = (after.saturating_sub(before), 2 * length + (64 << 20));
        assert!(taken <= most, "{} of {length} bytes took {taken} bytes of memory", path.display());
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_a_function_of_its_number() {
        let valid = [b"{\"a\": 1, \"b\": [2, 3]}".to_vec(), b"seed = 1\n[run]\nsteps = 10\n".to_vec()];
        let mut different = std::collections::BTreeSet::new();
        for number in 0..1000 {
            let bytes = mutant(&valid, Form::Text, number);
            assert_eq!(bytes, mutant(&valid, Form::Text, number));
            different.insert(bytes);
        }
        assert!(different.len() > 750, "{}", different.len());
    }

    #[test]
    fn a_panic_is_told_with_the_number() {
        let is_wrong = |bytes: &[u8]| bytes.first().is_none_or(|first| *first >= 0x80);
        let reader = |bytes: &[u8]| match is_wrong(bytes) {
            true => panic!("not this one"),
            false => Fate::Read,
        };
        let failed = catch_unwind(|| each_mutant(&[vec![1, 2, 3]], Form::Bytes, reader)).expect_err("some begin so");
        let message = failed.downcast_ref::<String>().expect("a message");
        let number = message.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a number");
        let bytes = mutant(&[vec![1, 2, 3]], Form::Bytes, number);
        assert!(is_wrong(&bytes), "{bytes:?}");
    }
}
