//! Trains with a schedule of one's own: a type that implements `Schedule`.
//!
//! ```text
//! cargo run --release --no-default-features --example own_schedule
//! ```
//!
//! "Bold driver": the rate grows a little as long as the smoothed loss falls, and is halved when it rises. A run with a
//! folder takes the same type in `Session::schedule`; its state is saved with every checkpoint.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use burn::tensor::Device;
use kiln_data::shards::TokenFile;
use kiln_models::Tokenizer;
use kiln_optimization::schedules::{Schedule, ScheduleStateError};
use kiln_settings::Source;
use kiln_training::config::Config;
use kiln_training::learning::Trainer;
use serde_json::{Value, json};

/// A configuration names one of the schedules that there are; ours takes its place.
const CONFIG: &str = "
    [tokenizer.character]
    [model.gru]
    layers = 1
    hidden = 64
    [optimizer.adamw]
    [schedule.constant]
    rate = 0.002
    [run]
    steps = 200
    batch = 8
    context = 32
";

struct BoldDriver {
    rate: f64,
    smoothed: f64,
}

impl Schedule for BoldDriver {
    fn observe_training(&mut self, loss: f64) {
        let smoothed = if self.smoothed.is_finite() { 0.8 * self.smoothed + 0.2 * loss } else { loss };
        self.rate *= if smoothed <= self.smoothed { 1.05 } else { 0.5 };
        self.smoothed = smoothed;
    }

    fn next_rate(&mut self) -> f64 {
        self.rate
    }

    fn state(&self) -> Value {
        json!([self.rate, self.smoothed])
    }

    fn restore(&mut self, state: Value) -> Result<(), ScheduleStateError> {
        (self.rate, self.smoothed) = serde_json::from_value(state)?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let text = "the quick brown fox jumps over the lazy dog. ".repeat(100);
    let config = Config::read_without_data(&Source::new("example", CONFIG.to_string()))?;
    let tokenizer = Tokenizer::train(&config.tokenizer, &mut std::iter::once(Ok(text.clone())))?;
    let model = config.model.init(tokenizer.vocabulary_size(), config.run.context, config.seed, &Device::flex());
    let trainer = Trainer::new(&config, model, TokenFile::in_memory(&text, &tokenizer)?)?;
    let mut trainer = trainer.with_schedule(Box::new(BoldDriver { rate: 0.002, smoothed: f64::INFINITY }));
    while trainer.step() < config.run.steps {
        let update = trainer.updates(25)?;
        let (step, rate) = (trainer.step(), update.learning_rate);
        println!("step {step:>3}  loss {:.4} nats per token  rate {rate:.2e}", update.loss);
    }
    Ok(())
}
