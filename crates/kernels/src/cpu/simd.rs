//! The widest vector instructions of this machine.

/// Runs `body` with the widest vector instructions of this machine.
///
/// The body is compiled once for each set of instructions, and only what is inlined into it: closures given here are
/// marked `#[inline(always)]`, and so is all that they call. Otherwise it runs without vectors, many times slower.
#[inline(always)]
pub(crate) fn simd<Output>(body: impl FnOnce() -> Output) -> Output {
    pulp::Arch::new().dispatch(body)
}
