mod batch;
mod beams;
mod from_tokens;
mod grammars;
mod published;
mod speculating;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_models::{
    ByteTokenizerConfig, CharacterTokenizerConfig, END_TOKEN, FeedForwardActivation, GruConfig, LanguageModel,
    LstmConfig, ModelConfig, NormKind, PositionKind, RnnConfig, Tokenizer, TokenizerConfig, TransformerConfig,
};
use proptest::prelude::*;

use super::reader::{ModelReader, Reader, slide};
use super::stop::StopFinder;
use super::{Finish, GenerateError, Generation, Request, generate};
use crate::sampler::SamplerConfig;

const CONTEXT: usize = 8;

/// 256 tokens, one a byte, and the end token.
fn bytes() -> Tokenizer {
    let config = TokenizerConfig::Byte(ByteTokenizerConfig { special_tokens: vec![END_TOKEN.into()] });
    Tokenizer::train(&config, &mut std::iter::empty()).unwrap()
}

/// The characters of a text, and nothing else.
fn characters(text: &str) -> Tokenizer {
    let config = TokenizerConfig::Character(CharacterTokenizerConfig::default());
    Tokenizer::train(&config, &mut [Ok(text.to_owned())].into_iter()).unwrap()
}

fn request(prompt: &str, max_tokens: usize, sampler: SamplerConfig) -> Request {
    Request { sampler, ..Request::new(prompt, max_tokens) }
}

/// A "model" that is a function of everything that a row has read: the next token's logits.
struct Oracle<F> {
    vocabulary: usize,
    texts: Vec<Vec<u32>>,
    logits: F,
}

impl<F: Fn(&[u32]) -> Vec<f32>> Oracle<F> {
    fn new(vocabulary: usize, logits: F) -> Self {
        Self { vocabulary, texts: Vec::new(), logits }
    }
}

impl<F: Fn(&[u32]) -> Vec<f32>> Reader for Oracle<F> {
    fn vocabulary_size(&self) -> usize {
        self.vocabulary
    }

    fn read(&mut self, tokens: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        assert!(tokens.iter().all(|tokens| !tokens.is_empty()), "nothing was read");
        self.texts.resize(tokens.len(), Vec::new());
        self.texts.iter_mut().zip(tokens).for_each(|(text, tokens)| text.extend(*tokens));
        Ok(self.texts.iter().map(|text| (self.logits)(text)).collect())
    }

    fn keep(&mut self, rows: &[usize]) {
        self.texts = rows.iter().map(|&row| self.texts[row].clone()).collect();
    }
}

/// Writes the `script` after the prompt, token by token, whatever the sampler.
fn scripted(tokenizer: &Tokenizer, script: Vec<u32>, request: &Request) -> Generation<'static> {
    let vocabulary = tokenizer.vocabulary_size();
    let start = tokenizer.encode(&request.prompt).unwrap().len().max(1);
    let logits = move |text: &[u32]| {
        let mut logits = vec![0.0; vocabulary];
        logits[script[text.len() - start] as usize] = 1000.0;
        logits
    };
    Generation::new(Box::new(Oracle::new(vocabulary, logits)), tokenizer, request).unwrap()
}

/// As `BertPreTokenizer` and `decoders.WordPiece` make it: the 0, cat 1, sat 2, ##s 3.
fn word_piece() -> Tokenizer {
    let file = r###"{
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {"the": 0, "cat": 1, "sat": 2, "##s": 3, "[UNK]": 4}
        }
    }"###;
    Tokenizer::from_json(file.to_owned()).unwrap()
}

#[test]
fn a_space_that_the_tokens_of_the_prompt_do_not_have_is_not_written_twice() {
    let tokenizer = word_piece();
    let continued = |prompt: &str, script: [u32; 2]| {
        let request = Request::new(prompt, 2);
        run(scripted(&tokenizer, script.to_vec(), &request)).0
    };
    assert_eq!(continued("the cat", [2, 0]), " sat the");
    assert_eq!(continued("the cat ", [2, 0]), "sat the");
    assert_eq!(continued("the cat\n", [2, 0]), "sat the");
    // What ends a word stands behind it in any case.
    assert_eq!(continued("the cat", [3, 2]), "s sat");
    // Bytes have all of it.
    let request = Request::new("a ", 2);
    assert_eq!(run(scripted(&bytes(), b" b".map(u32::from).to_vec(), &request)).0, " b");
}

