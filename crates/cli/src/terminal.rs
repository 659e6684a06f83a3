//! Talking to a person: stderr, and the terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

use crate::exit::Exit;

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

/// Whether the terminal, if there is one, can move its cursor.
pub(crate) fn moves_its_cursor() -> bool {
    cfg!(windows) || std::env::var("TERM").is_ok_and(|name| !name.is_empty() && name != "dumb")
}

/// Whether the terminal, if there is one, may be written to in colours (<https://no-color.org>).
pub(crate) fn takes_colours() -> bool {
    moves_its_cursor() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A bar on stderr, from a template of indicatif's; hidden if stderr isn't a terminal, or one that can't draw it.
pub(crate) fn progress_bar(length: u64, template: &str) -> ProgressBar {
    if !moves_its_cursor() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// How many columns and rows stdout has, if it is a terminal that knows.
pub(crate) fn size() -> Option<(u16, u16)> {
    #[cfg(unix)]
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| (size.ws_col, size.ws_row));
    #[cfg(not(unix))]
    let size = ratatui::crossterm::terminal::size().ok();
    size.filter(|(columns, rows)| *columns > 0 && *rows > 0)
}

/// While the whole screen is taken: what keeps stderr silent meanwhile.
static TAKEN: Mutex<Option<Option<SilentErrors>>> = Mutex::new(None);

/// Takes the whole screen: keys come one by one and without an echo, and what was on the screen comes back with
/// [`give_screen_back`]. Ctrl-C stays a signal. What is written to stderr meanwhile would disturb the picture and goes
/// nowhere.
///
/// # Errors
/// When the terminal cannot be set up.
pub(crate) fn take_screen() -> io::Result<()> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    enable_raw_mode()?;
    set_keys();
    execute!(io::stdout(), EnterAlternateScreen).inspect_err(|_| {
        let _ = disable_raw_mode();
    })?;
    *taken = Some(SilentErrors::begin());
    Ok(())
}

/// Gives the screen back, if it was taken and the terminal is still there.
pub(crate) fn give_screen_back() {
    let Some(errors) = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    if is_there() {
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
    drop(errors);
}

/// Ends the process without anything that is usually done at its end.
pub(crate) fn end_at_once(exit: Exit) -> ! {
    #[cfg(unix)]
    signal_hook::low_level::exit(exit as i32);
    #[cfg(not(unix))]
    std::process::exit(exit as i32);
}

/// Raw mode makes keys of Ctrl-C and Ctrl-Z. Ctrl-C must remain a signal; a process that Ctrl-Z stopped would
/// leave the terminal as it is. A read waits for a key, a tenth of a second at most.
#[cfg(unix)]
fn set_keys() {
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
    let terminal = io::stdin();
    if let Ok(mut settings) = tcgetattr(&terminal) {
        settings.local_modes.insert(LocalModes::ISIG);
        settings.special_codes[SpecialCodeIndex::VSUSP] = 0;
        settings.special_codes[SpecialCodeIndex::VMIN] = 0;
        settings.special_codes[SpecialCodeIndex::VTIME] = 1;
        let _ = tcsetattr(&terminal, OptionalActions::Now, &settings);
    }
}

#[cfg(not(unix))]
fn set_keys() {}

/// What was typed.
pub(crate) struct Keys {
    /// How often `q`.
    pub(crate) quits: usize,
}

/// Waits about a tenth of a second for keys. A terminal that is gone gives none, at once.
#[cfg(unix)]
pub(crate) fn read_keys() -> Keys {
    let began = std::time::Instant::now();
    let mut keys = [0; 64];
    let count = rustix::io::read(io::stdin(), &mut keys).unwrap_or(0);
    if count == 0 {
        std::thread::sleep(TENTH.saturating_sub(began.elapsed()));
    }
    // An arrow or a function key is a sequence that begins so.
    let typed = if keys[0] == 0x1b { &[] } else { &keys[..count] };
    Keys { quits: typed.iter().filter(|key| matches!(key, b'q' | b'Q')).count() }
}

/// Waits about a tenth of a second for keys.
#[cfg(not(unix))]
pub(crate) fn read_keys() -> Keys {
    use ratatui::crossterm::event::{Event, KeyCode, poll, read};
    let is_quit = poll(TENTH).unwrap_or(false)
        && matches!(read(), Ok(Event::Key(key)) if key.is_press() && matches!(key.code, KeyCode::Char('q' | 'Q')));
    Keys { quits: usize::from(is_quit) }
}

const TENTH: std::time::Duration = std::time::Duration::from_millis(100);

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
