//! Updates for a stopwatch, against those of a run.

use super::*;
use crate::config::Config;

impl World {
    /// The configuration of this world's runs.
    fn config(&self) -> Config {
        Config {
            seed: 11,
            data: toml::from_str("[builtin]\ncharacters = 1000").unwrap(),
            tokenizer: toml::from_str("[character]").unwrap(),
            model: self.model.clone(),
            optimizer: self.optimizer.clone(),
            schedule: self.schedule.clone(),
            averaging: self.averaging.clone(),
            run: self.run.clone(),
            estimates: None,
        }
    }
}

#[test]
fn updates_for_a_stopwatch_are_those_of_a_run() {
    let _alone = alone();
    for (model, windows) in [(TRANSFORMER, "random"), (LSTM, "streams")] {
        let world = World::new(model, &format!("windows = \"{windows}\"\naccumulate = 2\nclip-norm = 0.5"));
        let notes = Notes::default();
        world.train("run", &notes).unwrap();
        let expected: Vec<f64> = notes.steps.lock().unwrap().iter().map(|entry| entry.train_loss).collect();

        let device = Device::flex();
        let model = world.model.init(world.tokenizer.vocabulary_size(), world.run.context, 3, &device);
        let mut bench = StepBench::new(&world.config(), model, device, world.train.clone()).unwrap();
        let found: Vec<f64> = [1, 2, 3, 1, 5].into_iter().map(|updates| bench.run(updates).unwrap()).collect();
        assert_eq!(found, [0, 2, 5, 6, 11].map(|index| expected[index]), "{windows}");
        // Further than the run would have gone.
        assert!(bench.run(2).unwrap().is_finite());
    }
}
