//! Continues a prompt three times at once:
//! `cargo run --release --no-default-features --example sample -- RUN "Once upon a time"`.

#![expect(clippy::print_stdout, reason = "an example shows what it made")]

mod support;

use kiln_inference::{Request, SamplerConfig, generate_batch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (model, tokenizer) = support::open(std::env::args().nth(1))?;
    let prompt = std::env::args().nth(2).unwrap_or_default();
    let requests = [1, 2, 3].map(|seed| {
        let sampler = SamplerConfig { seed, ..SamplerConfig::default() };
        Request { sampler, ..Request::new(&prompt, 50) }
    });
    let mut texts = requests.each_ref().map(|request| request.prompt.clone());
    for (request, piece) in generate_batch(&model, &tokenizer, &requests)? {
        texts[request] += &piece?.text;
    }
    texts.iter().for_each(|text| println!("{text}\n---"));
    Ok(())
}
