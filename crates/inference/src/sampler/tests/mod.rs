mod reference;

use proptest::prelude::*;

use super::{Candidate, History, SampleError, Sampler, SamplerConfig};

/// Temperature 1 and nothing else: the softmax of the logits.
fn plain() -> SamplerConfig {
    SamplerConfig { temperature: 1.0, ..SamplerConfig::default() }
}

/// Logits whose softmax has these probabilities.
fn logits(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|probability| probability.ln()).collect()
}

fn distribution(config: SamplerConfig, logits: &[f32], history: &[u32]) -> Vec<Candidate> {
    Sampler::new(config).unwrap().distribution(logits, &History::new(history)).unwrap()
}

#[track_caller]
fn assert_distribution(config: SamplerConfig, logits: &[f32], history: &[u32], expected: &[(u32, f64)]) {
    let found = distribution(config, logits, history);
    let tokens: Vec<_> = found.iter().map(|candidate| candidate.token).collect();
    assert_eq!(tokens, expected.iter().map(|(token, _)| *token).collect::<Vec<_>>());
    for (candidate, (token, probability)) in found.iter().zip(expected) {
        assert!((candidate.probability - probability).abs() < 1e-6, "token {token}: {candidate:?}, not {probability}");
    }
}

#[test]
fn temperature_one_gives_the_softmax() {
    assert_distribution(plain(), &logits(&[0.5, 0.25, 0.25]), &[], &[(0, 0.5), (1, 0.25), (2, 0.25)]);
}

/// With T = 1/2 the probabilities are squared and shared out anew: 16, 4, 4, 1 of 25 from 4, 2, 2, 1 of 9.
#[test]
fn temperature_raises_the_probabilities_to_its_inverse() {
    let config = SamplerConfig { temperature: 0.5, ..plain() };
    let four = logits(&[4.0 / 9.0, 2.0 / 9.0, 2.0 / 9.0, 1.0 / 9.0]);
    assert_distribution(config, &four, &[], &[(0, 0.64), (1, 0.16), (2, 0.16), (3, 0.04)]);
}

#[test]
fn top_k_keeps_exactly_k_and_the_lowest_numbers_among_equals() {
    let config = SamplerConfig { top_k: Some(2), ..plain() };
    assert_distribution(config, &[1.0, 3.0, 3.0, 3.0, 2.0], &[], &[(1, 0.5), (2, 0.5)]);
    for count in 1..=7 {
        let config = SamplerConfig { top_k: Some(count), ..plain() };
        assert_eq!(distribution(config, &[0.0, 1.0, 0.5, 1.0, -3.0], &[]).len(), count.min(5));
    }
}

#[test]
fn top_p_keeps_the_smallest_set_that_reaches_it() {
    let four = logits(&[0.1, 0.5, 0.3, 0.1]);
    let kept = |share| {
        let candidates = distribution(SamplerConfig { top_p: Some(share), ..plain() }, &four, &[]);
        candidates.into_iter().map(|candidate| candidate.token).collect::<Vec<_>>()
    };
    assert_eq!(kept(1e-9), [1]);
    assert_eq!(kept(0.5), [1]);
    assert_eq!(kept(0.51), [1, 2]);
    assert_eq!(kept(0.8), [1, 2]);
    assert_eq!(kept(0.81), [0, 1, 2]);
    assert_eq!(kept(0.91), [0, 1, 2, 3]);
    assert_eq!(kept(1.0), [0, 1, 2, 3]);
    assert_distribution(SamplerConfig { top_p: Some(0.7), ..plain() }, &four, &[], &[(1, 0.625), (2, 0.375)]);
}

#[test]
fn min_p_keeps_what_is_near_enough_to_the_likeliest() {
    let four = logits(&[0.5, 0.25, 0.2, 0.05]);
    let keep = |share, expected: &[(u32, f64)]| {
        assert_distribution(SamplerConfig { min_p: Some(share), ..plain() }, &four, &[], expected);
    };
    keep(0.39, &[(0, 0.5 / 0.95), (1, 0.25 / 0.95), (2, 0.2 / 0.95)]);
    keep(0.41, &[(0, 2.0 / 3.0), (1, 1.0 / 3.0)]);
    keep(1.0, &[(0, 1.0)]);
}

/// Top-k leaves 4, 3 and 2 of 9, of which the first two reach 0.75 (7/9 = 0.78) though they have 0.7 of the whole;
/// min-p 0.8 then removes the second, which has 3/4 of the likeliest.
#[test]
fn the_filters_work_one_after_the_other() {
    let five = logits(&[0.4, 0.3, 0.2, 0.06, 0.04]);
    let both = SamplerConfig { top_k: Some(3), top_p: Some(0.75), ..plain() };
    assert_distribution(both.clone(), &five, &[], &[(0, 4.0 / 7.0), (1, 3.0 / 7.0)]);
    let share_alone = SamplerConfig { top_p: Some(0.75), ..plain() };
    assert_eq!(distribution(share_alone, &five, &[]).len(), 3);
    assert_distribution(SamplerConfig { min_p: Some(0.8), ..both }, &five, &[], &[(0, 1.0)]);
}

