//! Signals: the first asks the run to stop and save, a second one ends the process at once. A terminal that goes away
//! ends nothing.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::Context;
use burn::train::Interrupter;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::exit::Exit;
use crate::terminal;

/// Signals that come this soon after the first are the same wish to stop: `timeout` and service managers signal the
/// process and then its whole group, and a terminal signals everything in front of it.
const ONE_WISH: Duration = Duration::from_secs(1);

/// How long the last words may take: a terminal or a pipe that takes nothing must not hold up the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Which signal asked the run to stop.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<AtomicI32>);

impl Received {
    /// How the program ends after it: successfully if no signal came (the dashboard can stop a run too) and after
    /// SIGUSR1, with which an operator asks for a saved and orderly end.
    pub(crate) fn exit(&self) -> Exit {
        match self.0.load(Ordering::Relaxed) {
            SIGINT => Exit::Interrupted,
            SIGTERM => Exit::Terminated,
            _ => Exit::Done,
        }
    }
}

/// From here on a file that grows beyond the limit of the process (`ulimit -f`) is an error of the write, as a full
/// disk is, and not the silent end of the process.
pub(crate) fn report_full_files() {
    #[cfg(unix)]
    {
        // A handler that does nothing: without one the signal ends the process. Where it cannot be set nothing is lost.
        let _ = signal_hook::flag::register(libc::SIGXFSZ, Arc::default());
    }
}

/// From here on, SIGINT, SIGTERM and SIGUSR1 stop `interrupter` once, another SIGINT or SIGTERM that comes later than
/// [`ONE_WISH`] ends the process, and SIGHUP is ignored.
pub(crate) fn watch(interrupter: Interrupter) -> anyhow::Result<Received> {
    let received = Received::default();
    let seen = received.clone();
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGHUP])
        .context("cannot listen to the signals of the system")?;
    std::thread::spawn(move || {
        let mut first_came = None;
        for signal in signals.forever() {
            let name = match signal {
                SIGHUP => continue,
                SIGINT => "Ctrl-C",
                SIGTERM => "SIGTERM",
                _ => "SIGUSR1",
            };
            match first_came {
                None => {
                    first_came = Some(Instant::now());
                    seen.0.store(signal, Ordering::Relaxed);
                    interrupter.stop(Some(name));
                }
                Some(first) if signal != SIGUSR1 && first.elapsed() > ONE_WISH => leave(name, signal),
                Some(_) => {}
            }
        }
    });
    Ok(received)
}

/// Ends the process without saving, and says so if that can be said at once.
fn leave(name: &str, signal: i32) -> ! {
    let words = format!("a second {name}: left without saving");
    let (said, is_said) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        terminal::give_screen_back();
        terminal::say(&words);
        said.send(()).ok();
    });
    is_said.recv_timeout(LAST_WORDS).ok();
    signal_hook::low_level::exit(128 + signal)
}
