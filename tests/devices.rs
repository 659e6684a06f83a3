//! `--device` and `kiln devices`.

use std::process::Command;

use serde_json::Value;

#[cfg(feature = "wgsl")]
use crate::support::skip;
use crate::support::{Finished, Workshop};

/// What `kiln devices --json` prints.
pub(crate) fn listing(workshop: &Workshop, prepare: impl FnOnce(&mut Command)) -> Value {
    let mut command = workshop.command(&["devices", "--json"]);
    prepare(&mut command);
    let finished = Finished::from(command.output().expect("kiln can be started")).success();
    serde_json::from_str(&finished.stdout).expect("kiln devices --json prints JSON")
}

/// The listed device with this name.
pub(crate) fn listed<'listing>(listing: &'listing Value, device: &str) -> Option<&'listing Value> {
    listing["devices"].as_array()?.iter().find(|entry| entry["device"] == device)
}

/// Makes this machine one without any graphics adapter: the loaders of Vulkan and EGL look where there is no driver.
fn hide_adapters(command: &mut Command) {
    for variable in
        ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "__EGL_VENDOR_LIBRARY_FILENAMES", "__EGL_VENDOR_LIBRARY_DIRS"]
    {
        command.env(variable, "/nonexistent");
    }
    command.env_remove("VK_ADD_DRIVER_FILES");
}

/// What makes the smallest configuration smaller still.
const SHORT: [&str; 4] = ["--set", "run.steps=2", "--set", "schedule.cosine.warmup=0"];

/// Runs `kiln train` for two steps of the smallest configuration.
fn train(workshop: &Workshop, device: &str, prepare: impl FnOnce(&mut Command)) -> Finished {
    let mut command = workshop.command(&["train", "rnn.toml", "--device", device, "--run", "run"]);
    command.args(SHORT);
    prepare(&mut command);
    Finished::from(command.output().expect("kiln can be started"))
}

#[test]
fn a_word_that_is_no_device_is_a_usage_error_with_the_possible_names() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let finished = train(&workshop, "gpu", |_| {});
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    for part in ["`gpu`", "did you mean `wgpu`?", "vulkan:software", "cuda[:N]"] {
        assert!(finished.stderr.contains(part), "{part} is missing: {}", finished.stderr);
    }
    assert!(!workshop.path("runs").exists(), "a run folder was left behind");
}

#[cfg(feature = "wgpu")]
#[test]
fn a_gpu_that_is_not_here_exits_with_5_and_says_what_is() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    for device in ["vulkan", "wgpu", "vulkan:3", "wgpu:software"] {
        let finished = train(&workshop, device, hide_adapters);
        assert_eq!(finished.code, Some(5), "{device}: {}", finished.stderr);
        for part in [device, "is not here", "here: cpu, ndarray", "kiln devices"] {
            assert!(finished.stderr.contains(part), "{device}: {part} is missing: {}", finished.stderr);
        }
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    }
    assert!(!workshop.path("runs").exists(), "a run folder was left behind");
}

#[test]
fn a_backend_that_was_not_compiled_in_exits_with_5_and_names_the_feature() {
    if cfg!(feature = "cuda") {
        return;
    }
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let finished = train(&workshop, "cuda:0", hide_adapters);
    assert_eq!(finished.code, Some(5), "{}", finished.stderr);
    assert!(finished.stderr.contains("--features cuda"), "{}", finished.stderr);
}

#[test]
fn auto_without_a_gpu_trains_on_the_cpu_and_says_why() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let finished = train(&workshop, "auto", hide_adapters).success();
    assert!(finished.stderr.contains("device: cpu (Flex, "), "{}", finished.stderr);
    let can_reach_gpus = cfg!(any(feature = "wgsl", feature = "cuda", feature = "rocm"));
    let reason = if can_reach_gpus { "no GPU was found" } else { "this build has no GPU backend" };
    assert!(finished.stderr.contains(&format!("chosen by auto: {reason}")), "{}", finished.stderr);
    // Neither the drivers nor the libraries that they load may talk to the user.
    let said: String = finished.stderr.lines().filter(|line| !line.starts_with("warning: ")).collect();
    for noise in ["XDG_RUNTIME_DIR", "error", "libEGL", "MESA", "warning"] {
        assert!(!said.contains(noise), "{noise} in: {}", finished.stderr);
    }
}

/// Burn would pick a device by what was compiled in, a GPU, wherever a device was not handed on. It reads this variable
/// when it does so and panics at a name that it does not know.
#[test]
fn no_step_of_a_run_uses_burns_default_device() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let poisoned = |arguments: &[&str]| {
        let mut command = workshop.command(arguments);
        command.env("BURN_DEVICE", "nowhere");
        Finished::from(command.output().expect("kiln can be started")).success()
    };
    let train = |more: &[&str]| {
        let mut arguments = vec!["train", "rnn.toml", "--device", "cpu", "--run", "run"];
        arguments.extend(SHORT);
        arguments.extend(more);
        poisoned(&arguments);
    };
    train(&[]);
    train(&["--set", "run.steps=4", "--resume"]);
    poisoned(&["eval", "runs/run", "--device", "cpu"]);
    poisoned(&["sample", "runs/run", "--device", "cpu", "--max-tokens", "5"]);
}