/// All text and tokens of a generation, and why it ended.
fn run(mut generation: Generation) -> (String, Vec<u32>, Option<Finish>) {
    let (mut text, mut tokens) = (String::new(), Vec::new());
    for piece in generation.by_ref() {
        let piece = piece.unwrap();
        text += &piece.text;
        tokens.push(piece.token);
    }
    assert!(generation.next().is_none());
    (text, tokens, generation.finish())
}

/// One small model of each kind with random weights, large enough that their texts vary.
fn models() -> Vec<LanguageModel> {
    let transformer = TransformerConfig { layers: 2, heads: 2, width: 16, tied: false, ..TransformerConfig::default() };
    let rotary = TransformerConfig {
        position: PositionKind::Rotary,
        norm: NormKind::Rms,
        key_value_heads: Some(1),
        activation: FeedForwardActivation::Swiglu,
        ..transformer.clone()
    };
    let tables = [
        ModelConfig::Rnn(RnnConfig { layers: 2, hidden: 16, ..RnnConfig::default() }),
        ModelConfig::Lstm(LstmConfig { layers: 2, hidden: 16, ..LstmConfig::default() }),
        ModelConfig::Gru(GruConfig { layers: 2, hidden: 16, ..GruConfig::default() }),
        ModelConfig::Transformer(transformer),
        ModelConfig::Transformer(rotary),
    ];
    tables.iter().map(|table| table.init(257, CONTEXT, 1, &Device::flex()).map(&mut Redraw(1))).collect()
}

/// Replaces every weight by a large one from a fixed sequence: fresh weights are small, and Burn's generator is shared
/// by all tests of the process, so that what it gives depends on which run beside this one.
struct Redraw(u64);

impl ModuleMapper for Redraw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weights| {
            let draw = |_| {
                self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.8
            };
            let values: Vec<f32> = (0..weights.shape().num_elements()).map(draw).collect();
            Tensor::from_data(TensorData::new(values, weights.shape()), &weights.device())
        })
    }
}

#[test]
fn greedy_text_by_steps_is_the_text_of_recomputing_the_window_each_time() {
    let tokenizer = bytes();
    for model in models() {
        let request = request("hello", 40, SamplerConfig::greedy());
        let (_, tokens, _) = run(generate(&model, &tokenizer, &request).unwrap());
        assert_eq!(tokens, recomputed(&model, &tokenizer.encode("hello").unwrap(), 40), "{model:?}");
    }
}

/// The same on a text that is given, so that it varies whatever the model, and on every logit.
#[test]
fn the_logits_after_each_token_are_those_of_the_window_read_anew() {
    let text: Vec<u32> = (0..40).map(|index| index * index * 7 % 257).collect();
    for model in models() {
        let (mut reader, mut start) = (ModelReader::new(&model), 0);
        for end in 1..=text.len() {
            start = window_start(&model, start, end);
            let steps = reader.read(&[&text[end - 1..end]]).unwrap().remove(0);
            let whole = window_logits(&model, &text[start..end]);
            for (step, whole) in steps.iter().zip(&whole) {
                assert!((step - whole).abs() < 1e-4, "{step} and {whole} after {end} tokens");
            }
        }
    }
}

/// The greedy continuation with every window read from its beginning.
fn recomputed(model: &LanguageModel, prompt: &[u32], length: usize) -> Vec<u32> {
    let mut text = prompt.to_vec();
    let mut start = 0;
    while text.len() < prompt.len() + length {
        start = window_start(model, start, text.len());
        let logits = window_logits(model, &text[start..]);
        let best = (0..logits.len()).rev().max_by(|&left, &right| logits[left].total_cmp(&logits[right])).unwrap();
        text.push(best as u32);
    }
    text.split_off(prompt.len())
}

