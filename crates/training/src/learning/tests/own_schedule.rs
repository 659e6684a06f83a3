//! A schedule that is none of those that a configuration can name.

use kiln_optimization::schedules::ScheduleStateError;
use serde_json::{Value, json};

use super::*;

/// A thousandth of each update's number, and a tenth of that from the first validation loss on.
#[derive(Default)]
struct Growing {
    made: u64,
    has_validated: bool,
}

impl Schedule for Growing {
    fn observe_validation(&mut self, _loss: f64) {
        self.has_validated = true;
    }

    fn next_rate(&mut self) -> f64 {
        self.made += 1;
        let rate = self.made as f64 * 1e-3;
        if self.has_validated { rate / 10.0 } else { rate }
    }

    fn state(&self) -> Value {
        json!([self.made, self.has_validated])
    }

    fn restore(&mut self, state: Value) -> Result<(), ScheduleStateError> {
        (self.made, self.has_validated) = serde_json::from_value(state)?;
        Ok(())
    }
}

fn rates(notes: &Notes) -> Vec<f64> {
    notes.steps.lock().unwrap().iter().map(|entry| entry.learning_rate).collect()
}

#[test]
pub(super) fn a_schedule_of_ones_own_gives_the_rates_and_is_saved_and_restored() {
    let mut world = World::new(LSTM, "");
    world.own_schedule = Some(|| Box::<Growing>::default());
    let notes = Notes::default();
    world.train("whole", &notes).unwrap();
    // An evaluation comes after every fifth of the 12 steps.
    let expected: Vec<f64> = (1..=12).map(|step| f64::from(step) * 1e-3 / if step > 5 { 10.0 } else { 1.0 }).collect();
    assert_eq!(rates(&notes), expected);
    world.train("stopped", &Notes { stop_after: Some(7), ..Notes::default() }).unwrap();
    let rest = Notes::default();
    world.train("stopped", &rest).unwrap();
    assert_eq!(rates(&rest), expected[7..]);
    assert!(weights(&world.newest("whole").0) == weights(&world.newest("stopped").0));
}

#[test]
fn in_memory_it_takes_the_place_of_the_configured_one() {
    let world = World::new(LSTM, "");
    let trainer = Trainer::new(&world.config(), world.first_model(), world.train.clone()).unwrap();
    let mut trainer = trainer.with_schedule(Box::<Growing>::default());
    let rates = [(); 3].map(|()| trainer.update().unwrap().learning_rate);
    assert_eq!(rates, [1, 2, 3].map(|step| f64::from(step) * 1e-3));
}
