//! Timing calls on a device.

use std::any::Any;
use std::time::{Duration, Instant};

use burn::tensor::Device;

/// What a call gave. It is kept until the device is done with it: an operation whose result nobody holds may be left out.
pub(super) type Kept = Box<dyn Any>;

/// Something to be timed.
pub(super) type Work<'a> = Box<dyn FnMut() -> Kept + 'a>;

/// Most calls in a round, so that a round of calls that cost nothing ends.
const MOST_CALLS: u32 = 100_000;

/// Seconds that one of so many calls takes. Each is waited for, so that a device cannot merge calls or put them off; on a GPU a
/// call therefore costs some tens of microseconds at least.
pub(super) fn seconds_a_call(device: &Device, calls: u32, work: &mut Work<'_>) -> anyhow::Result<f64> {
    let started = Instant::now();
    for _ in 0..calls {
        let kept = work();
        device.sync()?;
        drop(kept);
    }
    Ok(started.elapsed().as_secs_f64() / f64::from(calls))
}

/// How many calls take about as long as `duration`, at least one. This is the warm-up too: the first call pays for compiling
/// and tuning, and is not counted.
pub(super) fn calls_in(device: &Device, duration: Duration, work: &mut Work<'_>) -> anyhow::Result<u32> {
    seconds_a_call(device, 1, work)?;
    let mut calls = 1;
    loop {
        let seconds = seconds_a_call(device, calls, work)?;
        let wanted = duration.as_secs_f64() / seconds.max(1e-9);
        if wanted <= 4.0 * f64::from(calls) || calls >= MOST_CALLS {
            return Ok((wanted.round() as u32).clamp(1, MOST_CALLS));
        }
        calls *= 4;
    }
}
