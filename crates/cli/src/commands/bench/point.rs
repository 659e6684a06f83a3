//! One side of `kiln bench attention` at one length, and the memory that it needs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use burn::tensor::{Device, Distribution, Tensor};
use kiln_kernels::{AttentionHeads, AttentionScores, causal_attention, reference};

use super::meters::{Kept, Work, peak_resident_bytes, resident_bytes};
use crate::device::{Silence, run_ourselves_with};

/// Heads and their width.
pub(super) const HEADS: usize = 8;
pub(super) const WIDTH: usize = 64;

/// How long the process of one point may take.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Tokens of the call before the one whose memory counts, which brings threads and code into memory.
const WARMUP: u64 = 8;

/// Kiln's own, or the composition of Burn's operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Fused,
    Reference,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) side: Side,
    pub(super) length: u64,
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Fused => "fused",
            Side::Reference => "reference",
        };
        write!(formatter, "{side}:{}", self.length)
    }
}

impl FromStr for Point {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (side, length) = text.split_once(':').ok_or("it is written as in `fused:256`")?;
        let side = match side {
            "fused" => Side::Fused,
            "reference" => Side::Reference,
            _ => return Err("the side is `fused` or `reference`"),
        };
        Ok(Self { side, length: length.parse().map_err(|_| "the length is a whole number")? })
    }
}

impl Point {
    /// A forward and a backward pass.
    pub(super) fn work(self, device: &Device) -> Work<'static> {
        self.work_on(Tensor::random(self.shape(), Distribution::Uniform(-1.0, 1.0), &device.clone().autodiff()))
    }

    fn shape(self) -> [usize; 3] {
        [1, self.length as usize, 3 * HEADS * WIDTH]
    }

    fn work_on(self, packed: Tensor<3>) -> Work<'static> {
        let heads = AttentionHeads { queries: HEADS, key_values: HEADS, width: WIDTH };
        let scores = AttentionScores { scale: (WIDTH as f64).powf(-0.5), soft_cap: None, window: None };
        let packed = packed.require_grad();
        Box::new(move || -> Kept {
            let output = match self.side {
                Side::Fused => causal_attention(packed.clone(), heads, scores, 0.0, None),
                Side::Reference => reference::causal_attention(packed.clone(), heads, scores, None),
            };
            Box::new(output.backward())
        })
    }

    /// The memory that one call needs beside the program and its input, in bytes, measured in a process of its own;
    /// nothing where the system does not say.
    ///
    /// # Errors
    /// How the process ended, when it gave no answer: most likely there was not enough memory.
    pub(super) fn memory_apart(self, device: &str) -> Result<Option<u64>, String> {
        let arguments = ["bench", "attention", "--device", device, "--memory-of", &self.to_string()];
        // Else mimalloc asks for large pages, of which a small tensor fills a part and all counts.
        let environment = [("MIMALLOC_ARENA_EAGER_COMMIT", "0")];
        let answer = run_ourselves_with(&arguments, &environment, TIME_LIMIT).map_err(|silence| match silence {
            Silence::Died(how) => how,
            other => other.to_string(),
        })?;
        serde_json::from_str(&answer).map_err(|error| format!("gave an answer that cannot be read: {error}"))
    }

    /// Measures that here and prints it: the body of the child.
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn print_memory(self, device: &Device) -> anyhow::Result<()> {
        // Memory does not depend on the numbers, and zeros take none that is given back, and used again, when they are
        // made.
        let work = |point: Self| point.work_on(Tensor::zeros(point.shape(), &device.clone().autodiff()));
        drop(work(Self { length: WARMUP, ..self })());
        let mut work = work(self);
        let before = resident_bytes();
        let kept = work();
        device.sync()?;
        let peak = peak_resident_bytes();
        drop(kept);
        let needed = peak.zip(before).map(|(peak, before)| peak.saturating_sub(before));
        serde_json::to_writer(std::io::stdout().lock(), &needed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_as_it_is_written() {
        let point = Point { side: Side::Reference, length: 2048 };
        assert_eq!(point.to_string(), "reference:2048");
        assert_eq!("reference:2048".parse(), Ok(point));
        for wrong in ["fused", "burned:3", "fused:x"] {
            assert!(wrong.parse::<Point>().is_err(), "{wrong}");
        }
    }
}
