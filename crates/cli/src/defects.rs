//! Panics and requests for memory that the system refuses: reported as one sentence instead of a panic's text.

use std::any::Any;
use std::io::Write;
use std::panic::{self, UnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::exit::Exit;
use crate::terminal;

/// Where the last panic of any thread happened.
static LAST_PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the text of panics from the screen and remembers where they happened.
///
/// With `RUST_BACKTRACE` set, the panic's text is printed as well.
pub(crate) fn silence() {
    let shown = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |information| {
        let place = information.location().map(ToString::to_string);
        *LAST_PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place;
        if shown {
            default(information);
        }
    }));
}

/// Runs the program; a panic becomes a message for `report`, and an exit code.
pub(crate) fn guard(program: impl FnOnce() -> Exit + UnwindSafe, report: impl FnOnce(&str)) -> Exit {
    panic::catch_unwind(program).unwrap_or_else(|payload| {
        let place = LAST_PLACE.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (message, exit) = explain(&message_of(&*payload), place.as_deref());
        terminal::give_screen_back();
        report(&message);
        exit
    })
}

/// Whether the command trains: advice on batches and on resuming helps no other.
static TRAINS: AtomicBool = AtomicBool::new(false);

/// Notes that the command is one that trains.
pub(crate) fn expect_training() {
    TRAINS.store(true, Ordering::Relaxed);
}

/// What helps where a device's memory, or this machine's, is full.
fn less_memory() -> &'static str {
    if TRAINS.load(Ordering::Relaxed) {
        "help: halve `run.batch` and double `run.accumulate`, which gives the same updates; where the batch is 1, \
         shorten `run.context` or train a smaller model; `kiln check` says what takes the memory, and `kiln resume` \
         continues a run from its last checkpoint"
    } else {
        "help: end other programs, or take a smaller model"
    }
}

/// Ends the program where the system refuses memory. What is saved is whole, as after a kill.
pub(crate) fn end_without_memory(bytes: usize) -> ! {
    static IS_ENDING: AtomicBool = AtomicBool::new(false);
    if IS_ENDING.swap(true, Ordering::Relaxed) {
        // Another thread says it; or it is this one, which found no memory to say it with.
        std::thread::sleep(Duration::from_secs(1));
        terminal::end_at_once(Exit::Device);
    }
    terminal::give_screen_back();
    // Written as it stands: the words of a report would take memory.
    let kibibytes = bytes.div_ceil(1024);
    let _ = writeln!(
        std::io::stderr(),
        "error: the system has no {kibibytes} KiB of memory to give\n  {}; a limit of the shell (`ulimit -v`) or of a \
         container counts too",
        less_memory()
    );
    terminal::end_at_once(Exit::Device);
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default().to_owned()
}

/// The message and the exit code. Burn has no way but a panic to report that a device's memory is full or that its
/// driver gave up.
fn explain(message: &str, place: Option<&str>) -> (String, Exit) {
    let lower = message.to_lowercase();
    if lower.contains("out of memory") || lower.contains("outofmemory") || lower.contains("memory allocation") {
        return (format!("the device has not enough memory for this\n  {}", less_memory()), Exit::Device);
    }
    if lower.contains("device lost") || lower.contains("devicelost") || lower.contains("device is lost") {
        let message = "the device stopped working while it computed\n  \
             help: `kiln devices` tries every device; `kiln resume RUN` continues from the last checkpoint";
        return (message.to_owned(), Exit::Device);
    }
    // The standard library and rayon have no other way to report it.
    if lower.contains("spawn thread") || lower.contains("threadpoolbuilderror") || lower.contains("wouldblock") {
        let resume = match TRAINS.load(Ordering::Relaxed) {
            true => "; `kiln resume RUN` continues from the last checkpoint",
            false => "",
        };
        let message = format!(
            "the system lets this process start no more threads\n  help: raise the limit of processes (`ulimit -u`, or \
             the pids limit of the container), or end other programs{resume}"
        );
        return (message, Exit::Data);
    }
    let place = place.map(|place| format!(" (at {place})")).unwrap_or_default();
    let message = format!(
        "kiln met a defect of its own and stopped{place}\n  help: what was saved before is whole; please report this \
         line with the command, and what the command prints with RUST_BACKTRACE=1 set"
    );
    (message, Exit::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_message_without_its_text() {
        let mut told = String::new();
        let exit = guard(|| panic!("index 3 of 2"), |message| told = message.to_owned());
        assert_eq!(exit, Exit::Internal);
        assert!(told.contains("defect") && !told.contains("index 3 of 2"), "{told}");
    }

    #[test]
    fn a_limit_of_threads_is_no_defect() {
        expect_training();
        // What `std::thread::spawn` and rayon's global pool panic with under `ulimit -u`.
        let texts = [
            "failed to spawn thread: Os { code: 11, kind: WouldBlock, message: \"Resource temporarily unavailable\" }",
            "The global thread pool has not been initialized.: ThreadPoolBuildError { kind: IOError(Os { code: 11 }) }",
        ];
        for text in texts {
            let (message, exit) = explain(text, Some("thread/functions.rs:131:29"));
            assert_eq!(exit, Exit::Data);
            assert!(message.contains("`ulimit -u`") && message.contains("`kiln resume RUN`"), "{message}");
        }
    }

    #[test]
    fn a_full_device_is_no_defect() {
        expect_training();
        let (message, exit) = explain("wgpu error: Out of Memory", None);
        assert_eq!(exit, Exit::Device);
        assert!(message.contains("run.batch"));
    }
}