/// Where the window of a text of `end` tokens begins, by the rule of the documentation: a transformer's grows to a
/// whole context, then starts anew from the last half.
fn window_start(model: &LanguageModel, start: usize, end: usize) -> usize {
    if model.longest_window().is_some_and(|context| end - start > context) { end - CONTEXT / 2 } else { start }
}

/// The logits after a window that is read in one forward pass without a state.
fn window_logits(model: &LanguageModel, window: &[u32]) -> Vec<f32> {
    let window: Vec<i32> = window.iter().map(|&token| token as i32).collect();
    let tokens = Tensor::<1, Int>::from_data(window.as_slice(), &Device::flex()).unsqueeze();
    let logits = model.forward(tokens, None).0.into_data().try_into_vec::<f32>().unwrap();
    logits[logits.len() - model.vocabulary_size()..].to_vec()
}

#[test]
fn a_prompt_longer_than_the_context_is_read_from_its_last_whole_context() {
    let tokenizer = bytes();
    let long = "a text much longer than the context";
    for model in models() {
        let generated =
            |prompt: &str| run(generate(&model, &tokenizer, &request(prompt, 4, SamplerConfig::greedy())).unwrap()).1;
        if model.longest_window().is_some() {
            assert_eq!(generated(long), generated(&long[long.len() - CONTEXT..]));
        } else {
            assert_eq!(generated(long), recomputed(&model, &tokenizer.encode(long).unwrap(), 4));
        }
    }
}

/// A prompt longer than one reading: its parts must leave the state that the whole leaves.
#[test]
fn a_recurrent_model_reads_a_long_prompt_in_parts() {
    let tokenizer = bytes();
    let long: String = (0..700).map(|index| char::from(b'a' + (index * index % 23) as u8)).collect();
    let tokens = tokenizer.encode(&long).unwrap();
    for model in models().into_iter().filter(LanguageModel::carries_state_between_windows) {
        let read = ModelReader::new(&model).read(&[&tokens]).unwrap();
        let mut one_by_one = ModelReader::new(&model);
        let last = tokens.iter().map(|&token| one_by_one.read(&[&[token]]).unwrap()).last().unwrap();
        for (left, right) in read[0].iter().zip(&last[0]) {
            assert!((left - right).abs() < 1e-4, "{left} and {right}");
        }
    }
}

#[test]
fn the_window_of_a_transformer_slides_to_its_last_half() {
    assert_eq!(slide(&[], &[1, 2, 3], 4), (vec![1, 2, 3], true));
    assert_eq!(slide(&[1, 2, 3], &[4], 4), (vec![1, 2, 3, 4], true));
    assert_eq!(slide(&[1, 2, 3, 4], &[5], 4), (vec![4, 5], false));
    assert_eq!(slide(&[4, 5], &[6], 4), (vec![4, 5, 6], true));
    assert_eq!(slide(&[], &[1, 2, 3, 4, 5], 4), (vec![2, 3, 4, 5], false));
    assert_eq!(slide(&[1], &[2], 1), (vec![2], false));
}

#[test]
fn the_same_request_gives_the_same_text_and_another_seed_another() {
    let tokenizer = bytes();
    for model in models() {
        let write = |seed| {
            let sampler = SamplerConfig { temperature: 1.0, top_k: Some(50), seed, ..SamplerConfig::default() };
            run(generate(&model, &tokenizer, &request("once", 30, sampler)).unwrap())
        };
        let first = write(1);
        assert!((0..3).all(|_| write(1) == first));
        assert_ne!(write(2), first);
    }
}

#[test]
fn as_many_tokens_come_as_were_asked_for() {
    let tokenizer = characters("abc");
    for length in [0, 1, 7] {
        let script = tokenizer.encode("abcabcabc").unwrap();
        let (text, tokens, finish) = run(scripted(&tokenizer, script, &request("a", length, SamplerConfig::default())));
        assert_eq!((text.as_str(), tokens.len()), (&"abcabcabc"[..length], length));
        assert_eq!(finish, Some(Finish::Length));
    }
}

