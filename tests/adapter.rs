//! The same training on different devices gives the same losses, and every operation what its reference gives in double
//! precision.
//!
//! CPU backends and a GPU, where there is one, are compared in the default build.
//! A software adapter is compared in a build of WGSL shaders without tuning, since the tuned SPIR-V kernels of the
//! default build crash or stall such adapters:
//!
//! ```text
//! cargo test --release -p kiln --no-default-features --features wgsl --test end_to_end adapter
//! ```

use std::fs;

use serde_json::Value;

use crate::support::Workshop;

/// The kinds of model, by the names of their smallest configurations.
const MODELS: [&str; 4] = ["transformer", "rnn", "lstm", "gru"];
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

/// Fails unless every step on `device` has the loss that it has on the CPU; says how far apart they are.
fn agrees_with_cpu(model: &str, device: &str) -> String {
    let (expected, computed) = (losses(model, "cpu"), losses(model, device));
    assert_eq!((expected.len(), computed.len()), (STEPS, STEPS), "{model} on {device}: not one loss a step");
    // Training moved: equal losses of a model that stands still would show little.
    assert!(expected[0] - expected[STEPS - 1] > 0.05, "{model}: {expected:?}");
    let differences = expected.iter().zip(&computed).map(|(expected, computed)| (expected - computed).abs());
    let largest = differences.fold(0.0, f64::max);
    // Not `>`, which a loss that is no number would pass.
    assert!(largest <= TOLERANCE, "{model} on {device} differs by {largest}:\n{expected:?}\n{computed:?}");
    format!("{model}: {device} and cpu differ by at most {largest:.1e} nats in {STEPS} steps")
}

/// Every operation with a gradient that is the same on all devices, by name, and whether there is a body for GPUs.
const OPERATIONS: [(&str, bool); 15] = [
    ("affine", false),
    ("GELU", false),
    ("GELU by tanh", false),
    ("ReLU squared", false),
    ("SwiGLU", false),
    ("layer norm", true),
    ("RMS norm", true),
    ("embedding", true),
    ("attention", true),
    ("rotary positions", false),
    ("RNN sequence", false),
    ("LSTM sequence", false),
    ("GRU sequence", false),
    ("cross-entropy", true),
    ("projected cross-entropy", true),
];

/// Those that have so little to round that every body may give the same bits.
const EXACT: [&str; 3] = ["ReLU squared", "embedding", "rotary positions"];

/// Where a device computes operations.
#[derive(PartialEq)]
enum Bodies {
    /// In the bodies for CPUs, which all of them have.
    Cpu,
    /// In those for GPUs, where there is one.
    Gpu,
    /// As compositions.
    None,
}

/// Fails unless every operation computes on `device` what its reference computes on the CPU in double precision,
/// outputs and gradients, and in the bodies that it should.
fn operations_equal_their_references(device: &str, bodies: &Bodies) {
    let finished = Workshop::new().kiln(&["bench", "kernels", "--check", "--json", "--device", device]).success();
    let report: Value = serde_json::from_str(&finished.stdout).expect("stdout is one object");
    let results = report["results"].as_array().expect("there is a list of results");
    assert_eq!(report["tolerance"], 1e-5);
    for (name, has_gpu_body) in OPERATIONS {
        let own = results.iter().filter(|result| result["name"] == name).map(|result| result["own_bits"].as_bool());
        let own: Vec<bool> = own.map(|own| own.expect("it is told")).collect();
        assert!(!own.is_empty(), "{name} is not in {report}");
        match bodies {
            Bodies::Cpu => assert!(own.contains(&true) || EXACT.contains(&name), "{name}: {report}"),
            Bodies::Gpu if has_gpu_body => assert!(own.contains(&true) || EXACT.contains(&name), "{name}: {report}"),
            Bodies::Gpu | Bodies::None => assert!(!own.contains(&true), "{name}: {report}"),
        }
    }
    let is_close = |difference: &Value| difference.as_f64().is_some_and(|difference| difference <= 1e-5);
    for result in results {
        assert!(is_close(&result["forward"]) && is_close(&result["backward"]), "{result}");
    }
}

