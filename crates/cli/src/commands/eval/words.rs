//! Evaluations as they are printed.

use std::io::Write;

use kiln_data::shards::TokenFile;
use kiln_models::Tokenizer;
use kiln_training::evaluation::Evaluation;
use kiln_training::run::TranslationScores;
use serde::Serialize;

/// The evaluation of one of several texts.
#[derive(Serialize)]
struct Row<'a> {
    file: &'a str,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
}

/// That of the only text.
#[derive(Serialize)]
struct Only<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    translation: Option<&'a TranslationScores>,
}

/// Prints the evaluation of the only text.
pub(super) fn print(
    evaluation: &Evaluation,
    translation: Option<&TranslationScores>,
    json: bool,
) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut stdout, &Only { evaluation, translation })?;
        writeln!(stdout)?;
        return Ok(());
    }
    writeln!(stdout, "loss        {:.6} nats per token", evaluation.loss)?;
    writeln!(stdout, "            {:.6} nats per character", evaluation.nats_per_character)?;
    writeln!(stdout, "            {:.6} bits per byte", evaluation.bits_per_byte)?;
    writeln!(stdout, "perplexity  {:.4}", evaluation.perplexity)?;
    writeln!(stdout, "tokens      {}", evaluation.tokens)?;
    if let Some(TranslationScores { pairs, exact, bleu, chrf }) = translation {
        writeln!(stdout, "exact       {:.2} % of {pairs} translations", 100.0 * exact)?;
        writeln!(stdout, "BLEU        {bleu:.2}")?;
        writeln!(stdout, "chrF        {chrf:.2}")?;
    }
    Ok(())
}

/// Prints the line of one of several texts as soon as it is known.
pub(super) fn print_row(file: &str, evaluation: &Evaluation, json: bool, is_first: bool) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut stdout, &Row { file, evaluation })?;
        writeln!(stdout)?;
        return Ok(());
    }
    if is_first {
        writeln!(stdout, "nats/token  bits/byte  perplexity      tokens  file")?;
    }
    let Evaluation { loss, bits_per_byte, perplexity, tokens, .. } = evaluation;
    writeln!(stdout, "{loss:10.6}  {bits_per_byte:9.6}  {perplexity:10.4}  {tokens:>10}  {file}")?;
    Ok(())
}

/// Prints every token of a text with its loss; the first has none where nothing stands before it.
pub(super) fn print_tokens(file: &TokenFile, tokenizer: &Tokenizer, losses: &[f64]) -> anyhow::Result<()> {
    // As many as are read at once, so that no text has to fit into memory.
    const PORTION: usize = 1 << 16;
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(stdout, "place\tnumber\ttoken\tnats")?;
    let mut tokens = vec![0; PORTION];
    let without_loss = usize::from(file.start_len() == 0);
    let mut place = 0_usize;
    while (place as u64) < file.text_len() {
        let count = (file.text_len() - place as u64).min(PORTION as u64) as usize;
        file.read(file.start_len() + place as u64, &mut tokens[..count])?;
        for &token in &tokens[..count] {
            let text = serde_json::to_string(&tokenizer.decode(&[token]))?;
            let loss = place.checked_sub(without_loss).and_then(|before| losses.get(before));
            let nats = loss.map_or_else(String::new, |loss| format!("{loss:.6}"));
            writeln!(stdout, "{place}\t{token}\t{text}\t{nats}")?;
            place += 1;
        }
    }
    Ok(stdout.flush()?)
}
