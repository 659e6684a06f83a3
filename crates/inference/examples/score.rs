//! How surprised a model is by each token of a text, in nats:
//! `cargo run --release -p kiln-inference --example score -- RUN "To be, or not to be"`.

#![expect(clippy::print_stdout, reason = "an example shows what it found")]

mod support;

use burn::tensor::{Int, Tensor};
use kiln_models::Draws;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (model, tokenizer) = support::open(std::env::args().nth(1))?;
    let text = std::env::args().nth(2).unwrap_or_else(|| "To be, or not to be".to_owned());
    let mut tokens = tokenizer.encode(&text)?;
    // Each token is guessed from those before it, so the last one is never read.
    tokens.truncate(model.longest_window().map_or(usize::MAX, |longest| longest + 1));
    let [read, guessed] =
        [tokens.split_last(), tokens.split_first()].map(|parts| parts.map_or(&[][..], |(_, rest)| rest));
    if guessed.is_empty() {
        return Err("the text has fewer than two tokens".into());
    }
    let row = |tokens: &[u32]| {
        let tokens: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
        Tensor::<1, Int>::from_data(tokens.as_slice(), &model.device()).unsqueeze::<2>()
    };
    let (losses, _) = model.losses(row(read), row(guessed), None, &mut Draws::none());
    let losses: Vec<f64> = losses.try_into_data()?.iter().collect();
    for (&token, loss) in guessed.iter().zip(&losses) {
        println!("{loss:8.3}  {:?}", tokenizer.decode(&[token]));
    }
    println!("{:8.3}  on average", losses.iter().sum::<f64>() / losses.len() as f64);
    Ok(())
}
