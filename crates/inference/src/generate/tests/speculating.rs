use super::*;
use crate::generate::{Contrast, Draft, Guesses, Memory, generate_after, generate_contrasted, generate_remembering};

/// How many readings of the model a text takes.
struct Counting<'a> {
    reader: ModelReader<'a>,
    readings: std::rc::Rc<std::cell::Cell<usize>>,
}

impl Reader for Counting<'_> {
    fn vocabulary_size(&self) -> usize {
        self.reader.vocabulary_size()
    }

    fn read(&mut self, tokens: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        self.readings.set(self.readings.get() + 1);
        self.reader.read(tokens)
    }

    fn room(&self) -> usize {
        self.reader.room()
    }

    fn read_each(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>, String> {
        self.readings.set(self.readings.get() + 1);
        self.reader.read_each(tokens)
    }

    fn forget(&mut self, count: usize) {
        self.reader.forget(count);
    }

    fn keep(&mut self, rows: &[usize]) {
        self.reader.keep(rows);
    }
}

/// Rotary and learned positions, a context of 64.
fn long_models() -> Vec<LanguageModel> {
    let table = TransformerConfig { layers: 2, heads: 2, width: 16, tied: false, ..TransformerConfig::default() };
    let rotary = TransformerConfig { position: PositionKind::Rotary, key_value_heads: Some(1), ..table.clone() };
    let init = |table| ModelConfig::Transformer(table).init(257, 64, 1, &Device::flex()).map(&mut Redraw(1));
    [table, rotary].map(init).into_iter().chain(models()).collect()
}

#[test]
fn guessing_changes_no_text_and_saves_readings() {
    let tokenizer = bytes();
    let mut saved = 0;
    for model in long_models() {
        for temperature in [0.0, 0.3, 1.0] {
            for seed in 0..4 {
                let sampler = SamplerConfig { temperature, seed, ..SamplerConfig::default() };
                let plain = request("abcabcabcab", 90, sampler);
                let expected = run(generate(&model, &tokenizer, &plain).unwrap());
                for speculate in [1, 4, 20] {
                    let request = Request { speculate, ..plain.clone() };
                    let readings = std::rc::Rc::default();
                    let reader = Counting { reader: ModelReader::new(&model), readings: std::rc::Rc::clone(&readings) };
                    let found = run(Generation::new(Box::new(reader), &tokenizer, &request).unwrap());
                    assert_eq!(found, expected, "{speculate} guesses at temperature {temperature}");
                    saved += expected.1.len() - readings.get();
                }
            }
        }
    }
    assert!(saved > 100, "{saved}");
}

/// Pearson's statistic over 3,000 seeds of the fourth token, with and without guesses, at a level of 0.001.
#[test]
fn what_is_drawn_with_guesses_has_the_distribution_without() {
    let (tokenizer, model) = (bytes(), &long_models()[0]);
    // Five tokens alone, all of which the prompt has: there is always something to guess.
    let prompt = tokenizer.encode("abcdeabcde").unwrap();
    let logit_bias: std::collections::BTreeMap<u32, f32> = prompt.iter().map(|&token| (token, 1000.0)).collect();
    let counts = |speculate, seeds: std::ops::Range<u64>| {
        let mut counts = [0.0_f64; 5];
        for seed in seeds {
            let logit_bias = logit_bias.clone();
            let sampler = SamplerConfig { temperature: 1.0, logit_bias, seed, ..SamplerConfig::default() };
            let request = Request { speculate, ..request("", 4, sampler) };
            let pieces = generate_after(model, &tokenizer, &prompt, &request).unwrap();
            let last = pieces.map(|piece| piece.unwrap().token).last().unwrap();
            counts[last as usize % 5] += 1.0;
        }
        counts
    };
    let (with, without) = (counts(3, 0..3000), counts(0, 3000..6000));
    let statistic: f64 = with.iter().zip(without).map(|(a, b)| (a - b).powi(2) / (a + b).max(1.0)).sum();
    assert!(statistic < 18.467, "{with:?} and {without:?} give {statistic}");
}