#[test]
fn the_end_token_ends_the_text_and_is_no_part_of_it() {
    let tokenizer = bytes();
    let mut script = tokenizer.encode("done").unwrap();
    script.push(tokenizer.end_token().unwrap());
    script.extend(tokenizer.encode("never").unwrap());
    let (text, tokens, finish) = run(scripted(&tokenizer, script, &request("x", 50, SamplerConfig::default())));
    assert_eq!((text.as_str(), tokens.len(), finish), ("done", 5, Some(Finish::EndToken)));
}

#[test]
fn a_character_comes_when_its_last_byte_does() {
    let tokenizer = bytes();
    let script = tokenizer.encode("aé€😀").unwrap();
    let generation = scripted(&tokenizer, script.clone(), &request("x", script.len(), SamplerConfig::default()));
    let pieces: Vec<_> = generation.map(|piece| piece.unwrap().text).collect();
    assert_eq!(pieces, ["a", "", "é", "", "", "€", "", "", "", "😀"]);
}

#[test]
fn an_unfinished_character_at_the_end_is_shown_as_such() {
    let tokenizer = bytes();
    let script = tokenizer.encode("é€").unwrap();
    let (text, ..) = run(scripted(&tokenizer, script, &request("x", 3, SamplerConfig::default())));
    assert_eq!(text, "é\u{FFFD}");
}

#[test]
fn a_stop_text_ends_the_writing_and_not_a_byte_of_it_is_written() {
    let tokenizer = characters("abcd \n");
    let script = tokenizer.encode("ab abc\n\nab abcd").unwrap();
    let stop = |stops: &[&str]| {
        let mut request = request("a", 15, SamplerConfig::default());
        request.stop = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let (text, _, finish) = run(scripted(&tokenizer, script.clone(), &request));
        (text, finish)
    };
    assert_eq!(stop(&["\n\n"]), ("ab abc".into(), Some(Finish::StopText)));
    assert_eq!(stop(&["abcd"]), ("ab abc\n\nab ".into(), Some(Finish::StopText)));
    assert_eq!(stop(&["abcdd", "c"]), ("ab ab".into(), Some(Finish::StopText)));
    // The beginning of a stop text that does not come is written after all.
    assert_eq!(stop(&["abcdd"]), ("ab abc\n\nab abcd".into(), Some(Finish::Length)));
    let empty = Request { stop: vec![String::new()], ..request("a", 1, SamplerConfig::default()) };
    let model = &models()[0];
    assert!(matches!(generate(model, &bytes(), &empty), Err(GenerateError::EmptyStop)));
}

#[test]
fn an_empty_prompt_starts_after_the_end_token_or_a_line_break_or_token_0() {
    let start = super::row::first_tokens;
    assert_eq!(start(&bytes()), [256]);
    let lines = characters("ab\n");
    assert_eq!(start(&lines), lines.encode("\n").unwrap());
    assert_eq!(start(&characters("ab")), [0]);
    let (text, ..) = run(scripted(&lines, lines.encode("ba").unwrap(), &request("", 2, SamplerConfig::default())));
    assert_eq!(text, "ba");
}

#[test]
fn the_penalty_sees_the_prompt_and_what_was_written() {
    let tokenizer = characters("abcd");
    // Always the same preference, a before b before c before d: with the penalty each comes once, except the prompt's
    // a.
    let oracle = Oracle::new(4, |_: &[u32]| vec![4.0, 3.0, 2.5, 2.2]);
    let sampler = SamplerConfig { repetition_penalty: Some(10.0), ..SamplerConfig::greedy() };
    let generation = Generation::new(Box::new(oracle), &tokenizer, &request("a", 3, sampler)).unwrap();
    assert_eq!(run(generation).0, "bcd");
}

