//! A checkpoint's copy of an optimizer is of its step, on every device.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use kiln_data::batches::HostBatch;
use kiln_training::learning::{TrainingInput, training_step};

/// The state of an optimizer after a step is what it was then, also when it is looked at after more steps: a device
/// that reads lazily would give the numbers of the last one.
fn optimizer_state_is_of_its_step(device: &Device) {
    let config: kiln_models::ModelConfig =
        toml::from_str("[gru]\nlayers = 1\nhidden = 16").expect("a model's configuration");
    let optimizer: kiln_optimization::optimizers::OptimizerConfig = toml::from_str("[adamw]").expect("an optimizer's");
    let (mut model, mut optimizer) = (config.init(16, 8, 1, device).train(), optimizer.build());
    let mut step = || {
        let (inputs, targets) = ((0..16).collect(), (0..16).rev().collect());
        let document_starts = Default::default();
        let (weights, references, carries_state) = (None, None, false);
        let batch =
            HostBatch { inputs, targets, weights, references, rows: 2, columns: 8, carries_state, document_starts };
        let (_, gradients) = training_step(&model, TrainingInput::new(batch));
        model = optimizer.update(model.clone(), gradients, 1.0, 0.1);
        optimizer.state().expect("the device works")
    };
    let state = step();
    // Looked at only now, three steps later.
    let states: Vec<_> = (0..3).map(|_| step()).collect();
    let first_moment = |state: &BTreeMap<String, TensorData>| -> Vec<u8> {
        state
            .iter()
            .filter(|(name, _)| name.ends_with("moment"))
            .flat_map(|(_, data)| data.as_bytes().to_vec())
            .collect()
    };
    assert!(!first_moment(&state).is_empty(), "{:?}", state.keys());
    for later in &states {
        // `assert_ne!` would print all the bytes.
        assert!(first_moment(&state) != first_moment(later), "the state moved with the steps after it");
    }
}

#[test]
fn the_state_of_an_optimizer_on_the_cpu_is_of_its_step() {
    optimizer_state_is_of_its_step(&Device::flex());
}

#[cfg(all(feature = "wgsl", not(feature = "wgpu")))]
#[test]
fn the_state_of_an_optimizer_on_a_software_adapter_is_of_its_step() {
    let device = Device::wgpu_options().device_kind(burn::tensor::DeviceKind::Cpu).init();
    optimizer_state_is_of_its_step(&device.expect("a software adapter is here"));
}
