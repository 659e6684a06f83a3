//! How long a model takes to read prompts and to write behind them, as `kiln sample` does.

use std::time::Instant;

use anyhow::Context;
use kiln_inference::{Request, generate_batch_after};
use kiln_models::{LanguageModel, Tokenizer};

/// Prompts to be timed with. Any tokens do; these are not all the same.
pub(crate) fn prompts(tokenizer: &Tokenizer, tokens: u64, texts: u64) -> Vec<Vec<u32>> {
    let vocabulary = tokenizer.vocabulary_size() as u64;
    let prompt = |text: u64| (0..tokens).map(move |index| ((index * 7 + text) % vocabulary) as u32).collect();
    (0..texts).map(prompt).collect()
}

/// Reads the prompts, writes a token behind each and then `tokens` more: the seconds up to the first, and of one of the
/// others.
pub(crate) fn time_writing(
    model: &LanguageModel,
    tokenizer: &Tokenizer,
    prompts: &[Vec<u32>],
    tokens: u64,
) -> anyhow::Result<(f64, f64)> {
    let request = |prompt: &Vec<u32>| (prompt.clone(), Request::new("", tokens as usize + 1));
    let requests: Vec<(Vec<u32>, Request)> = prompts.iter().map(request).collect();
    let started = Instant::now();
    let mut batch = generate_batch_after(model, tokenizer, &requests)?.past_end_token();
    for _ in prompts {
        let (_, piece) = batch.next().context("no token came after the prompt")?;
        piece?;
    }
    let prompt_seconds = started.elapsed().as_secs_f64();
    let started = Instant::now();
    for (_, piece) in batch {
        piece?;
    }
    Ok((prompt_seconds, started.elapsed().as_secs_f64() / tokens as f64))
}
