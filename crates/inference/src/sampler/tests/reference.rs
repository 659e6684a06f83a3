//! The sampler against other programs' figures, and its quick ways against the plain one.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde::Deserialize;

use super::plain;
use crate::sampler::{Dry, History, Mirostat, Sampler, SamplerConfig, Xtc};

/// Made by `scripts/reference/samplers.py`.
#[derive(Deserialize)]
struct Fixture {
    written: Vec<u32>,
    logits: Vec<Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    source: String,
    settings: SamplerConfig,
    row: usize,
    kept: Vec<(u32, f64)>,
}

#[test]
fn what_is_kept_is_what_transformers_and_llama_cpp_keep() {
    let fixture: Fixture = serde_json::from_str(include_str!("../../../fixtures/samplers.json")).unwrap();
    let mut history = History::default();
    fixture.written.iter().for_each(|&token| history.write(token));
    assert!(fixture.cases.len() > 40);
    for Case { source, settings, row, kept } in fixture.cases {
        let context = format!("{source}, row {row}, {settings:?}");
        let found = Sampler::new(settings).unwrap().distribution(&fixture.logits[row], &history).unwrap();
        let tokens: Vec<u32> = found.iter().map(|candidate| candidate.token).collect();
        assert_eq!(tokens, kept.iter().map(|(token, _)| *token).collect::<Vec<_>>(), "{context}");
        for (candidate, (token, probability)) in found.iter().zip(kept) {
            assert!((candidate.probability - probability).abs() < 2e-6, "{context}, {token}: {candidate:?}");
        }
    }
}

/// Counted by hand: the text ends in 1 2 3, which stands at its beginning before 7; 3 alone stands before 9.
#[test]
fn the_penalty_on_sequences_stops_at_breakers() {
    let text = History::new(&[1, 2, 3, 7, 3, 9, 1, 2, 3]);
    let lowered = |breakers: &[u32], allowed_length| {
        let breakers = BTreeSet::from_iter(breakers.iter().copied());
        let dry = Dry { multiplier: 1.0, base: 2.0, allowed_length, breakers };
        let config = SamplerConfig { dry: Some(dry), ..plain() };
        config.scores(&[0.0; 10], &text).unwrap()
    };
    let only = |changes: &[(usize, f64)]| {
        let mut scores = vec![0.0; 10];
        changes.iter().for_each(|&(token, change)| scores[token] -= change);
        scores
    };
    assert_eq!(lowered(&[], 1), only(&[(7, 4.0), (9, 1.0)]));
    assert_eq!(lowered(&[], 2), only(&[(7, 2.0)]));
    assert_eq!(lowered(&[], 4), only(&[]));
    // Two tokens stand behind the 1, one behind the 2, none behind the 3.
    assert_eq!(lowered(&[1], 1), only(&[(7, 2.0), (9, 1.0)]));
    assert_eq!(lowered(&[2], 1), only(&[(7, 1.0), (9, 1.0)]));
    assert_eq!(lowered(&[3], 1), only(&[]));
}

/// Frequency and presence count what was written; the penalty of "CTRL" counts the prompt, too.
#[test]
fn the_prompt_does_not_count_for_frequency_and_presence() {
    let config = SamplerConfig { frequency_penalty: Some(0.5), presence_penalty: Some(0.25), ..plain() };
    let mut history = History::new(&[0, 1]);
    assert_eq!(config.scores(&[1.0; 3], &history).unwrap(), [1.0, 1.0, 1.0]);
    [1, 2, 2].into_iter().for_each(|token| history.write(token));
    assert_eq!(config.scores(&[1.0; 3], &history).unwrap(), [1.0, 0.25, -0.25]);
}

/// Of 8, 4, 2, 1, 1 sixteenths: at a bound of 2 bits the first two are kept. A drawn half of 8 + 4 has log2(12/8) bits.
#[test]
fn mirostat_moves_its_bound_by_the_error_of_the_surprise() {
    let logits: Vec<f32> = [8.0_f32, 4.0, 2.0, 1.0, 1.0].iter().map(|weight| weight.ln()).collect();
    let mirostat = Mirostat { surprise: 1.0, rate: 0.5 };
    let mut sampler = Sampler::new(SamplerConfig { mirostat: Some(mirostat), ..plain() }).unwrap();
    sampler.bound = 2.0001;
    let kept = sampler.distribution(&logits, &History::default()).unwrap();
    assert_eq!(kept.iter().map(|candidate| candidate.token).collect::<Vec<_>>(), [0, 1]);
    let token = sampler.sample(&logits, &History::default()).unwrap();
    let surprise = (12.0_f64 / [8.0, 4.0][token as usize]).log2();
    assert!((sampler.bound - (2.0001 - 0.5 * (surprise - 1.0))).abs() < 1e-6, "{}", sampler.bound);
}