#[test]
fn every_processor_backend_is_listed_and_computes() {
    let workshop = Workshop::new();
    let listing = listing(&workshop, hide_adapters);
    let expected: &[&str] = if cfg!(feature = "ndarray") { &["cpu", "ndarray"] } else { &["cpu"] };
    let names: Vec<_> =
        listing["devices"].as_array().unwrap().iter().map(|entry| entry["device"].as_str().unwrap()).collect();
    assert_eq!(names, expected);
    for name in names {
        let entry = listed(&listing, name).unwrap();
        assert_eq!(entry["result"], "works", "{entry}");
        assert!(entry["gigaflops"].as_f64().unwrap() > 0.01, "{entry}");
        assert!(entry["memory_bytes"].as_u64().unwrap() > 1 << 20, "{entry}");
    }
    assert_eq!(listing["auto"]["device"], "cpu");

    let mut command = workshop.command(&["devices"]);
    hide_adapters(&mut command);
    let table = Finished::from(command.output().unwrap()).success();
    assert_eq!(table.stderr, "", "nobody sits at a terminal");
    for name in expected {
        assert!(
            table.stdout.lines().any(|line| line.starts_with(name) && line.contains("works: ")),
            "{}",
            table.stdout
        );
    }
    assert!(table.stdout.contains("\nauto picks cpu: "), "{}", table.stdout);
}

/// A stand-in for the library that leads to Vulkan's drivers, which does `what` as soon as it is loaded.
#[cfg(all(target_os = "linux", feature = "wgsl"))]
fn with_vulkan_library(workshop: &Workshop, what: &str) -> bool {
    let source = format!(
        "#include <stdlib.h>\n#include <unistd.h>\n\
         __attribute__((constructor)) static void loaded(void) {{ {what} }}\n"
    );
    workshop.write("loader.c", source);
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "libvulkan.so.1", "loader.c"])
        .current_dir(workshop.path(""))
        .status();
    compiled.is_ok_and(|status| status.success())
}

#[cfg(all(target_os = "linux", feature = "wgsl"))]
#[test]
fn a_driver_that_crashes_costs_only_its_own_line() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    if !with_vulkan_library(&workshop, "abort();") {
        return skip("there is no C compiler to build a crashing driver with");
    }
    let crashing = |command: &mut Command| {
        command.env("LD_LIBRARY_PATH", workshop.path(""));
    };
    let listing = listing(&workshop, crashing);
    assert_eq!(listed(&listing, "cpu").unwrap()["result"], "works");
    assert_eq!(listing["auto"]["device"], "cpu");
    let problem = listing["problem"].as_str().unwrap();
    assert!(problem.contains("crashed: signal 6 (abort)"), "{problem}");

    let finished = train(&workshop, "auto", crashing).success();
    assert!(finished.stderr.contains("could not be listed: its driver crashed"), "{}", finished.stderr);
    let finished = train(&workshop, "wgpu", crashing);
    assert_eq!(finished.code, Some(5), "{}", finished.stderr);
}

#[cfg(all(target_os = "linux", feature = "wgsl"))]
#[test]
fn a_driver_that_hangs_is_given_up_at_the_time_limit() {
    let workshop = Workshop::new();
    if !with_vulkan_library(&workshop, "sleep(600);") {
        return skip("there is no C compiler to build a hanging driver with");
    }
    let listing = listing(&workshop, |command| {
        command.env("LD_LIBRARY_PATH", workshop.path("")).env("KILN_DEVICE_TIMEOUT", "4");
    });
    let problem = listing["problem"].as_str().unwrap();
    assert!(problem.contains("no answer within 4 s") && problem.contains("KILN_DEVICE_TIMEOUT"), "{problem}");
    assert_eq!(listing["auto"]["device"], "cpu");
}

/// The driver of a software adapter can crash in its compiler; asked for by name, it may then fail, but not take us
/// along.
#[cfg(feature = "wgsl")]
#[test]
fn a_software_adapter_that_is_asked_for_computes_or_is_refused() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let finished = train(&workshop, "wgpu:software", |command| {
        command.env("KILN_DEVICE_TIMEOUT", "10");
    });
    match finished.code {
        Some(0) => assert!(workshop.path("runs/run/metrics.jsonl").exists()),
        Some(5) => assert!(finished.stderr.contains("device `wgpu:software`"), "{}", finished.stderr),
        other => panic!("ended with {other:?}: {}", finished.stderr),
    }
    assert!(!finished.stderr.contains("XDG_RUNTIME_DIR"), "{}", finished.stderr);
}

/// On a machine with a software adapter and no GPU, such as one that runs these tests every day.
#[cfg(feature = "wgsl")]
#[test]
fn auto_never_takes_a_software_adapter_that_is_here() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    // The trial of the adapter is not what is tested, and with tuned kernels it can take long.
    let listing = listing(&workshop, |command| {
        command.env("KILN_DEVICE_TIMEOUT", "4");
    });
    let Some(software) = listed(&listing, "wgpu:software") else {
        return skip("there is no software adapter (on Debian: apt install mesa-vulkan-drivers libvulkan1)");
    };
    assert_eq!(software["kind"], "software", "{software}");
    let auto = listing["auto"]["device"].as_str().unwrap();
    assert_ne!(auto, "wgpu:software");
    if listed(&listing, "wgpu:0").is_none() {
        assert_eq!(auto, "cpu");
        let finished = train(&workshop, "auto", |_| {}).success();
        assert!(finished.stderr.contains("no GPU was found"), "{}", finished.stderr);
        let finished = train(&workshop, "wgpu", |_| {});
        assert_eq!(finished.code, Some(5), "{}", finished.stderr);
        assert!(finished.stderr.contains("`wgpu:software` asks for that one"), "{}", finished.stderr);
    }
}
