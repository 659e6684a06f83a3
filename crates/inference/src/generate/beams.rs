//! The likeliest text, by a search with several beginnings side by side.

use kiln_models::{LanguageModel, Tokenizer};

use super::reader::{ModelReader, Reader};
use super::request::{Finish, GenerateError, Piece, Request};
use super::row::Row;
use crate::sampler::highest_logit;

/// How a beam search goes: after every token the likeliest beginnings are kept. The text with the highest score is
/// found, ln of its probability divided by its length in tokens to the power of the penalty; the search ends where
/// nothing better can come, as that of Hugging Face's `generate` with `early_stopping="never"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beams {
    /// Beginnings that are kept. At least 1, which is greedy choice.
    pub count: usize,
    /// Above 0 longer texts score better, below 0 shorter ones; at 0 the probability alone counts. Finite.
    pub length_penalty: f64,
}

/// What a beam search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The text, token by token.
    pub pieces: Vec<Piece>,
    /// Why it ends.
    pub finish: Option<Finish>,
    /// Its score.
    pub score: f64,
}

/// Searches the text that continues a prompt with the highest score. The sampler of the request isn't used, and a stop
/// text cuts what was found.
///
/// # Errors
/// The request makes no sense, its prompt cannot be spelled, or the device fails.
pub fn search(
    model: &LanguageModel,
    tokenizer: &Tokenizer,
    request: &Request,
    beams: Beams,
) -> Result<Found, GenerateError> {
    search_with(&mut ModelReader::new(model), tokenizer, &tokenizer.encode(&request.prompt)?, request, beams)
}

/// A text that is being written.
#[derive(Debug, Clone, Default)]
struct Beam {
    tokens: Vec<u32>,
    /// ln of its probability.
    sum: f64,
}

/// A beam with another token.
#[derive(Debug, Clone, Copy)]
struct Extension {
    beam: usize,
    token: u32,
    sum: f64,
}

impl Extension {
    /// Likelier first, then by number: a total order.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        other.sum.total_cmp(&self.sum).then((self.beam, self.token).cmp(&(other.beam, other.token)))
    }

    fn of(self, beams: &[Beam]) -> Beam {
        Beam { tokens: [&beams[self.beam].tokens[..], &[self.token]].concat(), sum: self.sum }
    }
}

pub(super) fn search_with(
    reader: &mut dyn Reader,
    tokenizer: &Tokenizer,
    prompt: &[u32],
    request: &Request,
    beams: Beams,
) -> Result<Found, GenerateError> {
    if beams.count == 0 || !beams.length_penalty.is_finite() {
        return Err(GenerateError::Beams { count: beams.count, length_penalty: beams.length_penalty });
    }
    if request.grammar.is_some() {
        return Err(GenerateError::GrammarOfBeams);
    }
    let mut row = Row::new(tokenizer, reader.vocabulary_size(), prompt, request)?;
    let (score, tokens) =
        if row.is_over() { (0.0, Vec::new()) } else { best(reader, &row, request.max_tokens, beams)? };
    let mut pieces = Vec::new();
    for token in tokens {
        if row.finish().is_none() {
            pieces.push(row.put(token));
        }
    }
    Ok(Found { pieces, finish: row.finish(), score })
}

/// The tokens with the highest score, and that.
fn best(reader: &mut dyn Reader, row: &Row, longest: usize, beams: Beams) -> Result<(f64, Vec<u32>), GenerateError> {
    let score = |sum: f64, length: usize| sum / (length as f64).powf(beams.length_penalty);
    // Every beam may end in each of the end tokens, and as many as are kept must not.
    let wanted = beams.count.saturating_mul((1 + row.end_tokens().len()).max(2));
    let mut best = (f64::NEG_INFINITY, Vec::new());
    let mut running = vec![Beam::default()];
    let mut logits = reader.read(&[row.unread()]).map_err(GenerateError::Device)?;
    for length in 1..=longest {
        let mut kept = Vec::new();
        for (rank, extension) in extensions(&running, &logits, row, wanted)?.into_iter().enumerate() {
            let ends = length == longest || row.end_tokens().contains(&extension.token);
            if !ends && kept.len() < beams.count {
                kept.push(extension);
            }
            if ends && rank < beams.count && score(extension.sum, length) > best.0 {
                best = (score(extension.sum, length), extension.of(&running).tokens);
            }
        }
        // ln of a probability only falls; with a penalty above 0, length makes up for it.
        let reach = if beams.length_penalty > 0.0 { longest } else { length };
        let Some(first) = kept.first().filter(|first| score(first.sum, reach) > best.0) else { break };
        debug_assert!(kept.iter().all(|extension| extension.sum <= first.sum));
        reader.keep(&kept.iter().map(|extension| extension.beam).collect::<Vec<_>>());
        running = kept.iter().map(|extension| extension.of(&running)).collect();
        let last: Vec<&[u32]> = running.iter().map(|beam| &beam.tokens[length - 1..]).collect();
        logits = reader.read(&last).map_err(GenerateError::Device)?;
    }
    Ok(best)
}

/// The `wanted` likeliest texts with another token, the likeliest first.
fn extensions(beams: &[Beam], logits: &[Vec<f32>], row: &Row, wanted: usize) -> Result<Vec<Extension>, GenerateError> {
    let mut all = Vec::new();
    for (beam, logits) in logits.iter().enumerate() {
        let logits = row.allowed(logits);
        let highest = f64::from(highest_logit(logits)?.1);
        let total: f64 = logits.iter().map(|&logit| (f64::from(logit) - highest).exp()).sum();
        let before = beams[beam].sum - highest - total.ln();
        let extension = |(token, &logit): (u32, &f32)| Extension { beam, token, sum: before + f64::from(logit) };
        let mut own: Vec<Extension> = (0..).zip(logits).map(extension).collect();
        if wanted < own.len() {
            own.select_nth_unstable_by(wanted - 1, Extension::order);
            own.truncate(wanted);
        }
        all.extend(own);
    }
    all.sort_unstable_by(Extension::order);
    all.truncate(wanted);
    Ok(all)
}
