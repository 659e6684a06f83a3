use std::process::Command;
use std::time::{Duration, Instant};

use kiln_training::estimate::MemoryEstimate;

use super::child::{Silence, run, time_limit};
use super::choose::{choose, pick};
use super::entry::{DeviceEntry, Kind, Runtime};
use super::memory;
use super::name::{Adapter, DeviceName};
use super::open::without_panic;
use super::probe::Listing;
use super::shortage::shortage;
use super::trial::{Depth, Trial, column_shift, product_on_host, try_here, whole_numbers};

fn gpu(kind: Kind, runtime: Runtime, number: usize) -> DeviceEntry {
    DeviceEntry {
        device: if kind.is_gpu() { format!("wgpu:{number}") } else { "wgpu:software".to_owned() },
        kind,
        runtime,
        index: number,
        name: format!("card {number}"),
        driver: None,
        memory_bytes: None,
    }
}

fn needed(activations: u64) -> MemoryEstimate {
    MemoryEstimate {
        weights: 100,
        gradients: 100,
        optimizer: 150,
        average: 0,
        activations,
        overhead: 50,
        activations_recomputed: Some(30),
    }
}

/// 400 bytes for the model and 10 for each of eight windows.
#[test]
fn what_helps_against_a_lack_of_memory_is_what_takes_it() {
    let needed = needed(80);
    assert!(shortage("this machine", 480, &needed, 8).is_none());
    let of =
        |memory| shortage("this machine", memory, &needed, 8).map(|shortage| (shortage.is_certain, shortage.words));
    let (is_certain, words) = of(479).unwrap();
    assert!(!is_certain && words.contains("halve `run.batch`"), "{words}");
    assert!(words.contains("`run.recompute = true` takes 50 B less"), "{words}");
    let (is_certain, words) = of(409).unwrap();
    assert!(!is_certain && words.contains("shorten `run.context`"), "{words}");
    let (is_certain, words) = of(399).unwrap();
    assert!(is_certain && words.contains("train a smaller model") && !words.contains("batch"), "{words}");
}

/// 400 bytes for the model and 1000 for each of 600 windows: 600,400 bytes.
#[test]
fn an_estimate_above_twice_the_memory_is_refused() {
    let needed = needed(600_000);
    let is_certain = |memory| shortage("this machine", memory, &needed, 600).map(|shortage| shortage.is_certain);
    assert_eq!([600_400, 600_399, 300_200, 300_199].map(is_certain), [None, Some(false), Some(false), Some(true)]);
}

fn listing(gpus: Vec<DeviceEntry>) -> Listing {
    let mut listing = Listing::processors_only();
    listing.entries.extend(gpus);
    listing
}

fn works() -> Trial {
    Trial::Works { first_seconds: 0.1, gigaflops: None, abilities: Vec::new() }
}

#[test]
fn every_documented_spelling_is_read_and_written_back() {
    for (written, meant) in [
        ("auto", DeviceName::Auto),
        ("cpu", DeviceName::Cpu),
        ("ndarray", DeviceName::NdArray),
        ("wgpu:3", DeviceName::Wgpu(Adapter::Gpu(3))),
        ("wgpu:software", DeviceName::Wgpu(Adapter::Software)),
        ("vulkan:0", DeviceName::Vulkan(Adapter::Gpu(0))),
        ("vulkan:software", DeviceName::Vulkan(Adapter::Software)),
        ("metal", DeviceName::Metal),
        ("cuda:1", DeviceName::Cuda(1)),
        ("rocm:0", DeviceName::Rocm(0)),
    ] {
        assert_eq!(written.parse::<DeviceName>().unwrap(), meant);
        assert_eq!(meant.to_string(), written);
    }
}

#[test]
fn a_backend_without_a_number_is_its_first_device() {
    for backend in ["wgpu", "vulkan", "cuda", "rocm"] {
        assert_eq!(backend.parse::<DeviceName>().unwrap().to_string(), format!("{backend}:0"));
    }
}

#[test]
fn what_is_no_name_is_refused_with_what_was_probably_meant() {
    for (written, hint) in [
        ("gpu", "`wgpu`"),
        ("cuda0", "`cuda`"),
        ("vulcan", "`vulkan`"),
        ("nd-array", "`ndarray`"),
        ("CPU", "`cpu`"),
        ("mps", "`metal`"),
        ("llvmpipe", "`wgpu:software`"),
        ("quantum", "no backend is called so"),
        ("", "no backend is called so"),
        ("wgpu:", "`` after the colon"),
        ("wgpu:-1", "`-1` after the colon"),
        ("cuda:software", "`software` after the colon"),
        ("cpu:0", "there is only one `cpu`"),
    ] {
        let error = written.parse::<DeviceName>().unwrap_err();
        let message = error.to_string();
        assert!(message.contains(hint), "{written}: {message}");
        assert!(message.contains("vulkan:software"), "the possible names are missing: {message}");
    }
}

