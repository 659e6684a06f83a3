//! Updates in memory are those of a run.

use super::*;

#[test]
fn updates_in_memory_are_those_of_a_run() {
    for (model, windows) in [(TRANSFORMER, "random"), (LSTM, "streams")] {
        let world = World::new(model, &format!("windows = \"{windows}\"\naccumulate = 2\nclip-norm = 0.5"));
        let notes = Notes::default();
        let outcome = world.train("run", &notes).unwrap();
        let expected: Vec<f64> = notes.steps.lock().unwrap().iter().map(|entry| entry.train_loss).collect();

        let mut trainer = Trainer::new(&world.config(), world.first_model(), world.train.clone()).unwrap();
        let found: Vec<f64> = [1, 2, 3, 1, 5].into_iter().map(|count| trainer.updates(count).unwrap().loss).collect();
        assert_eq!(found, [0, 2, 5, 6, 11].map(|index| expected[index]), "{windows}");
        assert_eq!(trainer.step(), 12);
        let tensors = |model: &LanguageModel| kiln_models::saved::collect_tensors(model).unwrap();
        assert_eq!(tensors(&trainer.model()), tensors(&outcome.model));
        // Further than the run would have gone.
        assert!(trainer.updates(2).unwrap().loss.is_finite());
    }
}
