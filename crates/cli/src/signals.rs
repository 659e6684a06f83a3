//! Signals: the first asks the run to stop and save, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::Context;
use burn::train::Interrupter;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::Exit;

/// Which signal asked the run to stop.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<AtomicI32>);

impl Received {
    /// How the program ends after it: as done where no signal came (the dashboard's own way to stop).
    pub(crate) fn exit(&self) -> Exit {
        match self.0.load(Ordering::Relaxed) {
            SIGINT => Exit::Interrupted,
            SIGTERM => Exit::Terminated,
            _ => Exit::Done,
        }
    }
}

/// From here on, SIGINT and SIGTERM stop `interrupter` once; another one of them ends the process.
pub(crate) fn watch(interrupter: Interrupter) -> anyhow::Result<Received> {
    let received = Received::default();
    let seen = received.clone();
    let mut signals =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).context("cannot listen to the signals of the system")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if seen.0.swap(signal, Ordering::Relaxed) != 0 {
                signal_hook::low_level::exit(128 + signal);
            }
            let name = if signal == SIGINT { "Ctrl-C" } else { "SIGTERM" };
            interrupter.stop(Some(name));
        }
    });
    Ok(received)
}
