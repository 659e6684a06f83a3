//! Running ourselves in a child process with a time limit: what a graphics driver does there, it does to the child.

use std::env;
use std::fmt;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The time limits can be changed with this environment variable, in seconds, for drivers that are slow to start.
pub(crate) const TIME_LIMIT_VARIABLE: &str = "KILN_DEVICE_TIMEOUT";

/// Why a child gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It could not be started.
    NotStarted(String),
    /// It ended by a signal or with a failure.
    Died(String),
    /// It was stopped at the time limit.
    TooSlow(Duration),
}

impl fmt::Display for Silence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(reason) => write!(formatter, "the trial process could not be started: {reason}"),
            Self::Died(how) => write!(formatter, "its driver {how}"),
            Self::TooSlow(limit) => write!(
                formatter,
                "no answer within {} s ({TIME_LIMIT_VARIABLE} sets another limit, in seconds)",
                limit.as_secs()
            ),
        }
    }
}

/// Runs this program with `arguments` and returns what it wrote to stdout.
///
/// Its stderr is dropped: drivers write there what would only alarm the reader.
pub(super) fn run_ourselves(arguments: &[&str], limit: Duration) -> Result<String, Silence> {
    run_ourselves_with(arguments, &[], limit)
}

/// [`run_ourselves`] with some environment variables beside ours.
pub(crate) fn run_ourselves_with(
    arguments: &[&str],
    environment: &[(&str, &str)],
    limit: Duration,
) -> Result<String, Silence> {
    let program = env::current_exe().map_err(|error| Silence::NotStarted(error.to_string()))?;
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    // Window-system libraries, which drivers load even to compute, expect this variable and complain without it.
    if env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", env::temp_dir());
    }
    run(command, time_limit(env::var(TIME_LIMIT_VARIABLE).ok().as_deref(), limit))
}

/// The limit that the environment asks for, else `usual`.
pub(super) fn time_limit(asked_for: Option<&str>, usual: Duration) -> Duration {
    asked_for.and_then(|seconds| seconds.trim().parse().ok()).map_or(usual, Duration::from_secs)
}

/// Runs `command` to its end or to the time limit and returns what it wrote to stdout.
pub(super) fn run(mut command: Command, limit: Duration) -> Result<String, Silence> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Silence::NotStarted(error.to_string()))?;
    let Some(mut stdout) = child.stdout.take() else {
        return Err(Silence::NotStarted("it has no output".to_owned()));
    };
    // A pipe holds little: unless somebody reads, a talkative child would wait for us while we wait for it.
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    match wait(&mut child, limit) {
        Some(status) if status.success() => match reader.join() {
            Ok(Ok(text)) => Ok(text),
            _ => Err(Silence::Died("gave an unreadable answer".to_owned())),
        },
        Some(status) => Err(Silence::Died(describe(status))),
        None => Err(Silence::TooSlow(limit)),
    }
}

/// The child's end, or `None` after it was killed at the limit.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if started.elapsed() < limit => thread::sleep(Duration::from_millis(5)),
            // Past the limit, or not ours to wait for any more. What cannot be killed is left behind.
            _ => {
                let _ = child.kill();
                let _ = child.try_wait();
                return None;
            }
        }
    }
}

/// How a child ended that did not succeed.
fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = match signal {
            4 => " (illegal instruction)",
            6 => " (abort)",
            7 => " (bus error)",
            8 => " (arithmetic error)",
            9 => " (killed)",
            11 => " (segmentation fault)",
            _ => "",
        };
        return format!("crashed: signal {signal}{name}");
    }
    match status.code() {
        Some(code) => format!("ended the trial with exit code {code}"),
        None => "ended the trial".to_owned(),
    }
}
