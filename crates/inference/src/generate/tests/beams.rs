use kiln_models::saved::{SavedModel, Which};
use serde::Deserialize;

use super::*;
use crate::generate::beams::{Beams, search, search_with};
use crate::generate::request::Piece;

fn tokens(pieces: &[Piece]) -> Vec<u32> {
    pieces.iter().map(|piece| piece.token).collect()
}

/// Logits of three tokens that depend on all of the text.
fn three(text: &[u32]) -> Vec<f32> {
    let hash = |seed: u32| text.iter().fold(seed, |hash, token| (hash ^ (token + 1)).wrapping_mul(0x0100_0193));
    (0..3).map(|token| (hash(0x811c_9dc5 + token) >> 8) as f32 / (1 << 22) as f32).collect()
}

/// Every text of up to `longest` tokens that ends in token 2 or is as long as that, with ln of its probability.
fn all_texts(prompt: &[u32], longest: usize) -> Vec<(Vec<u32>, f64)> {
    let (mut open, mut done) = (vec![(Vec::new(), 0.0)], Vec::new());
    for length in 1..=longest {
        let mut next = Vec::new();
        for (text, sum) in open {
            let logits = three(&[prompt, &text[..]].concat());
            let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            for (token, &logit) in (0..).zip(&logits) {
                let longer = ([&text[..], &[token]].concat(), sum + f64::from(logit) - total.ln());
                if token == 2 || length == longest { &mut done } else { &mut next }.push(longer);
            }
        }
        open = next;
    }
    done
}

#[test]
fn enough_beams_find_what_trying_every_text_finds() {
    let tokenizer = characters("abc");
    for (prompt, penalty) in [("a", 1.0), ("b", 0.0), ("ab", 2.0), ("ba", -1.0), ("bb", 0.5), ("aba", 1.0)] {
        let ids = tokenizer.encode(prompt).unwrap();
        let request = Request { end: vec![2], ..Request::new(prompt, 5) };
        let beams = Beams { count: 243, length_penalty: penalty };
        let found = search_with(&mut Oracle::new(3, three), &tokenizer, &ids, &request, beams).unwrap();
        let score = |(text, sum): &(Vec<u32>, f64)| sum / (text.len() as f64).powf(penalty);
        let texts = all_texts(&ids, 5);
        assert!(texts.len() > 60);
        let best = texts.iter().max_by(|one, other| score(one).total_cmp(&score(other))).unwrap();
        assert_eq!(tokens(&found.pieces), best.0, "{prompt} {penalty}");
        assert!((found.score - score(best)).abs() < 1e-12, "{} {}", found.score, score(best));
    }
}

#[test]
fn one_beam_is_greedy_choice() {
    let tokenizer = bytes();
    for model in models() {
        let request = request("hello", 20, SamplerConfig::greedy());
        let found = search(&model, &tokenizer, &request, Beams { count: 1, length_penalty: 1.0 }).unwrap();
        assert_eq!(tokens(&found.pieces), run(generate(&model, &tokenizer, &request).unwrap()).1);
    }
}

#[test]
fn beams_that_make_no_sense_are_refused() {
    let (model, tokenizer) = (&models()[0], bytes());
    for (count, length_penalty) in [(0, 1.0), (2, f64::NAN), (2, f64::INFINITY)] {
        let found = search(model, &tokenizer, &Request::new("a", 3), Beams { count, length_penalty });
        assert!(matches!(found, Err(GenerateError::Beams { .. })), "{count} {length_penalty}");
    }
}

/// Made by `scripts/reference/beams.py`.
#[derive(Deserialize)]
struct Case {
    model: String,
    prompt: Vec<u32>,
    tokens: usize,
    beams: usize,
    length_penalty: f64,
    end: Option<u32>,
    written: Vec<u32>,
    score: f64,
}

#[test]
fn beams_find_what_those_of_transformers_find() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../fixtures/beams.json")).unwrap();
    assert_eq!(cases.len(), 10);
    let words: Vec<String> = (0..61).map(|token| format!("\"t{token}\": {token}")).collect();
    let tokenizer = format!(
        r#"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {{"type": "WhitespaceSplit"}}, "post_processor": null, "decoder": null,
        "model": {{"type": "WordLevel", "unk_token": "t0", "vocab": {{{}}}}}}}"#,
        words.join(", ")
    );
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fixtures/hugging-face");
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(fixtures.join(&case.model)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        std::fs::write(folder.path().join("tokenizer.json"), &tokenizer).unwrap();
        let saved = SavedModel::open(folder.path(), Which::Best, &Device::flex()).unwrap();
        let request = Request { end: case.end.into_iter().collect(), ..Request::new("", case.tokens) };
        let beams = Beams { count: case.beams, length_penalty: case.length_penalty };
        let reader = &mut ModelReader::new(&saved.model);
        let found = search_with(reader, &saved.tokenizer, &case.prompt, &request, beams).unwrap();
        let context = format!("{} with {beams:?}", case.model);
        assert_eq!(tokens(&found.pieces), case.written, "{context}");
        assert!((found.score - case.score).abs() < 1e-4, "{context}: {} and {}", found.score, case.score);
    }
}
