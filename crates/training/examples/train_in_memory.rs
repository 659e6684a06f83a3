//! Trains a small network on a text in memory, without a run folder, and lets it continue a prompt. The text is one of
//! its own, or that of a file:
//!
//! ```text
//! cargo run --release --no-default-features --example train_in_memory -- book.txt "Call me"
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
    let mut arguments = std::env::args().skip(1);
    let text = match arguments.next() {
        Some(path) => std::fs::read_to_string(path)?,
        None => "the quick brown fox jumps over the lazy dog. ".repeat(100),
    };
    let prompt = arguments.next().unwrap_or_else(|| text.chars().take(10).collect());
    let config = Config::read_without_data(&Source::new("example", CONFIG.to_string()))?;
    let tokenizer = Tokenizer::train(&config.tokenizer, &mut std::iter::once(Ok(text.clone())))?;
    let device = Device::flex();
    let model = config.model.init(tokenizer.vocabulary_size(), config.run.context, config.seed, &device);
    let mut trainer = Trainer::new(&config, model, TokenFile::in_memory(&text, &tokenizer)?)?;
    while trainer.step() < config.run.steps {
        let update = trainer.updates(50)?;
        println!("step {:>3}  loss {:.4} nats per token", trainer.step(), update.loss);
    }
    let (model, request) = (trainer.model(), Request::new(&prompt, 60));
    let pieces = generate(&model, &tokenizer, &request)?.map(|piece| piece.map(|piece| piece.text));
    println!("{prompt}{}", pieces.collect::<Result<String, _>>()?);
    Ok(())
}
