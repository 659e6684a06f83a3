//! Training with an optimizer's state in 8 bits.

use super::finetuning::{optimizer, train_and_resume};
use super::*;
use kiln_optimization::optimizers::StateBits;

#[test]
fn it_learns_about_as_much_and_a_stop_changes_nothing() {
    for (model, name) in [(TRANSFORMER, "adamw"), (LSTM, "lion"), (TRANSFORMER, "muon"), (LSTM, "rmsprop")] {
        let losses = [StateBits::ThirtyTwo, StateBits::Eight].map(|bits| {
            let mut world = World::new(model, "clip-norm = 1.0");
            world.run.optimizer_state = bits;
            world.optimizer = optimizer(name);
            world.schedule = cosine(if name == "lion" { 0.001 } else { 0.01 });
            train_and_resume(&world, name)
        });
        let [plain, packed] = losses.map(|losses| (losses[0], losses[11]));
        let (learned, apart) = (plain.0 - plain.1, (plain.1 - packed.1).abs());
        assert!(plain.0 == packed.0 && learned > 0.02 && apart < 0.15 * learned, "{name}: {plain:?} {packed:?}");
        assert!(apart > 0.0, "{name}");
    }
}