/// The filters see the probabilities after the temperature: 0.6, 0.4 become 9/13, 4/13 at T = 1/2.
#[test]
fn the_temperature_comes_before_the_filters() {
    let two = logits(&[0.6, 0.4]);
    let config = SamplerConfig { top_p: Some(0.65), ..plain() };
    assert_eq!(distribution(config.clone(), &two, &[]).len(), 2);
    assert_eq!(distribution(SamplerConfig { temperature: 0.5, ..config }, &two, &[]).len(), 1);
}

/// Divided where positive, multiplied where negative, once for each token however often it came.
#[test]
fn the_penalty_follows_the_sign_of_the_logit_and_counts_a_token_once() {
    let config = SamplerConfig { repetition_penalty: Some(2.0), ..plain() };
    let e = |power: f64| power.exp();
    let total = e(1.0) + e(-2.0) + e(0.0) + e(1.0);
    assert_distribution(
        config,
        &[2.0, -1.0, 0.0, 1.0],
        &[0, 1, 0, 2, 0],
        &[(0, e(1.0) / total), (1, e(-2.0) / total), (2, e(0.0) / total), (3, e(1.0) / total)],
    );
}

#[test]
fn the_penalty_also_moves_the_greedy_choice() {
    let config = SamplerConfig { repetition_penalty: Some(1.5), ..SamplerConfig::greedy() };
    let mut sampler = Sampler::new(config).unwrap();
    assert_eq!(sampler.sample(&[3.0, 2.5, 1.0], &History::default()), Ok(0));
    assert_eq!(sampler.sample(&[3.0, 2.5, 1.0], &History::new(&[0])), Ok(1));
}

#[test]
fn greedy_takes_the_likeliest_and_the_lowest_number_among_equals() {
    let mut sampler = Sampler::new(SamplerConfig::greedy()).unwrap();
    assert_eq!(sampler.sample(&[0.0, 5.0, -1.0, 5.0], &History::default()), Ok(1));
    assert_eq!(sampler.sample(&[-0.0, 0.0], &History::default()), Ok(0));
    assert_eq!(sampler.sample(&[f32::MIN], &History::default()), Ok(0));
    let candidates = sampler.distribution(&[0.0, 5.0], &History::default()).unwrap();
    assert_eq!(candidates, [Candidate { token: 1, probability: 1.0 }]);
}

/// The words of a ChaCha12 stream with the key 7, from an implementation in Python after RFC 8439 with 12 rounds.
#[test]
fn the_draws_are_those_of_the_stream_of_the_seed() {
    let mut sampler = Sampler::new(SamplerConfig { seed: 7, ..plain() }).unwrap();
    let drawn: Vec<_> = (0..20).map(|_| sampler.sample(&[0.0; 10], &History::default()).unwrap()).collect();
    assert_eq!(drawn, [8, 9, 0, 5, 6, 6, 5, 7, 6, 5, 4, 0, 9, 4, 0, 8, 9, 9, 0, 6]);
}

