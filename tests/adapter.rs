//! The same training on different devices gives the same losses. Builds for CPUs alone have one device and leave this
//! file out.
//!
//! CPU backends and a GPU, if there is one, are compared in the default build.
//! A software adapter is compared in a build of WGSL shaders without tuning, since the tuned SPIR-V kernels of the
//! default build crash or stall such adapters:
//!
//! ```text
//! cargo test --release -p kiln --no-default-features --features wgsl --test end_to_end adapter
//! ```

use std::fs;

use serde_json::Value;

#[cfg(feature = "wgsl")]
use crate::operations;
use crate::support::{MODELS, Workshop};

const STEPS: usize = 20;
/// In nats. The devices add up the same numbers in different orders.
const TOLERANCE: f64 = 1e-4;

/// The training loss of each of the first steps of a tiny model on a device.
fn losses(model: &str, device: &str) -> Vec<f64> {
    let workshop = Workshop::with_config(&format!("tiny/{model}.toml"));
    let config = format!("{model}.toml");
    let steps = format!("run.steps={STEPS}");
    let settings = ["--set", &steps, "--set", "run.log-every=1", "--set", "run.sample-every=1000"];
    let mut arguments = vec!["train", &config, "--device", device, "--run", "run"];
    arguments.extend(settings);
    workshop.kiln(&arguments).success();
    let metrics = fs::read_to_string(workshop.path("runs/run/metrics.jsonl")).expect("a run writes its metrics");
    let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is an object"));
    lines.filter_map(|line| line["train_loss"].as_f64()).collect()
}

/// Fails unless every step on `device` has the loss that it has on the CPU; returns in words how far apart they are.
fn agrees_with_cpu(model: &str, device: &str) -> String {
    let (expected, computed) = (losses(model, "cpu"), losses(model, device));
    assert_eq!((expected.len(), computed.len()), (STEPS, STEPS), "{model} on {device}: not one loss a step");
    // Equal losses of a model that doesn't learn would show little.
    assert!(expected[0] - expected[STEPS - 1] > 0.05, "{model}: {expected:?}");
    let differences = expected.iter().zip(&computed).map(|(expected, computed)| (expected - computed).abs());
    let largest = differences.fold(0.0, f64::max);
    // Not `>`, which NaN would pass.
    assert!(largest <= TOLERANCE, "{model} on {device} differs by {largest}:\n{expected:?}\n{computed:?}");
    format!("{model}: {device} and cpu differ by at most {largest:.1e} nats in {STEPS} steps")
}

/// Two runs without a stop, to see whether the device repeats itself, and one with a stop, which is compared with them;
/// returns the result in words.
#[cfg(feature = "wgsl")]
fn a_resumed_run_repeats_what_the_device_repeats(device: &str) -> String {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let arguments = ["verify-resume", "lstm.toml", "--device", device, "--set", "run.steps=6", "--stop-after", "3"];
    let finished = workshop.kiln(&arguments).success();
    assert!(finished.stderr.contains("to see whether this device repeats itself"), "{}", finished.stderr);
    let words = ["equal, bit by bit", "this device does not repeat itself"];
    let line = finished.stderr.lines().find(|line| words.iter().any(|words| line.contains(words)));
    format!("{device}: {}", line.unwrap_or_else(|| panic!("{}", finished.stderr)))
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_gives_the_losses_of_the_cpu() {
    for model in MODELS {
        eprintln!("{}", agrees_with_cpu(model, "ndarray"));
    }
}

/// The default build, on a machine with a GPU.
#[cfg(feature = "wgpu")]
#[test]
fn a_gpu_gives_the_losses_of_the_cpu() {
    // The listing without its trials: that of a software adapter takes long in this build.
    let here = Workshop::new().kiln(&["devices", "--probe"]).success().stdout;
    if !here.contains("\"wgpu:0\"") {
        let software = if here.contains("\"wgpu:software\"") { "only a software adapter" } else { "no adapter" };
        // Not `skip`: continuous integration has no GPU.
        eprintln!("skipped: {software} is here; scripts/check.sh makes the build that tests a software adapter");
        return;
    }
    eprintln!("{}", a_resumed_run_repeats_what_the_device_repeats("wgpu:0"));
    operations::equal_their_references("wgpu:0", |has_gpu_body| has_gpu_body);
    for model in MODELS {
        eprintln!("{}", agrees_with_cpu(model, "wgpu:0"));
    }
}

/// The build for software adapters: an adapter is required, else this would pass without having tested anything.
#[cfg(all(feature = "wgsl", not(feature = "wgpu")))]
#[test]
fn a_software_adapter_gives_the_losses_of_the_cpu() {
    let listing = crate::devices::listing(&Workshop::new(), |_| {});
    let software = crate::devices::listed(&listing, "wgpu:software");
    let software =
        software.expect("a software adapter is here (on Debian: apt install mesa-vulkan-drivers libvulkan1)");
    assert_eq!(software["result"], "works", "{software}");
    eprintln!("{}", a_resumed_run_repeats_what_the_device_repeats("wgpu:software"));
    operations::equal_their_references("wgpu:software", |has_gpu_body| has_gpu_body);
    for model in MODELS {
        eprintln!("{}", agrees_with_cpu(model, "wgpu:software"));
    }
}
