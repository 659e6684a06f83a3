//! How likely each token of a text is to a model.

use burn::tensor::{Int, Tensor, TensorData};
use kiln_models::{LanguageModel, State};

/// How many tokens are read in one pass: it bounds the memory of their logits.
const LONGEST_READ: usize = 128;

/// What a model thinks of one token of a text, having read those before it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenScore {
    /// The token.
    pub token: u32,
    /// ln of its probability; nothing for the first token, which nothing comes before.
    pub log_probability: Option<f64>,
    /// How many tokens are likelier, plus one.
    pub rank: Option<usize>,
    /// The likeliest tokens in its place with ln of their probabilities, the likeliest first.
    pub likeliest: Vec<(u32, f64)>,
}

/// Why a text cannot be scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// The tokenizer knows tokens that the model does not.
    #[error("the text holds token {token}, and the model knows {vocabulary} tokens")]
    UnknownToken {
        /// The token.
        token: u32,
        /// Tokens that the model knows.
        vocabulary: usize,
    },
    /// The device failed.
    #[error("the device failed while it computed the logits: {0}")]
    Device(String),
}

/// Scores `tokens`, of which the first `start` are only read: they stand before the text. Of each place the `top`
/// likeliest tokens are given, too; tokens from `vocabulary` on are padding of the model and have no probability.
///
/// A transformer reads a text that is longer than its context in windows that overlap by half, so that a token is
/// judged after at least half a context of others.
///
/// # Errors
/// A token that the model doesn't know, or the device fails.
pub fn score(
    model: &LanguageModel,
    vocabulary: usize,
    tokens: &[u32],
    start: usize,
    top: usize,
) -> Result<Vec<TokenScore>, ScoreError> {
    check(model, tokens)?;
    let first = |&token: &u32| TokenScore { token, log_probability: None, rank: None, likeliest: Vec::new() };
    let mut scores: Vec<TokenScore> = tokens.iter().take(1).map(first).collect();
    let mut reading = Reading::new(model);
    while scores.len() < tokens.len() {
        // The token behind the last one that was read is judged by its logits.
        let logits = reading.next(tokens, scores.len())?;
        for logits in logits.chunks_exact(model.vocabulary_size()) {
            let Some(&token) = tokens.get(scores.len()) else { break };
            scores.push(judge(token, logits.get(..vocabulary).unwrap_or(logits), top));
        }
    }
    scores.drain(..start.min(scores.len()));
    Ok(scores)
}

/// Scores texts that begin alike, of which the beginning is read once.
pub(crate) struct ChoiceReader<'a> {
    beginning: Reading<'a>,
    vocabulary: usize,
}

impl<'a> ChoiceReader<'a> {
    /// Reads the beginning. Tokens from `vocabulary` on are padding of the model and have no probability.
    pub(crate) fn new(model: &'a LanguageModel, vocabulary: usize, beginning: &[u32]) -> Result<Self, ScoreError> {
        check(model, beginning)?;
        let mut reading = Reading::new(model);
        reading.skip(beginning, beginning.len());
        Ok(Self { beginning: reading, vocabulary })
    }

    /// ln of the probability of each of `choices`, none of which is empty, after `context`, which begins with the
    /// beginning, has a token more at least, and fits into what the model reads with all but the last token of each
    /// choice.
    pub(crate) fn log_probabilities(&self, context: &[u32], choices: &[Vec<u32>]) -> Result<Vec<f64>, ScoreError> {
        let Some((last, before)) = context.split_last() else { return Ok(Vec::new()) };
        check(self.beginning.model, context)?;
        choices.iter().try_for_each(|choice| check(self.beginning.model, choice))?;
        let mut reading = self.beginning.clone();
        reading.skip(context, before.len());
        // Side by side, each behind a copy of what was read; the last token of a choice is only judged.
        let row = |choice: &Vec<u32>| [&[*last], &choice[..choice.len() - 1]].concat();
        let rows: Vec<Vec<u32>> = choices.iter().map(row).collect();
        reading.state = reading.state.take_rows(&vec![0; rows.len()]);
        let mut sums = vec![0.0; rows.len()];
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let step = (LONGEST_READ / rows.len().max(1)).max(1);
        for start in (0..longest).step_by(step) {
            let part = |tokens: &Vec<u32>| start.min(tokens.len())..(start + step).min(tokens.len());
            let parts: Vec<&[u32]> = rows.iter().map(|row| &row[part(row)]).collect();
            let logits = reading.read_rows(&parts)?;
            for ((sum, choice), logits) in sums.iter_mut().zip(choices).zip(logits) {
                let judged = choice[part(choice)].iter().zip(logits.chunks_exact(reading.model.vocabulary_size()));
                let scores =
                    judged.map(|(&token, logits)| judge(token, &logits[..self.vocabulary.min(logits.len())], 0));
                *sum += scores.filter_map(|score| score.log_probability).sum::<f64>();
            }
        }
        Ok(sums)
    }
}

