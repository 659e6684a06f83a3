//! What stays as it is while the rest is trained, and rates of single parts.

use std::collections::BTreeMap;

use super::*;
use burn::tensor::TensorData;
use kiln_models::saved::collect_tensors;
use kiln_parameters::{catalogue, flat_gradient, map};

const OPTIMIZERS: [&str; 8] =
    ["adamw", "sgd", "adam", "rmsprop", "lion", "muon", "schedule-free-sgd", "schedule-free-adamw"];

pub(super) fn optimizer(name: &str) -> OptimizerConfig {
    toml::from_str(&format!("[{name}]")).unwrap()
}

/// The saved weights of the newest checkpoint of a run.
pub(super) fn saved(world: &World, name: &str) -> BTreeMap<String, TensorData> {
    let file = world.newest(name).0.join("model.safetensors");
    kiln_storage::read_safetensors(&file).unwrap().tensors
}

/// Trains without a stop and with one, compares the two, and gives the losses of the steps.
pub(super) fn train_and_resume(world: &World, what: &str) -> Vec<f64> {
    let notes = Notes::default();
    world.train("whole", &notes).unwrap();
    let (folder, expected) = world.newest("whole");
    world.train("stopped", &Notes { stop_after: Some(7), ..Notes::default() }).unwrap();
    world.train("stopped", &Notes::default()).unwrap();
    let (stopped, found) = world.newest("stopped");
    assert_eq!(found, expected, "{what}");
    assert!(weights(&stopped) == weights(&folder), "{what}");
    let steps = notes.steps.lock().unwrap();
    steps.iter().map(|entry| entry.train_loss).collect()
}

/// Every number of a matrix whose index is divisible by 3 is zero.
fn pruned(model: LanguageModel) -> LanguageModel {
    map(model, |parameter, values| {
        if !parameter.role.is_matrix() {
            return values;
        }
        let (device, numbers) = (values.device(), values.into_data().iter::<f32>().collect::<Vec<f32>>());
        let kept = numbers.iter().enumerate().map(|(index, number)| if index % 3 == 0 { 0.0 } else { *number });
        burn::tensor::Tensor::from_data(kept.collect::<Vec<f32>>().as_slice(), &device)
    })
}

fn zeros(data: &TensorData) -> Vec<usize> {
    data.iter::<f32>().enumerate().filter(|(_, number)| number.to_bits() == 0).map(|(index, _)| index).collect()
}

#[test]
pub(super) fn zeros_of_matrices_stay_the_same_bits_with_every_optimizer_and_average() {
    for (index, name) in OPTIMIZERS.iter().enumerate() {
        let mut world = World::new(if index % 2 == 0 { TRANSFORMER } else { LSTM }, "clip-norm = 1.0");
        world.run.steps = 20;
        world.optimizer = optimizer(name);
        // Its steps are as long as the gradient.
        world.schedule = cosine(if name.ends_with("sgd") { 1.0 } else { 0.01 });
        let averages = [None, Some(AveragingConfig::Exponential(ExponentialConfig::default()))];
        world.averaging = if name.starts_with("schedule") { None } else { averages[index / 2 % 2].clone() };
        let start = "from = \"base\"\nkeep-zeros = true";
        world.finetuning.start = Some(toml::from_str(start).unwrap());
        world.finetuning.model = Some(pruned(world.first_model()));
        let before = collect_tensors(&world.first_model()).unwrap();
        let losses = train_and_resume(&world, name);
        assert!(losses[15..].iter().sum::<f64>() / 5.0 < 0.98 * losses[0], "{name}: {losses:?}");
        let (after, roles) = (saved(&world, "whole"), catalogue(&world.first_model()));
        let (mut kept, mut moved) = (0, 0);
        for parameter in roles.iter().filter(|parameter| parameter.role.is_matrix()) {
            let (before, after) = (&before[&parameter.path], &after[&parameter.path]);
            assert!(zeros(before).len() * 3 >= parameter.elements(), "{}", parameter.path);
            assert_eq!(zeros(after), zeros(before), "{name}: {}", parameter.path);
            kept += zeros(after).len();
            moved += before.iter::<f32>().zip(after.iter::<f32>()).filter(|(one, other)| one != other).count();
        }
        assert!(kept > 100 && moved > 100, "{name}: {kept} {moved}");
    }
}

