//! Talking to a person: stderr, and the terminal.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// Prints lines to stderr. A closed stderr doesn't end a run.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// How many columns stderr has; 100 if it isn't a terminal.
pub(crate) fn width() -> usize {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stderr())
        && size.ws_col > 0
    {
        return size.ws_col.into();
    }
    100
}

/// A bar on stderr, from a template of indicatif's, which hides it if stderr isn't a terminal.
pub(crate) fn progress_bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Makes Ctrl-C a signal again. burn-train's dashboard switches the terminal to raw mode, in which Ctrl-C is a key, and
/// a key that it ignores.
#[cfg(unix)]
pub(crate) fn let_control_c_through() {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let terminal = std::io::stdin();
    if let Ok(mut settings) = tcgetattr(&terminal)
        && !settings.local_modes.contains(LocalModes::ISIG)
    {
        settings.local_modes.insert(LocalModes::ISIG);
        let _ = tcsetattr(&terminal, OptionalActions::Now, &settings);
    }
}

#[cfg(not(unix))]
pub(crate) fn let_control_c_through() {}

/// Whether stdout is a terminal, and one that is still connected.
pub(crate) fn is_there() -> bool {
    std::io::stdout().is_terminal()
}

/// While it lives, what is written to a stderr that is a terminal goes nowhere.
pub(crate) struct SilentErrors {
    #[cfg(unix)]
    before: std::os::fd::OwnedFd,
}

#[cfg(unix)]
impl SilentErrors {
    /// `None` if stderr isn't a terminal, or can't be replaced.
    pub(crate) fn begin() -> Option<Self> {
        let stderr = std::io::stderr();
        if !stderr.is_terminal() {
            return None;
        }
        let before = rustix::io::dup(&stderr).ok()?;
        let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null").ok()?;
        rustix::stdio::dup2_stderr(&nowhere).ok()?;
        Some(Self { before })
    }
}

#[cfg(unix)]
impl Drop for SilentErrors {
    fn drop(&mut self) {
        // Without it, the rest of the run is silent, which ends nothing.
        let _ = rustix::stdio::dup2_stderr(&self.before);
    }
}

#[cfg(not(unix))]
impl SilentErrors {
    /// Nothing.
    pub(crate) fn begin() -> Option<Self> {
        None
    }
}
