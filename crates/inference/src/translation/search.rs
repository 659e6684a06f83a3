//! The likeliest targets of all sources at the same time, by a search with several beginnings of each side by side.

use std::cmp::Ordering;

use crate::generate::Beams;

use super::{Translation, TranslationError, Translator, log_probabilities};

/// A beginning of a target.
#[derive(Debug, Clone)]
struct Beam {
    tokens: Vec<u32>,
    /// ln of its probability.
    sum: f64,
    /// Its row in the state.
    row: usize,
}

/// What is known of the target of one source.
struct Search {
    running: Vec<Beam>,
    /// The best so far that have ended, the best first.
    ended: Vec<Translation>,
}

/// The `best` targets of each source, as many as that at most.
pub(super) fn translate(
    translator: &Translator<'_>,
    sources: &[Vec<u32>],
    longest: usize,
    beams: Beams,
    best: usize,
) -> Result<Vec<Vec<Translation>>, TranslationError> {
    let Beams { count, length_penalty } = beams;
    if count == 0 || !length_penalty.is_finite() {
        return Err(TranslationError::Beams { count, length_penalty });
    }
    let mut state = translator.read(sources)?;
    let mut searches: Vec<Search> = (0..sources.len())
        .map(|row| Search { running: vec![Beam { tokens: Vec::new(), sum: 0.0, row }], ended: Vec::new() })
        .collect();
    for length in 1..=longest {
        let last = searches.iter().flat_map(|search| &search.running);
        let last: Vec<u32> = last.map(|beam| beam.tokens.last().copied().unwrap_or(translator.end)).collect();
        let (logits, after) = translator.step(&last, state)?;
        let mut rows = Vec::new();
        for search in &mut searches {
            search.extend(&logits, translator.end, length, count, length_penalty);
            if length == longest {
                search.end_all(length, count, length_penalty);
            } else if search.is_settled(length, longest, count, length_penalty) {
                search.running.clear();
            }
            for beam in &mut search.running {
                rows.push(beam.row);
                beam.row = rows.len() - 1;
            }
        }
        if rows.is_empty() {
            break;
        }
        state = after.take_rows(&rows);
    }
    let kept = |search: Search| search.ended.into_iter().take(best.clamp(1, count)).collect();
    Ok(searches.into_iter().map(kept).collect())
}

fn score(sum: f64, length: usize, penalty: f64) -> f64 {
    sum / (length as f64).powf(penalty)
}

impl Search {
    /// Every beginning with every token: as many as there are beams go on, and those that end are kept.
    fn extend(&mut self, logits: &[Vec<f32>], end: u32, length: usize, count: usize, penalty: f64) {
        let mut all: Vec<(f64, usize, u32)> = Vec::new();
        for (place, beam) in self.running.iter().enumerate() {
            let logarithms = log_probabilities(&logits[beam.row]);
            all.push((beam.sum + logarithms[end as usize], place, end));
            let others = (0..).zip(logarithms).filter(|(token, _)| *token != end);
            let mut others: Vec<(f64, u32)> = others.map(|(token, log)| (beam.sum + log, token)).collect();
            // No more continuations of one beginning are ever kept.
            let wanted = count.min(others.len());
            if wanted > 0 {
                let likelier = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
                others.select_nth_unstable_by(wanted - 1, likelier);
            }
            all.extend(others[..wanted].iter().map(|(sum, token)| (*sum, place, *token)));
        }
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut running = Vec::new();
        for (rank, (sum, place, token)) in all.into_iter().enumerate() {
            let beam = &self.running[place];
            // An end counts where it is among the likeliest, so that one beam takes the likeliest token each time.
            if token == end && rank < count {
                let tokens = beam.tokens.clone();
                self.keep(Translation { tokens, score: score(sum, length, penalty), is_whole: true }, count);
            } else if token != end && running.len() < count {
                running.push(Beam { tokens: [&beam.tokens[..], &[token]].concat(), sum, row: beam.row });
            }
        }
        self.running = running;
    }

    /// Keeps what has ended, if it is among the best.
    fn keep(&mut self, translation: Translation, count: usize) {
        let worse = |other: &Translation| other.score.total_cmp(&translation.score) == Ordering::Less;
        let place = self.ended.iter().position(worse).unwrap_or(self.ended.len());
        self.ended.insert(place, translation);
        self.ended.truncate(count);
    }

    /// Nothing more fits.
    fn end_all(&mut self, length: usize, count: usize, penalty: f64) {
        for beam in std::mem::take(&mut self.running) {
            let score = score(beam.sum, length, penalty);
            self.keep(Translation { tokens: beam.tokens, score, is_whole: false }, count);
        }
    }

    /// Whether no beginning can still become better than all that is kept: its probability only falls, and the penalty
    /// is kindest to it at the longest if it favours length, and at the next token if not.
    fn is_settled(&self, length: usize, longest: usize, count: usize, penalty: f64) -> bool {
        let Some(worst) = self.ended.get(count - 1) else { return false };
        let kindest = if penalty > 0.0 { longest } else { length + 1 };
        self.running.iter().all(|beam| score(beam.sum, kindest, penalty) <= worst.score)
    }
}