#[test]
pub(super) fn what_is_frozen_stays_bit_by_bit_and_has_no_state_and_no_gradient() {
    let cases = [
        (TRANSFORMER, "last-layers = 1", "blocks.1."),
        (LSTM, "last-layers = 1\nparameters = [\"embedding.*\"]", "layers.1."),
        (LSTM, "last-layers = 0", "output."),
        ("[transformer]\nlayers = 2\nheads = 2\nwidth = 16\nbias = true", "parameters = [\"*.bias\"]", "blocks.0."),
    ];
    for (index, (model, only, trained)) in cases.into_iter().enumerate() {
        let mut world = World::new(model, "");
        world.finetuning.train_only = Some(toml::from_str(only).unwrap());
        world.optimizer = optimizer(["adamw", "muon", "schedule-free-adamw", "sgd"][index]);
        let losses = train_and_resume(&world, only);
        assert!(losses[11] < losses[0], "{only}: {losses:?}");
        let parts = Parts::new(&world.config(), &catalogue(&world.first_model())).unwrap();
        let (before, after) = (collect_tensors(&world.first_model()).unwrap(), saved(&world, "whole"));
        let mut moved = Vec::new();
        for (path, before) in &before {
            match parts.trains(path) {
                true => moved.extend((*before != after[path]).then_some(path)),
                false => assert!(*before == after[path], "{only}: `{path}` moved"),
            }
        }
        assert!(moved.iter().any(|path| path.starts_with(trained)), "{only}: {moved:?}");
        let states = world.newest("whole").1.optimizer;
        assert!(states.keys().all(|name| parts.trains(name.rsplit_once('/').unwrap().0)), "{only}: {states:?}");
        let model = parts.trained(world.first_model());
        let order = BatchOrder::new(world.train.clone(), world.run.windows, 2, 8, 1).unwrap();
        let (_, gradients) = training_step(&model, TrainingInput::new(order.read(0).unwrap()));
        for parameter in catalogue(&model) {
            let has = flat_gradient(&gradients, &parameter).is_some();
            assert_eq!(has, parts.trains(&parameter.path), "{only}: {}", parameter.path);
        }
    }
}

#[test]
pub(super) fn adapters_alone_are_trained_and_resumed_as_without_a_stop() {
    let cases = [
        (TRANSFORMER, "rank = 2", "adamw"),
        (TRANSFORMER, "rank = 3\ndropout = 0.2\ntargets = [\"*attention*\"]\nrank-stabilised = true", "muon"),
        (LSTM, "rank = 2\nalpha = 8.0", "sgd"),
        (LSTM, "rank = 2\ndropout = 0.2", "schedule-free-adamw"),
    ];
    for (model, lora, name) in cases {
        let mut world = World::new(model, "");
        let adapter: AdapterConfig = toml::from_str(&format!("[lora]\n{lora}")).unwrap();
        world.finetuning.model = Some(world.first_model().adapted(&adapter, 3).unwrap());
        world.finetuning.adapter = Some(adapter);
        world.optimizer = optimizer(name);
        // Its steps are as long as the gradient.
        world.schedule = cosine(if name == "sgd" { 1.0 } else { 0.01 });
        let losses = train_and_resume(&world, lora);
        assert!(losses[11] < losses[0], "{lora}: {losses:?}");
        let (before, after) = (collect_tensors(&world.first_model()).unwrap(), saved(&world, "whole"));
        assert!(before.keys().any(|path| path.contains("adapter.")));
        // The others are in the file of the base, and so can't have moved.
        for (path, before) in &before {
            let moved = after.get(path).map(|after| after != before);
            assert_eq!(moved, path.contains("adapter.").then_some(true), "{lora}: `{path}`");
        }
        let states = world.newest("whole").1.optimizer;
        assert!(states.keys().all(|state| state.contains("adapter.")), "{lora}: {states:?}");
    }
}

#[test]
fn a_multiplier_of_all_rates_is_a_multiplied_schedule() {
    for name in OPTIMIZERS {
        let trained = |rate: f64, rates: Option<&str>| {
            let mut world = World::new(LSTM, "");
            world.optimizer = optimizer(name);
            world.schedule = toml::from_str(&format!("[constant]\nrate = {rate}")).unwrap();
            world.finetuning.rates = rates.map(|rates| toml::from_str(rates).unwrap());
            let mut trainer = Trainer::new(&world.config(), world.first_model(), world.train.clone()).unwrap();
            trainer.updates(5).unwrap();
            collect_tensors(&trainer.model()).unwrap()
        };
        let (half, multiplied) = (trained(0.005, None), trained(0.01, Some("multipliers = { \"*\" = 0.5 }")));
        assert!(half == multiplied, "{name}");
    }
}

#[test]
fn a_plain_step_is_as_long_as_the_rate_of_its_layer_says() {
    let mut world = World::new("[lstm]\nlayers = 2\nhidden = 12\nembedding = 8", "");
    world.optimizer = optimizer("sgd");
    world.schedule = toml::from_str("[constant]\nrate = 1.0").unwrap();
    let moved = |world: &World| {
        let mut trainer = Trainer::new(&world.config(), world.first_model(), world.train.clone()).unwrap();
        trainer.update().unwrap();
        let (before, after) =
            (collect_tensors(&world.first_model()).unwrap(), collect_tensors(&trainer.model()).unwrap());
        let length = |(path, before): (&String, &TensorData)| {
            let pairs = before.iter::<f64>().zip(after[path].iter::<f64>());
            (path.clone(), pairs.map(|(one, other)| (one - other).powi(2)).sum::<f64>().sqrt())
        };
        before.iter().map(length).collect::<BTreeMap<String, f64>>()
    };
    let whole = moved(&world);
    world.finetuning.rates = Some(toml::from_str("layer-decay = 0.5").unwrap());
    let decayed = moved(&world);
    for (path, factor) in [
        ("embedding.weight", 0.125),
        ("layers.0.input_weight", 0.25),
        ("layers.1.hidden_weight", 0.5),
        ("output.weight", 1.0),
    ] {
        let ratio = decayed[path] / whole[path];
        assert!((ratio - factor).abs() < 1e-3, "{path}: {ratio}");
    }
}
