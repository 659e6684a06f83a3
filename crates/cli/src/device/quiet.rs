//! Keeping graphics drivers from talking to the user.

/// Runs `action` while nothing that is written to stderr arrives there.
///
/// Drivers and the libraries that they load print, past every log, what concerns nobody who only wants to compute:
/// without a desktop session, for example, that `XDG_RUNTIME_DIR` is not set. What matters comes back as a `Result`.
#[cfg(unix)]
pub(super) fn without_stderr<Output>(action: impl FnOnce() -> Output) -> Output {
    use std::fs::OpenOptions;
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    /// Gives stderr back when dropped, also by a panic.
    struct Kept(OwnedFd);
    impl Drop for Kept {
        fn drop(&mut self) {
            // If this fails, there is nowhere left to report it.
            let _ = rustix::stdio::dup2_stderr(&self.0);
        }
    }
    let redirect = || -> io::Result<Kept> {
        let kept = Kept(io::stderr().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stderr(OpenOptions::new().write(true).open("/dev/null")?)?;
        Ok(kept)
    };
    // If that fails, noise is the lesser evil.
    let _kept = redirect().ok();
    action()
}

/// Runs `action`.
#[cfg(not(unix))]
pub(super) fn without_stderr<Output>(action: impl FnOnce() -> Output) -> Output {
    action()
}
