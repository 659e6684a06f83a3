//! Work that may take so much memory and so long, and no more: what a hostile file asks for.
//!
//! The work has a thread of its own, whose requests for memory [`OrElse`](crate::OrElse) counts; under another
//! allocator only the time is bounded. No thread can be ended from outside and an allocator must not unwind, so one
//! that asks for more than it may sleeps from then on. What it holds stays taken, which is no more than its allowance.
//! One that takes too long sleeps at its next request; until then it computes.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// How often it is looked whether the memory is used up. Time is counted in these: where the machine is so busy that
/// the one that waits gets no turn, neither does the work.
const PATIENCE: Duration = Duration::from_millis(1);

/// What work may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Memory that it holds at once, bytes, beside its stack.
    pub bytes: usize,
    /// Its stack, bytes, of which the system gives what is used.
    pub stack: usize,
    /// How long it may take, in whole milliseconds.
    pub time: Duration,
}

/// Why work was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// It asked for more memory.
    Bytes,
    /// It took longer.
    Time,
    /// It panicked, or there was no thread for it.
    Ended,
}

/// What the thread may still take.
struct Account {
    left: AtomicI64,
    is_used_up: AtomicBool,
}

thread_local! {
    /// The account of this thread, if what it takes is counted.
    static ACCOUNT: Cell<*const Account> = const { Cell::new(ptr::null()) };
}

/// Counts what this thread takes for as long as it lives.
struct Counting;

impl Counting {
    /// # Safety
    /// The account must outlive this.
    unsafe fn start(account: &Account) -> Self {
        ACCOUNT.set(account);
        Self
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        ACCOUNT.set(ptr::null());
    }
}

/// Adds to what this thread has taken, before it gets it; less than nothing is given back.
pub(crate) fn take(bytes: i64) {
    let account = ACCOUNT.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: it is null, or that of a `Counting` on this thread, which its account outlives.
    let Some(account) = (unsafe { account.as_ref() }) else { return };
    let left = account.left.fetch_sub(bytes, Ordering::Relaxed).saturating_sub(bytes);
    if left < 0 && bytes > 0 {
        account.is_used_up.store(true, Ordering::Release);
        loop {
            thread::sleep(Duration::from_secs(3600));
        }
    }
}

/// What `work` gives, if that takes no more than its allowance.
///
/// # Errors
/// It takes more, or panics.
pub fn within<T: Send + 'static>(
    allowance: Allowance,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Exceeded> {
    let left = i64::try_from(allowance.bytes).unwrap_or(i64::MAX / 2);
    let account = Arc::new(Account { left: AtomicI64::new(left), is_used_up: AtomicBool::new(false) });
    let (sender, receiver) = sync_channel(1);
    let counted = Arc::clone(&account);
    let worker = thread::Builder::new().name("allowance".to_owned()).stack_size(allowance.stack);
    let worker = worker.spawn(move || {
        // SAFETY: the account is this closure's, and is dropped after what counts.
        let counting = unsafe { Counting::start(&counted) };
        let result = work();
        drop(counting);
        let _ = sender.send(result);
    });
    if worker.is_err() {
        return Err(Exceeded::Ended);
    }
    let mut waited = Duration::ZERO;
    loop {
        waited += PATIENCE;
        match receiver.recv_timeout(PATIENCE) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => return Err(Exceeded::Ended),
            Err(RecvTimeoutError::Timeout) if account.is_used_up.load(Ordering::Acquire) => {
                return Err(Exceeded::Bytes);
            }
            Err(RecvTimeoutError::Timeout) if waited >= allowance.time => {
                account.left.store(i64::MIN / 2, Ordering::Relaxed);
                return Err(Exceeded::Time);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::Instant;

    use super::*;
    use crate::OrElse;

    #[global_allocator]
    static COUNTING: OrElse<std::alloc::System> = OrElse::new(std::alloc::System, |_| std::process::abort());

    const SOME: Allowance = Allowance { bytes: 1 << 20, stack: 1 << 20, time: Duration::from_secs(20) };

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let work = || (0..100).map(|_| black_box(vec![1_u8; 1 << 19]).len()).sum::<usize>();
        assert_eq!(within(SOME, work), Ok(100 << 19));
        let grown = || {
            let mut bytes = Vec::new();
            (0..1 << 19).for_each(|index| bytes.push(index as u8));
            bytes.len()
        };
        assert_eq!(within(SOME, grown), Ok(1 << 19));
    }

    #[test]
    fn what_asks_for_too_much_is_given_up() {
        assert_eq!(within(SOME, || black_box(vec![1_u8; (1 << 20) + 1]).len()), Err(Exceeded::Bytes));
        let kept = || (0..32).map(|_| vec![1_u8; 1 << 16]).collect::<Vec<_>>().len();
        assert_eq!(within(SOME, kept), Err(Exceeded::Bytes));
        // Other threads, and this one, take what they like.
        assert_eq!(black_box(vec![1_u8; 1 << 22]).len(), 1 << 22);
    }

    #[test]
    fn what_takes_too_long_or_panics_is_given_up() {
        let short = Allowance { time: Duration::from_millis(20), ..SOME };
        let started = Instant::now();
        assert_eq!(within(short, || thread::sleep(Duration::from_secs(30))), Err(Exceeded::Time));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(within(SOME, || panic!("as it should")), Err::<(), _>(Exceeded::Ended));
    }
}
