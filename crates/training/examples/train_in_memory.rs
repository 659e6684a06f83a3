//! Trains a small network on a text in memory, without a run folder, and lets it continue a prompt.
//!
//! ```text
//! cargo run --release -p kiln-training --no-default-features --example train_in_memory
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use burn::tensor::Device;
use kiln_data::shards::TokenFile;
use kiln_inference::{Request, generate};
use kiln_models::Tokenizer;
use kiln_settings::Source;
use kiln_training::config::Config;
use kiln_training::learning::Trainer;

const CONFIG: &str = "
    [data.builtin]
    [tokenizer.character]
    [model.gru]
    layers = 1
    hidden = 64
    [optimizer.adamw]
    [schedule.cosine]
    rate = 0.02
    [run]
    steps = 200
    batch = 8
    context = 32
";

fn main() -> Result<(), Box<dyn Error>> {
    let text = "the quick brown fox jumps over the lazy dog. ".repeat(100);
    let config = Config::read(&Source::new("example", CONFIG.to_string()), &[])?;
    let tokenizer = Tokenizer::train(&config.tokenizer, &mut std::iter::once(Ok(text.clone())))?;
    let device = Device::flex();
    let model = config.model.init(tokenizer.vocabulary_size(), config.run.context, config.seed, &device);
    let mut trainer = Trainer::new(&config, model, TokenFile::in_memory(&text, &tokenizer)?)?;
    while trainer.step() < config.run.steps {
        let update = trainer.updates(50)?;
        println!("step {:>3}  loss {:.4} nats per token", trainer.step(), update.loss);
    }
    let prompt = "the quick ";
    let pieces: Result<String, _> =
        generate(&trainer.model(), &tokenizer, &Request::new(prompt, 60))?.map(|piece| piece.map(|p| p.text)).collect();
    println!("{prompt}{}", pieces?);
    Ok(())
}