#[test]
fn what_cannot_begin_is_an_error() {
    let model = &models()[0];
    let tokenizer = characters("abc");
    let unknown = generate(model, &tokenizer, &request("xyz", 3, SamplerConfig::default()));
    assert!(matches!(unknown, Err(GenerateError::Prompt(_))));
    let nonsense = SamplerConfig { temperature: f32::NAN, ..SamplerConfig::default() };
    assert!(matches!(generate(model, &tokenizer, &request("a", 3, nonsense)), Err(GenerateError::Sampler(_))));
    let small = Oracle::new(2, |_: &[u32]| vec![0.0, 0.0]);
    let foreign = Generation::new(Box::new(small), &tokenizer, &request("abc", 3, SamplerConfig::default()));
    assert!(matches!(foreign, Err(GenerateError::UnknownToken { token: 2, vocabulary: 2 })));
}

#[test]
fn a_model_that_gives_no_numbers_ends_the_writing_with_an_error() {
    let tokenizer = characters("abc");
    let oracle = Oracle::new(3, |text: &[u32]| vec![if text.len() > 2 { f32::NAN } else { 0.0 }; 3]);
    let mut generation =
        Generation::new(Box::new(oracle), &tokenizer, &request("a", 9, SamplerConfig::default())).unwrap();
    assert!(generation.next().unwrap().is_ok());
    assert!(generation.next().unwrap().is_ok());
    assert!(matches!(generation.next(), Some(Err(GenerateError::Sample(_)))));
    assert!(generation.next().is_none());
    assert_eq!(generation.finish(), None);
}

/// The tokens of a hash of everything read: any token lost, doubled or fed twice changes all that follow.
fn hashed(text: &[u32]) -> Vec<f32> {
    let mut state = 0xCBF2_9CE4_8422_2325_u64;
    for &token in text {
        state = (state ^ u64::from(token)).wrapping_mul(0x0100_0000_01B3);
    }
    (0..257)
        .map(|token: u64| ((state.rotate_left((token % 64) as u32) ^ token.wrapping_mul(state)) % 1000) as f32 / 100.0)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever is written: the pieces together are the decoding of the tokens, and every one is whole characters.
    #[test]
    fn the_pieces_together_are_the_decoded_tokens(prompt in "\\PC{0,20}", seed in any::<u64>(), length in 1_usize..60) {
        let tokenizer = bytes();
        let sampler = SamplerConfig { seed, temperature: 1.0, ..SamplerConfig::default() };
        let write = || {
            let (oracle, request) = (Box::new(Oracle::new(257, hashed)), request(&prompt, length, sampler.clone()));
            run(Generation::new(oracle, &tokenizer, &request).unwrap())
        };
        let (text, mut tokens, finish) = write();
        if finish == Some(Finish::EndToken) {
            prop_assert_eq!(tokens.pop(), tokenizer.end_token());
        } else {
            prop_assert_eq!(tokens.len(), length);
        }
        prop_assert_eq!(&text, &tokenizer.decode(&tokens));
        prop_assert_eq!(write().0, text);
    }

    /// However a text is cut into pieces, what comes out is the text up to the first stop text.
    #[test]
    fn stop_texts_are_found_across_pieces(
        pieces in proptest::collection::vec("[abé]{0,3}", 0..20),
        stops in proptest::collection::vec("[abé]{1,4}", 1..3),
    ) {
        let mut finder = StopFinder::new(stops.clone());
        let (mut written, mut read, mut stopped) = (String::new(), String::new(), false);
        for piece in &pieces {
            let (text, found) = finder.push(piece);
            written += &text;
            read += piece;
            prop_assert!(read.starts_with(&written));
            prop_assert!(stops.iter().all(|stop| !written.contains(stop.as_str())));
            if found {
                stopped = true;
                break;
            }
            // Nothing is held back that cannot become a stop text any more.
            let held = &read[written.len()..];
            prop_assert!(held.is_empty() || stops.iter().any(|stop| stop.starts_with(held)));
        }
        let first = stops.iter().filter_map(|stop| read.find(stop.as_str())).min();
        match first {
            Some(start) => prop_assert!(stopped && written == read[..start]),
            None => prop_assert!(!stopped && written + &finder.finish() == read),
        }
    }
}
