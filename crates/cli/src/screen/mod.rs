//! The dashboard: what is known of a run, drawn by a thread of its own for as long as the terminal is there.
//!
//! Data goes one way: burn-train's metrics ([`renderer`]) and the loop's events change a [`State`], and the thread
//! draws copies of it. Training waits neither for the terminal, however slow it is, nor for one that has gone away.

mod closing;
mod curve;
mod drawing;
mod renderer;
mod state;
#[cfg(test)]
mod tests;

use std::io::{self, Stdout};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn::train::Interrupter;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use self::drawing::{Look, SMALLEST, draw};
pub(crate) use self::renderer::Renderer;
pub(crate) use self::state::{Evaluated, Facts, Happening, State};
use crate::device;
use crate::exit::Exit;
use crate::terminal::{self, Keys};

/// Redrawn at least so often, for the times on it, which go on.
const SLOWEST: Duration = Duration::from_secs(1);
/// The end of a run waits no longer for a terminal that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a dashboard can be drawn here, or why not.
pub(crate) fn obstacle() -> Option<String> {
    use std::io::IsTerminal;
    if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        return Some("stdin and stdout are no terminal".to_owned());
    }
    if !terminal::moves_its_cursor() {
        return Some("this terminal cannot move its cursor (`TERM`)".to_owned());
    }
    let Some((columns, rows)) = terminal::size() else {
        return Some("this terminal does not tell its size".to_owned());
    };
    let is_small = columns < SMALLEST.0 || rows < SMALLEST.1;
    is_small.then(|| {
        format!("this terminal has {columns} x {rows} letters, and {} x {} are needed", SMALLEST.0, SMALLEST.1)
    })
}

/// A dashboard; its copies are the same one.
#[derive(Clone)]
pub(crate) struct Dashboard(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Counts the changes of the state.
    changes: AtomicU64,
    is_closing: AtomicBool,
    /// Says when the thread has ended.
    ended: Mutex<Option<Receiver<()>>>,
}

impl Dashboard {
    /// Takes the screen and begins to draw.
    ///
    /// # Errors
    /// When the terminal cannot be set up, or the system refuses a thread.
    pub(crate) fn open(state: State, interrupter: Interrupter) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changes: AtomicU64::new(1),
            is_closing: AtomicBool::new(false),
            ended: Mutex::new(Some(ended)),
        });
        terminal::take_screen()?;
        let dashboard = Self(shared);
        let (drawn, stopper) = (dashboard.clone(), interrupter);
        let thread = std::thread::Builder::new().name("dashboard".to_owned()).spawn(move || {
            drawn.draw_until_closed(&stopper);
            let _ = end.send(());
        });
        thread.inspect_err(|_| terminal::give_screen_back())?;
        Ok(dashboard)
    }

    /// Takes what happened.
    pub(crate) fn happened(&self, happening: Happening) {
        self.state().apply(happening, Instant::now());
        self.0.changes.fetch_add(1, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws no more and gives the screen back. A terminal that is gone, or takes nothing, isn't waited for.
    pub(crate) fn close(&self) {
        self.0.is_closing.store(true, Ordering::Release);
        let ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended
            && terminal::is_there()
        {
            let _ = ended.recv_timeout(PATIENCE);
        }
        terminal::give_screen_back();
    }

    /// What stays on the screen: the evaluations, the losses as a plot, the last sample.
    pub(crate) fn closing_words(&self) -> String {
        closing::words(&self.state(), terminal::width())
    }

    /// The thread: keys are read, and what has changed is drawn, until the dashboard is closed or the terminal is gone.
    fn draw_until_closed(&self, interrupter: &Interrupter) {
        let Ok(mut screen) = Terminal::new(CrosstermBackend::new(io::stdout())) else { return };
        let look = Look::of_environment();
        let (mut drawn, mut drawn_at, mut size) = (0, Instant::now(), None);
        while !self.0.is_closing.load(Ordering::Acquire) {
            if !terminal::is_there() {
                return;
            }
            let changes = self.0.changes.load(Ordering::Acquire);
            let size_now = terminal::size();
            if changes != drawn || size_now != size || drawn_at.elapsed() >= SLOWEST {
                if self.draw_once(&mut screen, look).is_err() {
                    return;
                }
                (drawn, drawn_at, size) = (changes, Instant::now(), size_now);
            }
            let Keys { quits } = terminal::read_keys();
            (0..quits).for_each(|_| self.quit(interrupter));
        }
    }

    fn draw_once(&self, screen: &mut Terminal<CrosstermBackend<Stdout>>, look: Look) -> io::Result<()> {
        let mut state = self.state().clone();
        state.memory = device::memory_of_this_process();
        screen.draw(|frame| draw(&state, Instant::now(), look, frame)).map(|_| ())
    }

    /// `q`: the first asks the run to stop and save, the second ends the process at once.
    fn quit(&self, interrupter: &Interrupter) {
        if !interrupter.should_stop() {
            interrupter.stop(Some("q"));
            return self.happened(Happening::Stopping);
        }
        terminal::give_screen_back();
        let saved = self.state().saved.map_or_else(
            || "nothing is saved".to_owned(),
            |(step, _)| format!("the newest checkpoint is that of step {step}"),
        );
        terminal::say(&format!("left at once; {saved}"));
        terminal::end_at_once(Exit::Interrupted);
    }
}
