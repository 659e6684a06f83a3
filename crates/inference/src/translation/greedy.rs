//! Token by token, without looking back.

use crate::sampler::{History, InvalidSampler, SampleError, Sampler, SamplerConfig, highest_logit};

use super::{Translation, TranslationError, Translator, log_probabilities};

/// What chooses the next token of a row.
pub(super) trait Choice {
    /// Of the target of source `row`.
    fn choose(&mut self, row: usize, logits: &[f32]) -> Result<u32, SampleError>;
}

/// The likeliest.
pub(super) struct Likeliest;

impl Choice for Likeliest {
    fn choose(&mut self, _: usize, logits: &[f32]) -> Result<u32, SampleError> {
        highest_logit(logits).map(|(token, _)| token)
    }
}

/// Drawn, for each row by itself.
pub(super) struct Drawn(Vec<(Sampler, History)>);

impl Drawn {
    pub(super) fn new(config: &SamplerConfig, rows: usize) -> Result<Self, TranslationError> {
        let of_row = |row: u64| {
            let config = SamplerConfig { seed: config.seed.wrapping_add(row), ..config.clone() };
            Ok((Sampler::new(config)?, History::default()))
        };
        (0..rows as u64).map(of_row).collect::<Result<_, InvalidSampler>>().map(Self).map_err(Into::into)
    }
}

impl Choice for Drawn {
    fn choose(&mut self, row: usize, logits: &[f32]) -> Result<u32, SampleError> {
        let (sampler, history) = &mut self.0[row];
        let token = sampler.sample(logits, history)?;
        history.write(token);
        Ok(token)
    }
}

/// One target of each source.
pub(super) fn translate(
    translator: &Translator<'_>,
    sources: &[Vec<u32>],
    longest: usize,
    choice: &mut dyn Choice,
) -> Result<Vec<Vec<Translation>>, TranslationError> {
    let mut state = translator.read(sources)?;
    let mut found: Vec<Translation> =
        sources.iter().map(|_| Translation { tokens: Vec::new(), score: 0.0, is_whole: false }).collect();
    // Rows whose targets are not at their end.
    let mut rows: Vec<usize> = (0..sources.len()).collect();
    let mut last = vec![translator.end; sources.len()];
    for _ in 0..longest {
        let (logits, after) = translator.step(&last, state)?;
        let (mut going, mut places) = (Vec::new(), Vec::new());
        last.clear();
        for (place, (&row, logits)) in rows.iter().zip(&logits).enumerate() {
            let translation = &mut found[row];
            let token = choice.choose(row, logits)?;
            translation.score += log_probabilities(logits)[token as usize];
            if token == translator.end {
                translation.is_whole = true;
            } else {
                translation.tokens.push(token);
                going.push(row);
                places.push(place);
                last.push(token);
            }
        }
        if going.is_empty() {
            break;
        }
        state = if going.len() == rows.len() { after } else { after.take_rows(&places) };
        rows = going;
    }
    Ok(found.into_iter().map(|translation| vec![translation]).collect())
}