#[test]
fn the_cpu_is_always_here_and_computes_exactly() {
    let chosen = choose("cpu").unwrap();
    assert_eq!(chosen.name, "cpu");
    assert_eq!(chosen.device, burn::tensor::Device::flex());
    assert!(chosen.description.starts_with("cpu (Flex, processor, "), "{}", chosen.description);
    match try_here(&DeviceEntry::cpu(), Depth::Full) {
        Trial::Works { gigaflops: Some(speed), .. } => assert!(speed > 0.0),
        other => panic!("{other:?}"),
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_is_another_device_than_the_cpu_and_computes_exactly() {
    let chosen = choose("ndarray").unwrap();
    assert_ne!(chosen.device, burn::tensor::Device::flex());
    assert!(matches!(try_here(&DeviceEntry::ndarray(), Depth::Full), Trial::Works { .. }));
}

#[test]
fn a_backend_that_was_not_compiled_in_is_an_error_with_the_feature_to_add() {
    for (name, compiled_in) in [
        ("cuda", cfg!(feature = "cuda")),
        ("rocm:2", cfg!(feature = "rocm")),
        ("metal", cfg!(feature = "metal")),
        ("vulkan", cfg!(feature = "wgpu")),
    ] {
        if compiled_in {
            continue;
        }
        // Not `choose`, which would list this machine by running this test program again.
        let feature = super::choose::missing_feature(name.parse().unwrap()).unwrap();
        let here = Listing::processors_only().names();
        let error = super::DeviceError::NotCompiledIn { name: name.to_owned(), feature, here };
        assert!(error.to_string().contains(&format!("--features {feature}")), "{error}");
    }
}

#[test]
fn auto_takes_the_first_gpu_that_works() {
    let listing =
        listing(vec![gpu(Kind::DiscreteGpu, Runtime::Vulkan, 0), gpu(Kind::IntegratedGpu, Runtime::Vulkan, 1)]);
    let (entry, reason) = pick(&listing, |_| works());
    assert_eq!((entry.device.as_str(), reason.as_str()), ("wgpu:0", "the best GPU here"));

    let (entry, reason) = pick(&listing, |gpu| match gpu.device.as_str() {
        "wgpu:0" => Trial::Fails { problem: "its driver crashed".to_owned() },
        _ => works(),
    });
    assert_eq!(entry.device, "wgpu:1");
    assert!(reason.contains("wgpu:0, card 0: its driver crashed"), "{reason}");
}

#[test]
fn auto_falls_back_to_the_cpu_when_no_gpu_works() {
    let listing = listing(vec![gpu(Kind::DiscreteGpu, Runtime::Vulkan, 0)]);
    let (entry, reason) = pick(&listing, |_| Trial::Fails { problem: "a sum is wrong".to_owned() });
    assert_eq!(entry.device, "cpu");
    assert!(reason.contains("a sum is wrong"), "{reason}");
}

#[test]
fn auto_never_takes_or_even_tries_a_software_adapter() {
    let listing = listing(vec![gpu(Kind::Software, Runtime::Vulkan, 0)]);
    let (entry, reason) = pick(&listing, |gpu| panic!("tried {gpu:?}"));
    assert_eq!(entry.device, "cpu");
    assert!(reason.contains("no GPU") && !reason.contains("card 0"), "{reason}");
}

#[test]
fn auto_says_when_the_drivers_could_not_be_asked() {
    let mut listing = listing(Vec::new());
    listing.problem = Some("its driver crashed: signal 11 (segmentation fault)".to_owned());
    let (entry, reason) = pick(&listing, |_| works());
    assert_eq!(entry.device, "cpu");
    assert!(reason.contains("signal 11"), "{reason}");
}

#[test]
fn a_name_that_pins_the_graphics_api_means_the_same_adapter_only_there() {
    let vulkan = gpu(Kind::DiscreteGpu, Runtime::Vulkan, 0);
    let opengl = gpu(Kind::OtherGpu, Runtime::OpenGl, 0);
    let software = gpu(Kind::Software, Runtime::Vulkan, 0);
    let answers = |entry: &DeviceEntry, name: &str| entry.answers_to(name.parse().unwrap());
    assert!(answers(&vulkan, "wgpu") && answers(&vulkan, "wgpu:0") && answers(&vulkan, "vulkan"));
    assert!(!answers(&vulkan, "vulkan:1") && !answers(&vulkan, "vulkan:software") && !answers(&vulkan, "metal"));
    assert!(answers(&opengl, "wgpu:0") && !answers(&opengl, "vulkan:0"));
    assert!(answers(&software, "wgpu:software") && answers(&software, "vulkan:software"));
    assert!(!answers(&software, "wgpu:0"));
}

#[cfg(feature = "wgsl")]
#[test]
fn adapters_are_numbered_from_the_best_on_and_indexed_within_their_kind() {
    use super::probe::adapters::{Adapter, numbered};
    let adapter = |runtime, kind, name: &str| Adapter {
        runtime,
        kind,
        name: name.to_owned(),
        driver: String::new(),
        pci_address: String::new(),
    };
    let entries = numbered(vec![
        adapter(Runtime::Vulkan, Kind::Software, "llvmpipe"),
        adapter(Runtime::Vulkan, Kind::IntegratedGpu, "beside the processor"),
        adapter(Runtime::Vulkan, Kind::DiscreteGpu, "first card"),
        adapter(Runtime::Vulkan, Kind::DiscreteGpu, "second card"),
        // Burn cannot select it beside GPUs of declared kinds.
        adapter(Runtime::Vulkan, Kind::OtherGpu, "undeclared"),
        adapter(Runtime::OpenGl, Kind::Software, "llvmpipe again"),
    ]);
    let summary: Vec<_> =
        entries.iter().map(|entry| (entry.device.as_str(), entry.name.as_str(), entry.index)).collect();
    assert_eq!(
        summary,
        [
            ("wgpu:0", "first card", 0),
            ("wgpu:1", "second card", 1),
            ("wgpu:2", "beside the processor", 0),
            ("wgpu:software", "llvmpipe", 0),
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_child_that_crashes_hangs_or_fails_is_told_apart_from_one_that_answers() {
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    };
    let limit = Duration::from_secs(20);
    assert_eq!(run(shell("echo answer"), limit), Ok("answer\n".to_owned()));
    // More than a pipe holds.
    let long = run(shell("head -c 300000 /dev/zero | tr '\\0' x"), limit).unwrap();
    assert_eq!(long.len(), 300_000);
    let crashed = run(shell("kill -SEGV $$"), limit).unwrap_err().to_string();
    assert!(crashed.contains("signal 11 (segmentation fault)"), "{crashed}");
    let failed = run(shell("exit 3"), limit).unwrap_err().to_string();
    assert!(failed.contains("exit code 3"), "{failed}");
    assert!(matches!(run(Command::new("/nowhere/kiln"), limit), Err(Silence::NotStarted(_))));

    let started = Instant::now();
    let short = Duration::from_millis(100);
    assert_eq!(run(shell("exec sleep 60"), short), Err(Silence::TooSlow(short)));
    assert!(started.elapsed() < Duration::from_secs(20), "the child was waited for");
}

#[test]
fn the_time_limit_can_be_set_and_nonsense_leaves_the_usual_one() {
    let usual = Duration::from_secs(30);
    assert_eq!(time_limit(Some("5"), usual), Duration::from_secs(5));
    assert_eq!(time_limit(Some("soon"), usual), usual);
    assert_eq!(time_limit(None, usual), usual);
}

#[test]
fn a_panic_of_a_backend_becomes_a_message() {
    assert_eq!(without_panic(|| 7), Ok(7));
    assert_eq!(without_panic(|| panic!("no {}", "driver")), Err::<(), _>("no driver".to_owned()));
}

#[test]
fn the_matrices_of_the_trial_have_the_product_that_the_timing_expects() {
    let side = 12;
    let numbers = whole_numbers(side, 7, 3);
    let product = product_on_host(&numbers, &column_shift(side), side);
    for (row, moved) in numbers.chunks(side).zip(product.chunks(side)) {
        let mut expected = row.to_vec();
        expected.rotate_right(1);
        assert_eq!(expected, moved);
    }
    assert!(numbers.iter().any(|number| *number != numbers[0]), "a constant matrix would hide a wrong order");
}

#[test]
fn memory_is_read_from_what_the_system_publishes() {
    let meminfo = "MemFree: 5 kB\nMemTotal:       24675432 kB\n";
    assert_eq!(memory::total_of_meminfo(meminfo), Some(24_675_432 * 1024));
    assert_eq!(memory::total_of_meminfo("MemTotal: many kB"), None);
    let cards = "00000000:01:00.0, 143771\n00000000:41:00.0, 81559\n";
    assert_eq!(memory::of_nvidia_card(cards, "0000:41:00.0"), Some(81_559 << 20));
    assert_eq!(memory::of_nvidia_card(cards, "0000:42:00.0"), None);
}

#[test]
fn an_entry_and_a_trial_come_back_from_the_child_as_they_went() {
    let entry = gpu(Kind::DiscreteGpu, Runtime::DirectX12, 1);
    let text = serde_json::to_string(&entry).unwrap();
    assert_eq!(serde_json::from_str::<DeviceEntry>(&text).unwrap(), entry);
    for trial in [works(), Trial::Fails { problem: "crashed".to_owned() }] {
        let text = serde_json::to_string(&trial).unwrap();
        assert_eq!(serde_json::from_str::<Trial>(&text).unwrap(), trial);
    }
}
