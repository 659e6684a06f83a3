//! Runs that average their weights.

use super::*;

/// Worlds whose saved weights are not those that training continues from.
fn averaging_worlds() -> Vec<World> {
    let averages = [
        AveragingConfig::Polyak(PolyakConfig { start: 3 }),
        AveragingConfig::Exponential(ExponentialConfig::default()),
        AveragingConfig::NonMonotone(NonMonotoneConfig { patience: 1 }),
    ];
    let free = [
        OptimizerConfig::ScheduleFreeSgd(ScheduleFreeSgdConfig { momentum: 0.9, weight_decay: 0.1 }),
        OptimizerConfig::ScheduleFreeAdamw(ScheduleFreeAdamwConfig::default()),
    ];
    let world = |change: &dyn Fn(&mut World)| {
        let mut world = World::new(TRANSFORMER, "windows = \"shuffled\"");
        world.run.evaluate_every = 2;
        change(&mut world);
        world
    };
    let averages = averages.map(|average| {
        world(&|world| {
            // A rate at which the validation loss rises, so that the third kind begins too.
            world.schedule = cosine(1.0);
            world.averaging = Some(average.clone());
        })
    });
    let free = free.map(|optimizer| world(&|world| world.optimizer = optimizer.clone()));
    averages.into_iter().chain(free).collect()
}

#[test]
pub(super) fn a_run_that_averages_and_was_stopped_ends_with_the_bits_of_one_that_was_not() {
    for world in averaging_worlds() {
        world.train("whole", &Notes::default()).unwrap();
        let (expected_folder, expected) = world.newest("whole");
        assert!(expected.training_weights.is_some(), "{:?}: no average began", world.averaging);
        for stop in [1, 4, 5, 8, 9] {
            let name = format!("stopped-{stop}");
            world.train(&name, &Notes { stop_after: Some(stop), ..Notes::default() }).unwrap();
            world.train(&name, &Notes::default()).unwrap();
            let (folder, found) = world.newest(&name);
            assert_eq!(found, expected, "{:?}, {:?}, stopped after {stop}", world.averaging, world.optimizer);
            assert_eq!(weights(&folder), weights(&expected_folder));
        }
    }
}

#[test]
pub(super) fn the_saved_model_is_the_one_that_was_evaluated_and_not_the_one_that_is_trained() {
    for world in averaging_worlds() {
        let outcome = world.train("run", &Notes::default()).unwrap();
        let (folder, checkpoint) = world.newest("run");
        let fresh = world.model.blank(world.tokenizer.vocabulary_size(), world.run.context, &Device::flex());
        let saved = kiln_models::saved::load_weights(fresh, &folder.join("model.safetensors")).unwrap();
        let trained =
            kiln_models::saved::apply_tensors(saved.clone(), checkpoint.training_weights.unwrap(), "x".as_ref())
                .unwrap();
        let loss = |model| {
            let plan = EvaluationPlan::new(&world.validation, 1.0, world.run.batch, world.run.context, false).unwrap();
            evaluate(&model, &world.validation, &plan.into(), &mut |_| true).unwrap().unwrap().loss
        };
        let evaluated = outcome.evaluation.unwrap().loss;
        assert_eq!(loss(saved).to_bits(), evaluated.to_bits(), "{:?}, {:?}", world.averaging, world.optimizer);
        assert_eq!(loss(outcome.model).to_bits(), evaluated.to_bits());
        assert!((loss(trained) - evaluated).abs() > 1e-6, "{:?}, {:?}", world.averaging, world.optimizer);
    }
}
