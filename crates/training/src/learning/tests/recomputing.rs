//! Layers that are computed again for the backward pass.

use super::finetuning::saved;
use super::*;
use kiln_parameters::{catalogue, flat_gradient};

const MODELS: [&str; 4] = [
    TRANSFORMER,
    "[transformer]\nlayers = 3\nheads = 2\nwidth = 16\ndropout = 0.2\nbias = true",
    "[transformer]\nlayers = 2\nheads = 2\nwidth = 16\ntied = false\nposition = \"rotary\"\nlogit-soft-cap = 9.0",
    "[transformer]\nlayers = 3\nheads = 2\nwidth = 16\nattention-window = 3\nparallel-residual = true\n\
     activation = \"swiglu\"\nnorm = \"rms\"\nscaled-embeddings = true",
];

#[test]
fn losses_and_gradients_are_the_same_bits_whatever_is_trained() {
    for model in MODELS {
        for only in [None, Some("last-layers = 1"), Some("last-layers = 0"), Some("parameters = [\"*norm*\"]")] {
            let mut world = World::new(model, "");
            world.finetuning.train_only = only.map(|only| toml::from_str(only).unwrap());
            let parts = Parts::new(&world.config(), &catalogue(&world.first_model())).unwrap();
            let model = parts.trained(world.first_model());
            let order = BatchOrder::new(world.train.clone(), world.run.windows, 4, world.run.context, 1).unwrap();
            let step = |recompute| {
                let input = TrainingInput::new(order.read(3).unwrap());
                training_step(&model, TrainingInput { share: 0.25, dropout_seed: Some(9), recompute, ..input })
            };
            let ((expected, all), (found, again)) = (step(false), step(true));
            assert!(found.loss.into_data() == expected.loss.into_data());
            let mut with_gradient = 0;
            for parameter in catalogue(&model) {
                let [expected, found] =
                    [&all, &again].map(|gradients| flat_gradient(gradients, &parameter).map(|flat| flat.into_data()));
                assert_eq!(found.is_some(), parameter.is_trained, "{}", parameter.path);
                assert!(found == expected, "{}", parameter.path);
                with_gradient += usize::from(found.is_some());
            }
            assert!(with_gradient > 0);
        }
    }
}

#[test]
fn a_run_may_begin_to_recompute_when_it_resumes_and_ends_with_the_same_bits() {
    let mut world = World::new(MODELS[1], "accumulate = 2\nclip-norm = 1.0");
    world.train("whole", &Notes::default()).unwrap();
    world.train("changed", &Notes { stop_after: Some(6), ..Notes::default() }).unwrap();
    world.run.recompute = true;
    world.train("changed", &Notes::default()).unwrap();
    assert!(saved(&world, "changed") == saved(&world, "whole"));
}