/// A small transformer, a small recurrent model, one of a shorter context, and the model itself, for guessing.
fn drafts(model: &LanguageModel) -> Vec<LanguageModel> {
    let table = TransformerConfig { layers: 1, heads: 1, width: 8, ..TransformerConfig::default() };
    let recurrent = ModelConfig::Gru(GruConfig { layers: 1, hidden: 8, ..GruConfig::default() });
    let transformer = |context| ModelConfig::Transformer(table.clone()).init(257, context, 1, &Device::flex());
    [transformer(64), transformer(8), recurrent.init(257, 8, 1, &Device::flex())]
        .map(|draft| draft.map(&mut Redraw(2)))
        .into_iter()
        .chain([model.clone()])
        .collect()
}

#[test]
fn with_a_draft_the_likeliest_text_is_the_same_token_for_token() {
    let tokenizer = bytes();
    for model in &long_models()[..2] {
        let plain = request("abcab", 90, SamplerConfig::greedy());
        let write = |request: &Request| {
            run(generate(model, &tokenizer, &Request { speculate: 0, ..request.clone() }).unwrap().past_end_token()).1
        };
        for (number, draft) in drafts(model).iter().enumerate() {
            // One draft for several texts, which begin alike and not.
            let mut draft = Draft::new(draft);
            for (speculate, prompt) in [(1, "abcab"), (5, "abcab"), (5, "abx"), (20, "abcab")] {
                let request = Request { speculate, prompt: prompt.to_owned(), ..plain.clone() };
                let generation = generate(model, &tokenizer, &request).unwrap().past_end_token();
                let mut generation = generation.with_draft(&mut draft).unwrap();
                let found: Vec<u32> = generation.by_ref().map(|piece| piece.unwrap().token).collect();
                assert_eq!(found, write(&request), "{speculate} guesses of draft {number}");
                let guesses = generation.guesses();
                // A model differs from itself where their contexts are cut at other places.
                assert!(guesses.made > 0 && guesses.right < guesses.made, "draft {number}: {guesses:?}");
            }
        }
    }
}

#[test]
fn a_model_guesses_itself_until_its_context_is_cut() {
    let (tokenizer, models) = (bytes(), long_models());
    for (model, temperature) in [(&models[0], 0.0), (&models[1], 1.0)] {
        let sampler = SamplerConfig { temperature, ..SamplerConfig::default() };
        let request = Request { speculate: 6, ..request("abcab", 55, sampler) };
        let mut draft = Draft::new(model);
        let mut generation =
            generate(model, &tokenizer, &request).unwrap().past_end_token().with_draft(&mut draft).unwrap();
        assert!(generation.by_ref().all(|piece| piece.is_ok()));
        let guesses = generation.guesses();
        // The first token, then 7 at a time of which one is not guessed.
        assert_eq!((guesses.made, guesses.right), (46, 46));
    }
}

/// Pearson's statistic of two tokens behind each other, 25 pairs, at a level of 0.001.
#[test]
fn what_is_drawn_with_a_draft_has_the_distribution_without() {
    let (tokenizer, models) = (bytes(), long_models());
    let model = &models[0];
    let prompt = tokenizer.encode("abcde").unwrap();
    // Five tokens alone; the models disagree on them.
    let logit_bias: std::collections::BTreeMap<u32, f32> = prompt.iter().map(|&token| (token, 1000.0)).collect();
    let [large, _, recurrent, _] = &drafts(model)[..] else { panic!("there are four drafts") };
    let counts = |draft: &LanguageModel, speculate, seeds: std::ops::Range<u64>| {
        let (mut counts, mut all) = ([0.0_f64; 25], Guesses::default());
        let mut draft = Draft::new(draft);
        for seed in seeds {
            let logit_bias = logit_bias.clone();
            let sampler =
                SamplerConfig { temperature: 1.0, logit_bias, top_k: Some(4), seed, ..SamplerConfig::default() };
            let request = Request { speculate, ..request("", 5, sampler) };
            let generation = generate_after(model, &tokenizer, &prompt, &request).unwrap();
            let mut generation = generation.with_draft(&mut draft).unwrap();
            let tokens: Vec<u32> = generation.by_ref().map(|piece| piece.unwrap().token).collect();
            all.made += generation.guesses().made;
            all.right += generation.guesses().right;
            counts[(tokens[2] % 5 * 5 + tokens[3] % 5) as usize] += 1.0;
        }
        (counts, all)
    };
    let (without, _) = counts(large, 0, 1500..3000);
    for draft in [large, recurrent] {
        let (with, guesses) = counts(draft, 3, 0..1500);
        let statistic: f64 = with.iter().zip(without).map(|(a, b)| (a - b).powi(2) / (a + b).max(1.0)).sum();
        // Of chi-squared with 24 degrees of freedom.
        assert!(statistic < 51.179, "{with:?} and {without:?} give {statistic}");
        assert!(guesses.right > guesses.made / 10 && guesses.right < guesses.made, "{guesses:?}");
    }
}

