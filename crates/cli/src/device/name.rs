//! What a person writes after `--device`.

use std::fmt;
use std::str::FromStr;

/// All spellings, as help and error messages show them.
const SPELLINGS: &str =
    "auto, cpu, ndarray, wgpu[:N], wgpu:software, vulkan[:N], vulkan:software, metal, cuda[:N], rocm[:N]";

/// A device as it is asked for.
///
/// `wgpu` and `wgpu:0` are the same name: the first GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceName {
    /// The best GPU that is here and works, else the CPU.
    Auto,
    /// Burn's own CPU backend, Flex.
    Cpu,
    /// burn-ndarray, another CPU backend (deprecated upstream).
    NdArray,
    /// A GPU through wgpu, on whichever graphics API reaches one.
    Wgpu(Adapter),
    /// A GPU through wgpu, pinned to Vulkan.
    Vulkan(Adapter),
    /// Apple's GPU through wgpu, pinned to Metal.
    Metal,
    /// An NVIDIA GPU through CUDA, by its number.
    Cuda(usize),
    /// An AMD GPU through ROCm, by its number.
    Rocm(usize),
}

/// Which of the adapters of a graphics API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adapter {
    /// The GPU with this number in the order of `kiln devices`.
    Gpu(usize),
    /// The driver that computes on the CPU (lavapipe, llvmpipe, WARP): for tests of the shaders, not for speed.
    Software,
}

/// Not the name of any device. The message lists all that are.
#[derive(Debug, thiserror::Error)]
#[error("unknown device `{name}`: {reason}\n  possible: {SPELLINGS}")]
pub(crate) struct UnknownName {
    /// What was written.
    name: String,
    /// What is wrong with it.
    reason: String,
}

impl FromStr for DeviceName {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let unknown = |reason: String| UnknownName { name: name.to_owned(), reason };
        let (backend, rest) = match name.split_once(':') {
            Some((backend, rest)) => (backend, Some(rest)),
            None => (name, None),
        };
        let number = || match rest {
            None => Ok(0),
            Some(digits) => digits
                .parse::<usize>()
                .map_err(|_| unknown(format!("`{digits}` after the colon is not a number counted from 0"))),
        };
        let adapter = || match rest {
            Some("software") => Ok(Adapter::Software),
            _ => number().map(Adapter::Gpu),
        };
        let alone = |device| match rest {
            None => Ok(device),
            Some(_) => Err(unknown(format!("there is only one `{backend}`, it takes no number"))),
        };
        match backend {
            "auto" => alone(Self::Auto),
            "cpu" => alone(Self::Cpu),
            "ndarray" => alone(Self::NdArray),
            "metal" => alone(Self::Metal),
            "wgpu" => adapter().map(Self::Wgpu),
            "vulkan" => adapter().map(Self::Vulkan),
            "cuda" => number().map(Self::Cuda),
            "rocm" => number().map(Self::Rocm),
            _ => Err(unknown(suggestion(backend))),
        }
    }
}

/// What a person probably meant with an unknown word.
fn suggestion(word: &str) -> String {
    let meant = match word.to_ascii_lowercase().as_str() {
        "gpu" | "webgpu" | "dx12" | "opengl" | "gl" => Some("wgpu"),
        "flex" | "host" => Some("cpu"),
        "mps" => Some("metal"),
        "hip" => Some("rocm"),
        "default" | "best" => Some("auto"),
        "software" | "llvmpipe" | "lavapipe" => Some("wgpu:software"),
        lower => ["auto", "cpu", "ndarray", "wgpu", "vulkan", "metal", "cuda", "rocm"]
            .into_iter()
            .find(|known| lower.starts_with(known) || strsim::damerau_levenshtein(lower, known) <= 2),
    };
    match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "no backend is called so".to_owned(),
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::NdArray => formatter.write_str("ndarray"),
            Self::Wgpu(adapter) => write!(formatter, "wgpu:{adapter}"),
            Self::Vulkan(adapter) => write!(formatter, "vulkan:{adapter}"),
            Self::Metal => formatter.write_str("metal"),
            Self::Cuda(number) => write!(formatter, "cuda:{number}"),
            Self::Rocm(number) => write!(formatter, "rocm:{number}"),
        }
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu(number) => write!(formatter, "{number}"),
            Self::Software => formatter.write_str("software"),
        }
    }
}