/// Of 1,000 draws, each by its own word of the second stream; three standard deviations of 300 are 43.5.
#[test]
fn xtc_acts_as_often_as_it_should_and_leaves_the_words_of_the_draws_alone() {
    let logits = [0.0; 2];
    let xtc = |probability| SamplerConfig { xtc: Some(Xtc { probability, threshold: 0.4 }), ..plain() };
    let mut sampler = Sampler::new(xtc(0.3)).unwrap();
    let mut acted = 0;
    for _ in 0..1000 {
        acted += u32::from(sampler.distribution(&logits, &History::default()).unwrap().len() == 1);
        sampler.sample(&logits, &History::default()).unwrap();
    }
    assert!((257..=343).contains(&acted), "{acted}");
    let mut without = Sampler::new(plain()).unwrap();
    for _ in 0..1000 {
        without.sample(&logits, &History::default()).unwrap();
    }
    let rest = |mut sampler: Sampler| {
        sampler.config.xtc = None;
        (0..20).map(|_| sampler.sample(&[0.0; 10], &History::default()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(rest(sampler), rest(without));
}

/// The plain way: every exponential, every sort. What the sampler did before it had quicker ways.
fn plainly(config: &SamplerConfig, logits: &[f32]) -> Vec<(u32, f64)> {
    let scores: Vec<f64> = logits.iter().copied().map(f64::from).collect();
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weigh = |score: f64| ((score - highest) / f64::from(config.temperature)).exp();
    let mut candidates: Vec<(u32, f64)> = (0..).zip(scores.into_iter().map(weigh)).collect();
    let order = |one: &(u32, f64), other: &(u32, f64)| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0));
    if let Some(count) = config.top_k {
        candidates.sort_by(order);
        candidates.truncate(count);
    }
    if let Some(share) = config.top_p.filter(|&share| share < 1.0) {
        candidates.sort_by(order);
        let total: f64 = candidates.iter().map(|candidate| candidate.1).sum();
        let mut reached = 0.0;
        let enough = candidates.iter().position(|candidate| {
            reached += candidate.1;
            (reached / total) as f32 >= share
        });
        candidates.truncate(enough.map_or(candidates.len(), |last| last + 1));
    }
    if let Some(share) = config.min_p {
        candidates.retain(|candidate| candidate.1 as f32 >= share);
    }
    candidates.sort_by_key(|candidate| candidate.0);
    let total: f64 = candidates.iter().map(|candidate| candidate.1).sum();
    candidates.into_iter().map(|(token, weight)| (token, weight / total)).collect()
}

proptest! {
    /// Many equal logits, very small differences, and vocabularies of more than one block.
    #[test]
    fn the_quick_ways_keep_the_same_to_the_last_bit(
        pattern in proptest::collection::vec(
            prop_oneof![-4_i8..4, any::<i8>()].prop_map(f32::from), 1..60),
        scale in prop_oneof![Just(1.0_f32), Just(0.25), Just(1e-30), Just(1e-17), Just(1e5)],
        repeats in prop_oneof![Just(1_usize), Just(40)],
        temperature in prop_oneof![Just(1.0_f32), Just(f32::MAX), Just(f32::MIN_POSITIVE), 0.01_f32..3.0],
        top_k in proptest::option::of(1_usize..90),
        top_p in proptest::option::of(0.01_f32..=1.0),
        min_p in proptest::option::of(0.001_f32..=1.0),
    ) {
        let logits: Vec<f32> = pattern.iter().map(|value| value * scale).collect::<Vec<_>>().repeat(repeats);
        let config = SamplerConfig { temperature, top_k, top_p, min_p, ..SamplerConfig::default() };
        let found = Sampler::new(config.clone()).unwrap().distribution(&logits, &History::default()).unwrap();
        let found: Vec<_> = found.into_iter().map(|candidate| (candidate.token, candidate.probability)).collect();
        prop_assert_eq!(found, plainly(&config, &logits));
        let greedy = Sampler::new(SamplerConfig::greedy()).unwrap().sample(&logits, &History::default()).unwrap();
        let first = (0..logits.len()).fold(0, |best, token| if logits[token] > logits[best] { token } else { best });
        prop_assert_eq!(greedy as usize, first);
    }
}
