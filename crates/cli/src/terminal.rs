//! Talking to a person: stderr.

use std::io::Write;

/// One line (or some) to stderr. That nobody reads it is no reason to end a run.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// How many columns stderr has; 100 where it is no terminal.
pub(crate) fn width() -> usize {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stderr())
        && size.ws_col > 0
    {
        return size.ws_col.into();
    }
    100
}

/// Makes Ctrl-C a signal again. burn-train's dashboard switches the terminal to raw mode, in which Ctrl-C is a key, and a
/// key that it ignores.
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
