//! Layers that are trained one after the other, from the highest down.

use super::finetuning::{optimizer, saved, train_and_resume};
use super::*;
use kiln_optimization::schedules::ConstantConfig;

const WITH_BIASES: &str = "[transformer]\nlayers = 2\nheads = 2\nwidth = 16\nbias = true";

fn world(model: &str, steps: u64) -> World {
    let mut world = World::new(model, "");
    world.run.steps = steps;
    world.finetuning.train_only = Some(toml::from_str("last-layers = 1\nunfreeze-every = 4").unwrap());
    world.schedule = ScheduleConfig::Constant(ConstantConfig { rate: 0.01, warmup: 0 });
    world
}

/// The lower of two layers moves from the fifth update on, the tables from the ninth.
#[test]
fn a_lower_layer_stays_bit_by_bit_until_its_time_and_a_stop_changes_nothing() {
    for (model, name) in [(TRANSFORMER, "adamw"), (LSTM, "muon"), (LSTM, "schedule-free-adamw"), (WITH_BIASES, "sgd")] {
        let before = kiln_models::saved::collect_tensors(&world(model, 1).first_model()).unwrap();
        for (steps, moving) in [(4, [false, false]), (5, [true, false]), (8, [true, false]), (12, [true, true])] {
            let mut world = world(model, steps);
            world.optimizer = optimizer(name);
            let after = match steps {
                12 => {
                    train_and_resume(&world, name);
                    saved(&world, "whole")
                }
                _ => {
                    world.train("whole", &Notes::default()).unwrap();
                    saved(&world, "whole")
                }
            };
            let moves = |part: &str| before.iter().any(|(path, data)| path.contains(part) && *data != after[path]);
            assert_eq!([moves(".0."), moves("embedding.")], moving, "{name}, {steps}");
            assert!(moves(".1."));
        }
    }
}

/// An update of Adam moves each number by the rate at first, with or without earlier updates of other layers.
#[test]
fn the_first_update_of_a_layer_is_a_first_update() {
    let [before, after] = [4, 5].map(|steps| {
        let world = world(WITH_BIASES, steps);
        world.train("run", &Notes::default()).unwrap();
        saved(&world, "run")
    });
    let path = "blocks.0.feed_forward.input.bias";
    let moved = before[path].iter::<f32>().zip(after[path].iter::<f32>()).map(|(one, other)| (one - other).abs());
    let moved: Vec<f32> = moved.collect();
    assert!(moved.iter().all(|by| (0.009..0.0101).contains(by)), "{moved:?}");
}

/// A checkpoint may come before the first update that moves a layer, because that one was skipped.
#[test]
fn a_layer_whose_first_update_was_skipped_is_resumed() {
    let mut world = world(WITH_BIASES, 7);
    world.train("whole", &Notes::default()).unwrap();
    let (_, mut checkpoint) = world.newest("whole");
    checkpoint.optimizer.retain(|name, _| !name.contains("blocks.0."));
    world.run.steps = 8;
    world.train_changed("whole", &Notes::default(), |found| found.optimizer = checkpoint.optimizer).unwrap();
    assert!(world.newest("whole").1.optimizer.keys().any(|name| name.contains("blocks.0.")));
}
