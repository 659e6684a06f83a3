//! Sources translated, and how near that comes to their targets.

use anyhow::Context;
use kiln_inference::{SamplerConfig, Translation, Translator, Writing, corpus_bleu, corpus_chrf};
use kiln_models::{LanguageModel, Tokenizer};
use kiln_training::run::TranslationScores;

/// Sources that are translated at the same time.
pub(crate) const AT_ONCE: usize = 64;

/// A translator with the tokens of a tokenizer.
///
/// # Errors
/// The model has no encoder, or the tokenizer no end token.
pub(crate) fn translator<'a>(model: &'a LanguageModel, tokenizer: &Tokenizer) -> anyhow::Result<Translator<'a>> {
    let end = tokenizer.end_token().context("the tokenizer has no token that ends a text")?;
    Ok(Translator::new(model, tokenizer.vocabulary_size(), end)?)
}

/// Translations of sources in their order; those of about one length are read together, `at_once` of them. Source n
/// draws with the seed plus n. `proceed` is given how many are done, and may stop it.
///
/// # Errors
/// A source is too long, or the device fails.
pub(crate) fn by_length(
    translator: &Translator<'_>,
    sources: &[Vec<u32>],
    longest: usize,
    writing: &Writing,
    at_once: usize,
    proceed: &mut dyn FnMut(u64) -> bool,
) -> anyhow::Result<Vec<Vec<Translation>>> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    // What is drawn is drawn by number.
    if !matches!(writing, Writing::Drawn(_)) {
        order.sort_by_key(|source| sources[*source].len());
    }
    let mut found = vec![Vec::new(); sources.len()];
    let mut done = 0;
    for part in order.chunks(at_once.max(1)) {
        anyhow::ensure!(proceed(done), "it was stopped");
        let read: Vec<Vec<u32>> = part.iter().map(|source| sources[*source].clone()).collect();
        let writing = match writing {
            Writing::Drawn(config) => {
                Writing::Drawn(SamplerConfig { seed: config.seed.wrapping_add(done), ..config.clone() })
            }
            other => other.clone(),
        };
        for (source, translations) in part.iter().zip(translator.translate(&read, longest, &writing)?) {
            found[*source] = translations;
        }
        done += part.len() as u64;
    }
    Ok(found)
}

/// Translates with the likeliest token each time.
///
/// # Errors
/// As [`by_length`].
pub(crate) fn scores(
    model: &LanguageModel,
    tokenizer: &Tokenizer,
    pairs: &[[Vec<u32>; 2]],
    proceed: &mut dyn FnMut(u64) -> bool,
) -> anyhow::Result<TranslationScores> {
    let sources: Vec<Vec<u32>> = pairs.iter().map(|[source, _]| source.clone()).collect();
    let translator = translator(model, tokenizer)?;
    let found = by_length(&translator, &sources, usize::MAX, &Writing::Greedy, AT_ONCE, proceed)?;
    let written =
        found.iter().map(|found| found.first().map(|best| tokenizer.decode(&best.tokens)).unwrap_or_default());
    let texts: Vec<(String, String)> = written.zip(pairs.iter().map(|[_, target]| tokenizer.decode(target))).collect();
    let exact = texts.iter().filter(|(written, target)| written == target).count();
    let both = || texts.iter().map(|(written, target)| (written.as_str(), target.as_str()));
    let exact = exact as f64 / texts.len().max(1) as f64;
    Ok(TranslationScores { pairs: texts.len() as u64, exact, bleu: corpus_bleu(both()), chrf: corpus_chrf(both()) })
}
