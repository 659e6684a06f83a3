//! A schedule of one's own beside a shipped one: `cargo run --release --example write_schedule`.
//!
//! "Bold driver": the rate grows a little with every loss that is no worse than the one before, and is halved by one
//! that is. Both schedules drive gradient descent on w² / 2, from w = 10.
#![expect(clippy::print_stdout, reason = "it is a program")]

use kiln_optimization::schedules::{InverseTimeConfig, Schedule, ScheduleConfig, ScheduleStateError};
use serde_json::{Value, json};

struct BoldDriver {
    rate: f64,
    last: f64,
}

impl Schedule for BoldDriver {
    fn observe_training(&mut self, loss: f64) {
        self.rate *= if loss <= self.last { 1.1 } else { 0.5 };
        self.last = loss;
    }

    fn next_rate(&mut self) -> f64 {
        self.rate
    }

    fn state(&self) -> Value {
        json!([self.rate, self.last])
    }

    fn restore(&mut self, state: Value) -> Result<(), ScheduleStateError> {
        (self.rate, self.last) = serde_json::from_value(state)?;
        Ok(())
    }
}

fn main() {
    let shipped = InverseTimeConfig { rate: 0.5, time_constant: Some(10.0), warmup: 0 };
    let mut schedules: [(&str, Box<dyn Schedule>); 2] = [
        ("bold driver", Box::new(BoldDriver { rate: 0.5, last: f64::MAX })),
        ("inverse time", ScheduleConfig::InverseTime(shipped).build(30)),
    ];
    for (name, schedule) in &mut schedules {
        let mut weight = 10.0_f64;
        for update in 0..30 {
            schedule.observe_training(weight * weight / 2.0);
            let rate = schedule.next_rate();
            if update % 5 == 0 {
                println!("{name:<12} update {update:>2}: w = {weight:<12.3e} rate {rate:.3}");
            }
            weight -= rate * weight;
        }
    }
}
