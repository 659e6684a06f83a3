//! Signals: the first asks the run to stop and save, the second ends the process at once. A terminal that goes away
//! ends nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::Context;
use burn::train::Interrupter;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::exit::Exit;
use crate::terminal;

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

/// From here on, SIGINT, SIGTERM and SIGUSR1 stop `interrupter` once, another SIGINT or SIGTERM ends the process, and
/// SIGHUP is ignored.
pub(crate) fn watch(interrupter: Interrupter) -> anyhow::Result<Received> {
    let received = Received::default();
    let seen = received.clone();
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGHUP])
        .context("cannot listen to the signals of the system")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let name = match signal {
                SIGHUP => continue,
                SIGINT => "Ctrl-C",
                SIGTERM => "SIGTERM",
                _ => "SIGUSR1",
            };
            let is_first = seen.0.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            match (is_first, signal) {
                (true, _) => interrupter.stop(Some(name)),
                (false, SIGUSR1) => {}
                (false, _) => {
                    terminal::give_screen_back();
                    signal_hook::low_level::exit(128 + signal)
                }
            }
        }
    });
    Ok(received)
}