/// Two runs without a stop, to see whether the device repeats itself, and one with a stop, which is held to that; says
/// what came out.
#[cfg(feature = "wgsl")]
fn a_resumed_run_is_held_to_what_the_device_repeats(device: &str) -> String {
    let workshop = Workshop::with_config("tiny/lstm.toml");
    let arguments = ["verify-resume", "lstm.toml", "--device", device, "--set", "run.steps=6", "--stop-after", "3"];
    let finished = workshop.kiln(&arguments).success();
    assert!(finished.stderr.contains("to see whether this device repeats itself"), "{}", finished.stderr);
    let words = ["equal, bit by bit", "this device does not repeat itself"];
    let line = finished.stderr.lines().find(|line| words.iter().any(|words| line.contains(words)));
    format!("{device}: {}", line.unwrap_or_else(|| panic!("{}", finished.stderr)))
}

/// The state of an optimizer after a step is what it was then, also when it is looked at after more steps: a device
/// that reads lazily would give the numbers of the last one.
fn optimizer_state_is_of_its_step(device: &burn::tensor::Device) {
    use burn::module::Module;
    use kiln_data::batches::HostBatch;
    use kiln_training::learning::{TrainingInput, training_step};

    let config: kiln_models::ModelConfig =
        toml::from_str("[gru]\nlayers = 1\nhidden = 16").expect("a model's configuration");
    let optimizer: kiln_optimization::optimizers::OptimizerConfig = toml::from_str("[adamw]").expect("an optimizer's");
    let (mut model, mut optimizer) = (config.init(16, 8, 1, device).train(), optimizer.build());
    let mut step = || {
        let (inputs, targets) = ((0..16).collect(), (0..16).rev().collect());
        let batch = HostBatch { inputs, targets, rows: 2, columns: 8, carries_state: false };
        let (_, gradients) = training_step(&model, TrainingInput::new(batch));
        model = optimizer.update(model.clone(), gradients, 1.0, 0.1);
        optimizer.state().expect("the device works")
    };
    let state = step();
    // Looked at only now, three steps later.
    let states: Vec<_> = (0..3).map(|_| step()).collect();
    let first_moment = |state: &std::collections::BTreeMap<String, burn::tensor::TensorData>| -> Vec<u8> {
        state
            .iter()
            .filter(|(name, _)| name.ends_with("moment"))
            .flat_map(|(_, data)| data.as_bytes().to_vec())
            .collect()
    };
    assert!(!first_moment(&state).is_empty(), "{:?}", state.keys());
    for later in &states {
        assert_ne!(first_moment(&state), first_moment(later), "the state moved with the steps after it");
    }
}

#[test]
fn the_state_of_an_optimizer_on_the_cpu_is_of_its_step() {
    optimizer_state_is_of_its_step(&burn::tensor::Device::flex());
}

#[cfg(all(feature = "wgsl", not(feature = "wgpu")))]
#[test]
fn the_state_of_an_optimizer_on_a_software_adapter_is_of_its_step() {
    let device = burn::tensor::Device::wgpu_options().device_kind(burn::tensor::DeviceKind::Cpu).init();
    optimizer_state_is_of_its_step(&device.expect("a software adapter is here"));
}

#[test]
fn operations_on_the_cpu_equal_their_references() {
    operations_equal_their_references("cpu", &Bodies::Cpu);
}

#[cfg(feature = "ndarray")]
#[test]
fn operations_on_ndarray_equal_their_references() {
    operations_equal_their_references("ndarray", &Bodies::None);
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
        eprintln!("skipped: {software} is here; scripts/check.sh makes the build that tests a software adapter");
        return;
    }
    eprintln!("{}", a_resumed_run_is_held_to_what_the_device_repeats("wgpu:0"));
    operations_equal_their_references("wgpu:0", &Bodies::Gpu);
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
    eprintln!("{}", a_resumed_run_is_held_to_what_the_device_repeats("wgpu:software"));
    operations_equal_their_references("wgpu:software", &Bodies::Gpu);
    for model in MODELS {
        eprintln!("{}", agrees_with_cpu(model, "wgpu:software"));
    }
}