fn check(model: &LanguageModel, tokens: &[u32]) -> Result<(), ScoreError> {
    let vocabulary = model.vocabulary_size();
    match tokens.iter().find(|&&token| token as usize >= vocabulary) {
        Some(&token) => Err(ScoreError::UnknownToken { token, vocabulary }),
        None => Ok(()),
    }
}

/// A text being read in windows.
#[derive(Clone)]
struct Reading<'a> {
    model: &'a LanguageModel,
    state: State,
    /// The first token in the window, and the one behind its last.
    first: usize,
    end: usize,
}

impl<'a> Reading<'a> {
    fn new(model: &'a LanguageModel) -> Self {
        Self { model, state: model.initial_state(1), first: 0, end: 0 }
    }

    /// Reads on up to `end`, which is inside the first window.
    fn skip(&mut self, tokens: &[u32], end: usize) {
        while self.end < end {
            let part = &tokens[self.end..end.min(self.end + LONGEST_READ)];
            let _ = self.read(&[part]);
            self.end += part.len();
        }
    }

    /// The logits after each token of `parts`, one a row and of any length, `[n, V]` each.
    fn read_rows(&mut self, parts: &[&[u32]]) -> Result<Vec<Vec<f32>>, ScoreError> {
        let width = self.model.vocabulary_size() * parts.iter().map(|part| part.len()).max().unwrap_or(0);
        let logits = to_host(self.read(parts))?;
        let rows = logits.chunks_exact(width.max(1)).zip(parts);
        Ok(rows.map(|(row, part)| row[..self.model.vocabulary_size() * part.len()].to_vec()).collect())
    }

    /// The logits after each token of `parts`, one a row, `[rows, n, V]`; behind shorter parts they mean nothing.
    fn read(&mut self, parts: &[&[u32]]) -> Tensor<3> {
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        let steps = lengths.iter().copied().max().unwrap_or(0);
        let padded = |part: &&[u32]| {
            let padding = std::iter::repeat_n(0, steps - part.len());
            part.iter().map(|&token| token as i32).chain(padding).collect::<Vec<i32>>()
        };
        let tokens = TensorData::new(parts.iter().flat_map(padded).collect(), [parts.len(), steps]);
        let tokens = Tensor::<2, Int>::from_data(tokens, &self.model.device());
        let (logits, state) = self.model.forward_ragged(tokens, &lengths, self.state.clone());
        self.state = state;
        logits
    }

    /// The logits after the tokens from `judged - 1` on, as many as one pass gives, `[n, V]`.
    fn next(&mut self, tokens: &[u32], judged: usize) -> Result<Vec<f32>, ScoreError> {
        let context = self.model.longest_window().unwrap_or(usize::MAX);
        if self.end - self.first >= context {
            self.first = judged - (context / 2).max(1);
            self.end = self.first;
            self.state = self.model.initial_state(1);
        }
        loop {
            let room = (context - (self.end - self.first)).min(LONGEST_READ);
            let part = &tokens[self.end..tokens.len().min(self.end + room)];
            let known = (judged - 1).saturating_sub(self.end);
            let logits = self.read(&[part]);
            self.end += part.len();
            if known < part.len() {
                let wanted = logits.narrow(1, known, part.len() - known);
                return to_host(wanted);
            }
        }
    }
}

fn to_host(logits: Tensor<3>) -> Result<Vec<f32>, ScoreError> {
    let data = logits.try_into_data().map_err(|error| ScoreError::Device(error.to_string()))?;
    data.try_into_vec_as::<f32>().map_err(|error| ScoreError::Device(error.to_string()))
}