#[test]
fn a_draft_that_knows_fewer_tokens_is_refused() {
    let (tokenizer, models) = (bytes(), long_models());
    let table = TransformerConfig { layers: 1, heads: 1, width: 8, ..TransformerConfig::default() };
    let small = ModelConfig::Transformer(table).init(200, 64, 1, &Device::flex());
    let request = Request { speculate: 2, ..request("ab", 5, SamplerConfig::greedy()) };
    let mut draft = Draft::new(&small);
    let refused = generate(&models[0], &tokenizer, &request).unwrap().with_draft(&mut draft);
    assert!(matches!(refused.err(), Some(GenerateError::SecondModel { known: 200, needed: 257 })));
    let contrast = Contrast::default();
    let refused = generate_contrasted(&models[0], &small, contrast, &tokenizer, &request);
    assert!(matches!(refused.err(), Some(GenerateError::SecondModel { known: 200, needed: 257 })));
}

#[test]
fn a_conversation_guesses_too_and_remembers_only_what_was_written() {
    let (tokenizer, models) = (bytes(), long_models());
    let model = &models[0];
    let plain = request("", 9, SamplerConfig::greedy());
    let mut text = tokenizer.encode("abcabca").unwrap();
    let mut memory = Memory::new(model);
    for turn in 0..3 {
        let expected = run(generate_after(model, &tokenizer, &text, &plain).unwrap()).1;
        let request = Request { speculate: 3, ..plain.clone() };
        let generation = generate_remembering(&mut memory, &tokenizer, &text, &request).unwrap();
        let found: Vec<u32> = generation.map(|piece| piece.unwrap().token).collect();
        assert_eq!(found, expected, "turn {turn}");
        // All but the last token, which nothing was read after.
        let known = if turn == 0 { 0 } else { text.len() - 5 };
        assert_eq!(memory.known_tokens(), known);
        text.extend(found);
        text.extend(tokenizer.encode("bcab").unwrap());
    }
}

#[test]
fn the_limits_of_a_contrast_are_the_likeliest_text_and_the_model_alone() {
    let (tokenizer, models) = (bytes(), long_models());
    let sampler = SamplerConfig { temperature: 1.0, seed: 3, ..SamplerConfig::default() };
    let plain = request("abcab", 70, sampler);
    let contrast = Contrast { alpha: 1.0, beta: None };
    let generation = generate_contrasted(&models[0], &models[1], contrast, &tokenizer, &plain).unwrap();
    let greedy = Request { sampler: SamplerConfig::greedy(), ..plain.clone() };
    // Only the likeliest is plausible.
    let expected = run(generate(&models[0], &tokenizer, &greedy).unwrap()).1;
    assert_eq!(run(generation).1, expected);
    // The amateur does not matter with a weight of 0, where everything is plausible, with guesses or without.
    let contrast = Contrast { alpha: f32::MIN_POSITIVE, beta: Some(0.0) };
    for speculate in [0, 4] {
        let request = Request { speculate, ..plain.clone() };
        let generation = generate_contrasted(&models[0], &models[1], contrast, &tokenizer, &request).unwrap();
        assert_eq!(run(generation), run(generate(&models[0], &tokenizer, &plain).unwrap()));
    }
}
