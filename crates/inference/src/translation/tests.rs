use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_models::{EncoderDecoderConfig, LanguageModel, ModelConfig};
use serde::Deserialize;

use super::*;
use crate::SamplerConfig;

const VOCABULARY: usize = 5;
const END: u32 = 0;

/// A model whose next tokens are far from certain and depend on the source.
fn model() -> LanguageModel {
    let config =
        EncoderDecoderConfig { layers: 1, heads: 2, width: 8, dropout: 0.0, ..EncoderDecoderConfig::default() };
    ModelConfig::EncoderDecoder(config).init(VOCABULARY, 8, 5, &Device::flex())
}

fn translator(model: &LanguageModel) -> Translator<'_> {
    Translator::new(model, VOCABULARY, END).unwrap()
}

fn sources() -> Vec<Vec<u32>> {
    vec![vec![3, 1, 4], vec![2], vec![1, 1, 2, 3, 4]]
}

fn beams(count: usize, length_penalty: f64, best: usize) -> Writing {
    Writing::Beams { beams: Beams { count, length_penalty }, best }
}

/// ln of the probability of a target, with its end where it is whole.
fn log_probability(model: &LanguageModel, source: &[u32], target: &[u32], is_whole: bool) -> f64 {
    let row = |tokens: &[u32]| {
        let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        Tensor::<2, Int>::from_data(TensorData::new(ids, [1, tokens.len()]), &Device::flex())
    };
    let source = [source, &[END]].concat();
    let state = model.encode(row(&source), &[source.len()]).unwrap();
    let inputs = [&[END], target].concat();
    let (logits, _) = model.forward(row(&inputs), Some(state));
    let logits: Vec<f32> = logits.into_data().iter().collect();
    let targets = target.iter().copied().chain(is_whole.then_some(END));
    let rows = logits.chunks(VOCABULARY).zip(targets);
    rows.map(|(logits, token)| log_probabilities(logits)[token as usize]).sum()
}

/// All targets of at most `longest` tokens with their ends, and those that are cut there, with their scores.
fn all_targets(model: &LanguageModel, source: &[u32], longest: usize, penalty: f64) -> Vec<Translation> {
    let (mut found, mut open) = (Vec::new(), vec![Vec::new()]);
    for length in 1..=longest {
        let mut longer = Vec::new();
        for tokens in open {
            let sum = log_probability(model, source, &tokens, true);
            found.push(Translation {
                score: sum / (length as f64).powf(penalty),
                tokens: tokens.clone(),
                is_whole: true,
            });
            longer.extend((1..VOCABULARY as u32).map(|token| [&tokens[..], &[token]].concat()));
        }
        open = longer;
    }
    found.extend(open.into_iter().map(|tokens| {
        let sum = log_probability(model, source, &tokens, false);
        Translation { score: sum / (longest as f64).powf(penalty), tokens, is_whole: false }
    }));
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

#[test]
fn a_search_with_enough_beams_finds_what_trying_all_targets_finds() {
    let model = model();
    for penalty in [0.0, 1.0, -0.5, 2.0] {
        let found = translator(&model).translate(&sources(), 3, &beams(200, penalty, 7)).unwrap();
        for (source, found) in sources().iter().zip(found) {
            let expected = all_targets(&model, source, 3, penalty);
            assert_eq!(found.len(), 7);
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((&found.tokens, found.is_whole), (&expected.tokens, expected.is_whole), "penalty {penalty}");
                assert!((found.score - expected.score).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn one_beam_without_a_penalty_is_the_likeliest_token_each_time() {
    let model = model();
    let greedy = translator(&model).translate(&sources(), 6, &Writing::Greedy).unwrap();
    let searched = translator(&model).translate(&sources(), 6, &beams(1, 0.0, 1)).unwrap();
    for ((source, greedy), searched) in sources().iter().zip(&greedy).zip(&searched) {
        assert_eq!((&greedy[0].tokens, greedy[0].is_whole), (&searched[0].tokens, searched[0].is_whole));
        let expected = log_probability(&model, source, &greedy[0].tokens, greedy[0].is_whole);
        assert!((greedy[0].score - expected).abs() < 1e-5);
    }
}

#[test]
fn a_source_is_translated_in_a_batch_as_it_is_alone() {
    let model = model();
    let drawn = Writing::Drawn(SamplerConfig { temperature: 1.0, seed: 3, ..SamplerConfig::default() });
    for writing in [Writing::Greedy, beams(3, 1.0, 2), drawn] {
        let together = translator(&model).translate(&sources(), 7, &writing).unwrap();
        for (number, source) in sources().into_iter().enumerate() {
            let writing = match &writing {
                Writing::Drawn(config) => Writing::Drawn(SamplerConfig { seed: 3 + number as u64, ..config.clone() }),
                other => other.clone(),
            };
            let alone = translator(&model).translate(&[source], 7, &writing).unwrap();
            let tokens = |found: &[Translation]| found.iter().map(|found| found.tokens.clone()).collect::<Vec<_>>();
            assert_eq!(tokens(&alone[0]), tokens(&together[number]));
        }
    }
}

#[test]
fn what_cannot_be_translated_is_said() {
    let model = model();
    let error = |sources: &[Vec<u32>], writing: &Writing| {
        translator(&model).translate(sources, 7, writing).unwrap_err().to_string()
    };
    assert_eq!(
        error(&[vec![1], vec![1; 8]], &Writing::Greedy),
        "source 2 has 9 tokens with its end, and the model reads at most 8"
    );
    assert!(error(&[vec![1]], &beams(0, 1.0, 1)).starts_with("a search needs one beam at least"));
    assert!(error(&[vec![1]], &beams(1, f64::NAN, 1)).ends_with("not 1 and NaN"));
    let gru = kiln_models::GruConfig { layers: 1, hidden: 8, ..Default::default() };
    let other = ModelConfig::Gru(gru).init(VOCABULARY, 8, 1, &Device::flex());
    assert!(matches!(Translator::new(&other, VOCABULARY, END), Err(TranslationError::NoEncoder)));
}

#[derive(Deserialize)]
struct Corpus {
    name: String,
    pairs: Vec<[String; 2]>,
    bleu: String,
    chrf: String,
}

#[derive(Deserialize)]
struct Scores {
    corpora: Vec<Corpus>,
}

/// By `scripts/reference/translation_scores.py`.
#[test]
fn bleu_and_chrf_are_sacrebleus_to_its_last_printed_digit() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/translation_scores.json");
    let scores: Scores = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(scores.corpora.len() > 5);
    for Corpus { name, pairs, bleu, chrf } in scores.corpora {
        let pairs = || pairs.iter().map(|[written, reference]| (written.as_str(), reference.as_str()));
        assert_eq!(format!("{:.2}", corpus_bleu(pairs())), bleu, "BLEU of {name}");
        assert_eq!(format!("{:.2}", corpus_chrf(pairs())), chrf, "chrF of {name}");
    }
}