/// The score of a token by the logits in its place.
fn judge(token: u32, logits: &[f32], top: usize) -> TokenScore {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    let log_probability = |logit: f32| f64::from(logit - largest) - total.ln();
    let own = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let value = |token: &u32| logits[*token as usize];
    let top = top.min(order.len());
    if top > 0 && top < order.len() {
        order.select_nth_unstable_by(top - 1, |left, right| value(right).total_cmp(&value(left)));
    }
    order.truncate(top);
    order.sort_by(|left, right| value(right).total_cmp(&value(left)).then(left.cmp(right)));
    TokenScore {
        token,
        log_probability: Some(log_probability(own)),
        rank: Some(1 + logits.iter().filter(|logit| **logit > own).count()),
        likeliest: order.into_iter().map(|token| (token, log_probability(value(&token)))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use kiln_models::{Draws, LstmConfig, ModelConfig, TransformerConfig};

    use super::*;

    fn models() -> [LanguageModel; 2] {
        let lstm = ModelConfig::Lstm(LstmConfig { layers: 1, hidden: 12, ..LstmConfig::default() });
        let transformer =
            ModelConfig::Transformer(TransformerConfig { layers: 2, heads: 2, width: 16, ..Default::default() });
        [lstm, transformer].map(|config| config.init(11, 400, 5, &Device::flex()))
    }

    fn tokens(count: usize) -> Vec<u32> {
        (0..count as u32).map(|index| (index * index + index / 3) % 11).collect()
    }

    #[test]
    fn scores_are_the_losses_of_the_model_whatever_the_pieces_it_reads() {
        for model in models() {
            let tokens = tokens(400);
            let row = |tokens: &[u32]| {
                let tokens: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
                Tensor::<1, Int>::from_data(tokens.as_slice(), &Device::flex()).unsqueeze::<2>()
            };
            let (losses, _) = model.losses(row(&tokens[..399]), row(&tokens[1..]), None, &mut Draws::none());
            let losses: Vec<f64> = losses.into_data().iter().collect();
            let scores = score(&model, 11, &tokens, 0, 0).unwrap();
            assert_eq!((scores.len(), scores[0].log_probability, scores[0].rank), (400, None, None));
            for (place, (score, loss)) in scores[1..].iter().zip(&losses).enumerate() {
                let found = -score.log_probability.unwrap();
                assert!((found - loss).abs() < 1e-5, "{place}: {found}, not {loss}");
            }
        }
    }

    #[test]
    fn ranks_and_the_likeliest_fit_the_probabilities() {
        let [model, _] = models();
        let all = score(&model, 11, &tokens(20), 1, 11).unwrap();
        assert_eq!(all.len(), 19);
        for score in all {
            assert_eq!(score.likeliest.len(), 11);
            assert!(score.likeliest.is_sorted_by(|left, right| left.1 >= right.1));
            let total: f64 = score.likeliest.iter().map(|(_, log)| log.exp()).sum();
            assert!((total - 1.0).abs() < 1e-6, "{total}");
            let place = score.likeliest.iter().position(|(token, _)| *token == score.token).unwrap();
            assert_eq!(score.rank, Some(place + 1));
            assert_eq!(score.log_probability, Some(score.likeliest[place].1));
        }
        let few = score(&model, 5, &tokens(20).iter().map(|token| token % 5).collect::<Vec<_>>(), 0, 9).unwrap();
        assert!(few[1..].iter().all(|score| score.likeliest.len() == 5), "padding has no probability");
    }

    #[test]
    fn a_text_beyond_the_context_is_judged_after_at_least_half_of_one() {
        let config =
            ModelConfig::Transformer(TransformerConfig { layers: 1, heads: 2, width: 16, ..Default::default() });
        let model = config.init(11, 8, 5, &Device::flex());
        let tokens = tokens(21);
        let scores = score(&model, 11, &tokens, 0, 0).unwrap();
        assert_eq!(scores.len(), 21);
        // Token 8 is judged after the eight before it, the next three after those from 5 on, and so forth.
        for (place, first) in [(8, 0), (9, 5), (12, 5), (13, 5), (14, 10)] {
            let alone = score(&model, 11, &tokens[first..=place], 0, 0).unwrap();
            let (found, expected) =
                (scores[place].log_probability.unwrap(), alone.last().unwrap().log_probability.unwrap());
            assert!((found - expected).abs() < 1e-5, "{place}: {found}, not {expected}");
        }
        assert!(matches!(score(&model, 11, &[11], 0, 0), Err(ScoreError::UnknownToken { token: 11, .. })));
    }
}
