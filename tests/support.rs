//! An empty folder to run `kiln` in.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The kinds of model, by the names of their configurations in `configs/tiny`.
pub(crate) const MODELS: [&str; 4] = ["transformer", "rnn", "lstm", "gru"];

/// Ends a test that this machine lacks something for: a line on stderr, or a failure if `KILN_TEST_REQUIRES_ALL` is
/// set, as it is in continuous integration, which installs what the tests need.
#[expect(clippy::print_stderr, reason = "the test's own output")]
pub(crate) fn skip(reason: &str) {
    let is_required = std::env::var_os("KILN_TEST_REQUIRES_ALL").is_some_and(|value| !value.is_empty());
    assert!(!is_required, "KILN_TEST_REQUIRES_ALL is set, but {reason}");
    eprintln!("skipped: {reason}");
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository has a root")
}

/// The folder of a run's newest checkpoint.
pub(crate) fn newest_checkpoint(run: &Path) -> PathBuf {
    let entries = fs::read_dir(run.join("checkpoints")).expect("the run has checkpoints");
    entries.map(|entry| entry.expect("it can be listed").path()).max().expect("the run has a checkpoint")
}

/// Compares what a command prints that is refused, and its exit code, with `snapshots/NAME.txt`.
pub(crate) fn compare_refusal(name: &str, arguments: &[&str], workshop: &Workshop) {
    let finished = workshop.kiln(arguments);
    assert_eq!(finished.stdout, "", "a mistake writes nothing to stdout");
    assert!(!finished.stderr.contains("panicked"), "the text of a panic reached the user: {}", finished.stderr);
    let code = finished.code.map_or("none, ended by a signal".into(), |code| code.to_string());
    // What a run says before its mistake, speeds and times, is not part of the tour; nor are the devices of this
    // machine.
    let start = finished.stderr.find("error: ").unwrap_or(0);
    let error = finished.stderr[start..].replace(&workshop.path("").display().to_string(), "/home/you/");
    let error = error.replace(workshop.path("").to_string_lossy().trim_end_matches('/'), "/home/you");
    let lines = error.lines().map(|line| match line.split_once(" is not here: ") {
        Some((device, _)) => format!("{device} is not here: ..."),
        None if line.starts_with("  here: ") => "  here: ...".to_owned(),
        None => line.to_owned(),
    });
    let printed =
        format!("$ kiln {}\n\n{}\n\nexit code {code}\n", arguments.join(" "), lines.collect::<Vec<_>>().join("\n"));
    let path = repository().join("tests/snapshots").join(format!("{name}.txt"));
    let expected = snapbox::Data::read_from(&path, Some(snapbox::data::DataFormat::Text));
    snapbox::assert_data_eq!(printed, expected);
}

/// A folder of one test, removed with it. Commands run in it, and their caches are in it.
pub(crate) struct Workshop {
    folder: TempDir,
}

/// How a command ended and what it wrote.
pub(crate) struct Finished {
    /// The exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it wrote to stdout.
    pub(crate) stdout: String,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
}

impl Workshop {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder can be made") }
    }

    /// A folder with one of the shipped configurations in it, under its own name.
    pub(crate) fn with_config(name: &str) -> Self {
        let workshop = Self::new();
        let text = fs::read_to_string(repository().join("configs").join(name)).expect("the configuration is shipped");
        let file = Path::new(name).file_name().expect("a file has a name");
        workshop.write(&file.to_string_lossy(), &text);
        workshop
    }

    /// The folder, or a path in it.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders can be made");
        fs::write(path, contents).expect("a file can be written");
    }

    /// The command `kiln` with these arguments, to be started in the folder: no colours, caches in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("KILN_CACHE", self.path("cache")).env_remove("KILN_MIRROR").env("HOME", self.folder.path());
        command.env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs `kiln` to its end.
    pub(crate) fn kiln(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).output().expect("kiln can be started").into()
    }

    /// The same with this on its standard input.
    pub(crate) fn kiln_with(&self, arguments: &[&str], input: &[u8]) -> Finished {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kiln can be started");
        // One that refuses what it is given reads nothing.
        let _ = child.stdin.take().expect("stdin is a pipe").write_all(input);
        child.wait_with_output().expect("kiln ends").into()
    }

    /// Every file below the folder with its contents.
    pub(crate) fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        contents_of(self.folder.path())
    }

    /// The files of the cache, with their contents.
    pub(crate) fn cached(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        contents_of(&self.path("cache"))
    }

    /// Every path in the folder except the cache.
    pub(crate) fn kept(&self) -> Vec<PathBuf> {
        let cache = self.path("cache");
        self.contents().into_keys().filter(|path| !path.starts_with(&cache)).collect()
    }
}

/// Every file below a folder with its contents.
pub(crate) fn contents_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files.insert(path.clone(), Vec::new());
            files.extend(contents_of(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).expect("the file can be read"));
        }
    }
    files
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("kiln writes UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Finished {
    /// The same, after it was made sure that all went well.
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}
