//! From logits to scores: what is said of single tokens, before the temperature.

use super::config::{Dry, SamplerConfig};
use super::{History, SampleError};

/// The highest logit and its token, the lowest number among equals, in one pass.
pub(crate) fn highest_logit(logits: &[f32]) -> Result<(u32, f32), SampleError> {
    // Small enough to find the place of a maximum in, large enough that it is rarely looked for.
    const BLOCK: usize = 1024;
    if logits.is_empty() {
        return Err(SampleError::Empty);
    }
    let mut best = (0, f32::NEG_INFINITY);
    for (block, values) in logits.chunks(BLOCK).enumerate() {
        let (highest, is_finite) = highest_of_block(values);
        let place = |wanted: &dyn Fn(f32) -> bool| values.iter().position(|&value| wanted(value)).unwrap_or(0);
        if !is_finite {
            let within = place(&|value| !value.is_finite());
            return Err(SampleError::NotFinite { token: block * BLOCK + within, value: values[within] });
        }
        if highest > best.1 {
            best = (block * BLOCK + place(&|value| value == highest), highest);
        }
    }
    Ok((best.0 as u32, best.1))
}

/// The highest value, and whether all are finite: by lanes, which vector instructions do side by side.
fn highest_of_block(values: &[f32]) -> (f32, bool) {
    const LANES: usize = 16;
    let (mut highest, mut is_finite) = ([f32::NEG_INFINITY; LANES], [true; LANES]);
    let (lanes, rest) = values.as_chunks::<LANES>();
    let mut look = |lane: usize, value: f32| {
        highest[lane] = if value > highest[lane] { value } else { highest[lane] };
        is_finite[lane] &= value.is_finite();
    };
    for values in lanes {
        for (lane, &value) in values.iter().enumerate() {
            look(lane, value);
        }
    }
    rest.iter().for_each(|&value| look(0, value));
    let highest = highest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    (highest, is_finite.into_iter().all(|is_finite| is_finite))
}

impl SamplerConfig {
    /// Whether scores are something else than the logits.
    pub(super) fn changes_logits(&self) -> bool {
        !self.logit_bias.is_empty()
            || self.repetition_penalty.is_some()
            || self.frequency_penalty.is_some()
            || self.presence_penalty.is_some()
            || self.dry.is_some()
    }

    /// The logits after bias and penalties, in double precision, where none of them overflows. The logits are finite.
    pub(super) fn scores(&self, logits: &[f32], history: &History) -> Result<Vec<f64>, SampleError> {
        let mut scores: Vec<f64> = logits.iter().copied().map(f64::from).collect();
        let vocabulary = scores.len();
        for (&token, &bias) in &self.logit_bias {
            let score = scores.get_mut(token as usize).ok_or(SampleError::UnknownBias { token, vocabulary })?;
            *score += f64::from(bias);
        }
        let [repetition, frequency, presence] =
            [self.repetition_penalty, self.frequency_penalty, self.presence_penalty]
                .map(|penalty| penalty.map(f64::from));
        for (token, written) in history.occurred() {
            let score = scores.get_mut(token as usize).ok_or(SampleError::UnknownToken { token, vocabulary })?;
            if let Some(penalty) = repetition {
                *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
            }
            if written > 0 {
                *score -= f64::from(written) * frequency.unwrap_or(0.0) + presence.unwrap_or(0.0);
            }
        }
        if let Some(dry) = &self.dry {
            dry.penalise(&mut scores, history.tokens());
        }
        Ok(scores)
    }
}

impl Dry {
    /// Lowers the scores of the tokens that would continue a repeated sequence.
    fn penalise(&self, scores: &mut [f64], text: &[u32]) {
        // A sequence is counted back to the last breaker at most.
        let unbroken = text.iter().rev().position(|token| self.breakers.contains(token)).unwrap_or(text.len());
        if unbroken < self.allowed_length {
            return;
        }
        let mut longest = vec![0; scores.len()];
        for (end, length) in repeats(text) {
            // The token behind an earlier copy of the text's end.
            let next = &mut longest[text[end] as usize];
            *next = length.min(unbroken).max(*next);
        }
        let (multiplier, base) = (f64::from(self.multiplier), f64::from(self.base));
        // The power stays within single precision, as in `llama.cpp`.
        let highest_power = if base > 1.000_001 { (88.722_839_1 / base.ln()).floor() } else { f64::MAX };
        for (score, length) in scores.iter_mut().zip(longest) {
            if length >= self.allowed_length {
                let power = ((length - self.allowed_length) as f64).min(highest_power);
                *score -= multiplier * base.powf(power);
            }
        }
    }
}

/// For every earlier place `end` of the text, how many tokens before it equal the last ones of the text: the
/// Z-algorithm from the back, in time linear in the text.
fn repeats(text: &[u32]) -> impl Iterator<Item = (usize, usize)> {
    let back = |place: usize| text[text.len() - 1 - place];
    let mut lengths = vec![0; text.len()];
    // The copy that reaches furthest: where it begins and ends.
    let (mut left, mut right) = (0, 0);
    for place in 1..text.len() {
        let mut length = if place < right { lengths[place - left].min(right - place) } else { 0 };
        while place + length < text.len() && back(length) == back(place + length) {
            length += 1;
        }
        lengths[place] = length;
        if place + length > right {
            (left, right) = (place, place + length);
        }
    }
    let count = text.len();
    lengths.into_iter().enumerate().skip(1).map(move |(place, length)| (count - place, length))
}
