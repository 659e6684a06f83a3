//! How likely each token of a text is to a model, as `kiln score` shows it:
//! `cargo run --release --no-default-features --example score -- RUN "To be, or not to be"`.

#![expect(clippy::print_stdout, reason = "an example shows what it found")]

mod support;

use kiln_inference::score;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (model, tokenizer) = support::open(std::env::args().nth(1))?;
    let text = std::env::args().nth(2).unwrap_or_else(|| "To be, or not to be".to_owned());
    let scores = score(&model, tokenizer.vocabulary_size(), &tokenizer.encode(&text)?, 0, 0)?;
    let mut losses = Vec::new();
    for score in &scores {
        // The first token is predicted from nothing, so it has no probability.
        let Some(log_probability) = score.log_probability else { continue };
        println!("{:8.3}  {:?}", -log_probability, tokenizer.decode(&[score.token]));
        losses.push(-log_probability);
    }
    if losses.is_empty() {
        return Err("the text has fewer than two tokens".into());
    }
    println!("{:8.3}  on average, nats", losses.iter().sum::<f64>() / losses.len() as f64);
    Ok(())
}
