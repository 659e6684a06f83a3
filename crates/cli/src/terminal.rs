//! Talking to a person: stderr.

use std::io::Write;

/// One line (or some) to stderr. That nobody reads it is no reason to end a run.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
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
