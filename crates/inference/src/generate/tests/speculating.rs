use super::*;
use crate::generate::generate_after;

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