#[test]
fn the_same_seed_draws_the_same_and_another_seed_draws_otherwise() {
    let draw = |seed| {
        let mut sampler = Sampler::new(SamplerConfig { seed, ..plain() }).unwrap();
        (0..100).map(|_| sampler.sample(&[0.1, 0.2, 0.3, 0.0], &History::default()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_ne!(draw(1), draw(1 << 40));
}

/// A filter that leaves one token still takes its word of the stream, so that later draws do not depend on it.
#[test]
fn every_draw_takes_one_word() {
    let mut free = Sampler::new(plain()).unwrap();
    let mut forced = free.clone();
    free.sample(&[0.0; 10], &History::default()).unwrap();
    forced.sample(&[0.0, 1000.0], &History::default()).unwrap();
    let rest = |mut sampler: Sampler| {
        (0..20).map(|_| sampler.sample(&[0.0; 10], &History::default()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(rest(free), rest(forced));
}

/// Pearson's statistic over 100 000 draws against the hand-worked probabilities, at a level of 0.001.
#[test]
fn the_frequencies_are_the_probabilities() {
    // (settings, logits, expected probabilities, critical value of chi-squared for one degree less than the tokens)
    let four = [4.0 / 9.0, 2.0 / 9.0, 2.0 / 9.0, 1.0 / 9.0];
    let cases = [
        (plain(), vec![0.4, 0.3, 0.15, 0.1, 0.05], vec![0.4, 0.3, 0.15, 0.1, 0.05], 18.467),
        (SamplerConfig { temperature: 0.5, ..plain() }, four.to_vec(), vec![0.64, 0.16, 0.16, 0.04], 16.266),
        (SamplerConfig { top_k: Some(2), ..plain() }, vec![0.2, 0.5, 0.3], vec![0.0, 0.625, 0.375], 10.828),
        (SamplerConfig { top_p: Some(0.8), ..plain() }, vec![0.2, 0.5, 0.3], vec![0.0, 0.625, 0.375], 10.828),
        (SamplerConfig { min_p: Some(0.5), ..plain() }, vec![0.2, 0.5, 0.3], vec![0.0, 0.625, 0.375], 10.828),
    ];
    const DRAWS: u32 = 100_000;
    for (config, given, expected, critical) in cases {
        let given = logits(&given);
        let mut sampler = Sampler::new(SamplerConfig { seed: 11, ..config.clone() }).unwrap();
        let mut counts = vec![0_u32; expected.len()];
        for _ in 0..DRAWS {
            counts[sampler.sample(&given, &History::default()).unwrap() as usize] += 1;
        }
        let mut statistic = 0.0;
        for (count, probability) in counts.iter().zip(&expected) {
            let expected = probability * f64::from(DRAWS);
            if expected == 0.0 {
                assert_eq!(*count, 0, "{config:?} drew a token that it must not draw");
            } else {
                statistic += (f64::from(*count) - expected).powi(2) / expected;
            }
        }
        assert!(statistic < critical, "{config:?}: {counts:?} gives {statistic}, above {critical}");
    }
}

#[test]
fn logits_that_are_not_finite_are_an_error_that_names_the_first() {
    for config in [plain(), SamplerConfig::greedy(), SamplerConfig { top_p: Some(0.9), ..plain() }] {
        let mut sampler = Sampler::new(config).unwrap();
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = sampler.sample(&[0.0, value, f32::NAN], &History::default()).unwrap_err();
            assert!(matches!(error, SampleError::NotFinite { token: 1, .. }), "{error}");
        }
        assert_eq!(sampler.sample(&[], &History::default()), Err(SampleError::Empty));
    }
    let mut penalised = Sampler::new(SamplerConfig { repetition_penalty: Some(1.1), ..plain() }).unwrap();
    let unknown = penalised.sample(&[0.0, 1.0], &History::new(&[2]));
    assert_eq!(unknown, Err(SampleError::UnknownToken { token: 2, vocabulary: 2 }));
}

#[test]
fn impossible_settings_are_refused_all_at_once() {
    let config = SamplerConfig {
        repetition_penalty: Some(0.0),
        temperature: -1.0,
        top_k: Some(0),
        top_p: Some(1.5),
        min_p: Some(f32::NAN),
        ..plain()
    };
    let keys: Vec<_> = config.validate().into_iter().map(|violation| violation.key).collect();
    assert_eq!(keys, ["repetition-penalty", "temperature", "top-k", "top-p", "min-p"]);
    let message = Sampler::new(config).unwrap_err().to_string();
    assert!(message.contains("`top-p` must be greater than 0 and at most 1, is 1.5"), "{message}");
    for temperature in [f32::NAN, f32::INFINITY, -0.1] {
        assert_eq!(SamplerConfig { temperature, ..plain() }.validate().len(), 1);
    }
    assert!(SamplerConfig::default().validate().is_empty());
    assert!(SamplerConfig::greedy().validate().is_empty());
}

#[test]
fn a_token_is_left_however_great_its_penalty() {
    let config = SamplerConfig { repetition_penalty: Some(f32::MAX), temperature: f32::MIN_POSITIVE, ..plain() };
    let allowed = Sampler::new(config).unwrap().distribution(&[-7.2e21], &History::new(&[0])).unwrap();
    assert_eq!(allowed.iter().map(|candidate| candidate.probability).collect::<Vec<_>>(), [1.0]);
}

proptest! {
    /// Whatever the logits and the settings, a token of the vocabulary comes back, and one that the filters left.
    #[test]
    fn valid_settings_and_finite_logits_always_give_a_token(
        logits in proptest::collection::vec(any::<f32>().prop_filter("finite", |value| value.is_finite()), 1..40),
        history in proptest::collection::vec(0_u32..1, 0..3),
        temperature in prop_oneof![Just(0.0_f32), Just(f32::MIN_POSITIVE), Just(f32::MAX), 0.01_f32..3.0],
        top_k in proptest::option::of(1_usize..50),
        top_p in proptest::option::of(f32::MIN_POSITIVE..=1.0),
        min_p in proptest::option::of(f32::MIN_POSITIVE..=1.0),
        repetition_penalty in proptest::option::of(prop_oneof![Just(f32::MIN_POSITIVE), Just(f32::MAX), 0.5_f32..2.0]),
        seed in any::<u64>(),
    ) {
        let config = SamplerConfig { repetition_penalty, temperature, top_k, top_p, min_p, seed, ..plain() };
        let history = History::new(&history);
        let mut sampler = Sampler::new(config).unwrap();
        let allowed = sampler.distribution(&logits, &history).unwrap();
        let total: f64 = allowed.iter().map(|candidate| candidate.probability).sum();
        prop_assert!((total - 1.0).abs() < 1e-9);
        prop_assert!(allowed.len() <= top_k.unwrap_or(usize::MAX));
        for _ in 0..5 {
            let token = sampler.sample(&logits, &history).unwrap();
            prop_assert!(allowed.iter().any(|candidate| candidate.token == token && candidate.probability > 0.0));
        }
    }
}
