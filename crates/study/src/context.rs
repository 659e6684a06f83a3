//! How much of the text before a token is made use of: the loss with fewer tokens before it, and what a prediction
//! loses where one of them is another one.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, ExecutionError};
use kiln_convergence::Band;
use kiln_data::batches::mix;
use kiln_data::shards::PreparedData;
use kiln_kernels::Draws;
use kiln_models::{DocumentStarts, LanguageModel};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::{ContextConfig, Study};
use crate::error::StudyError;
use crate::studies::Progress;
use crate::trained::Training;
use crate::windows::{draw, tokens};

/// Windows that are read at once.
const AT_ONCE: usize = 64;

/// A model.
#[derive(Debug, Clone)]
pub struct ContextFindings {
    /// Its name.
    pub name: String,
    /// Tokens of context, and the mean loss of the token after them, nats.
    pub losses: Vec<(usize, Band)>,
    /// How many tokens back one is replaced by a token of another place of the text (1 is the last one), and the mean
    /// Kullback-Leibler divergence of the prediction from that of the text as it is, nats.
    pub divergences: Vec<(usize, Band)>,
    /// Whether bands are over repeats of the training; else over the places of the text, the weights being what they
    /// are.
    pub over_repeats: bool,
}

/// 1, 2, 4, ... and `most`.
fn powers(most: usize) -> Vec<usize> {
    let mut powers: Vec<usize> =
        std::iter::successors(Some(1), |power| Some(power * 2)).take_while(|power| *power < most).collect();
    powers.push(most);
    powers
}

/// Logarithms of the probabilities of the token after each window, which is read cold from column `from` on.
fn predictions(model: &LanguageModel, windows: &[Vec<u32>], from: usize) -> Result<Vec<Vec<f64>>, ExecutionError> {
    let mut all = Vec::new();
    for part in windows.chunks(AT_ONCE) {
        let length = part.first().map_or(0, |window| window.len() - 1);
        let tokens = tokens(part, from..length, &model.device());
        let (features, _) = model.features(tokens, None, &DocumentStarts::default(), &mut Draws::none());
        let logits = model.logits_of(features.narrow(1, length - from - 1, 1).squeeze_dim(1));
        let numbers: Vec<f64> = log_softmax(logits, 1).try_into_data()?.iter::<f64>().collect();
        all.extend(numbers.chunks(model.vocabulary_size()).map(<[f64]>::to_vec));
    }
    Ok(all)
}

/// -ln p of the last token of each window, which is read cold, with `context` tokens before it.
///
/// # Errors
/// The device fails.
pub fn losses_with(model: &LanguageModel, windows: &[Vec<u32>], context: usize) -> Result<Vec<f64>, ExecutionError> {
    let from = windows.first().map_or(0, |window| window.len() - 1 - context);
    let found = predictions(model, windows, from)?;
    let target = |window: &Vec<u32>| window.last().map_or(0, |token| *token as usize);
    Ok(found.iter().zip(windows).map(|(row, window)| -row[target(window)]).collect())
}

/// The divergence of the prediction of the last token of each window where the token `back` before it is that of
/// `others`, from the prediction without.
///
/// # Errors
/// The device fails.
pub fn divergences(
    model: &LanguageModel,
    windows: &[Vec<u32>],
    back: usize,
    others: &[u32],
) -> Result<Vec<f64>, ExecutionError> {
    let replaced: Vec<Vec<u32>> = windows
        .iter()
        .zip(others)
        .map(|(window, other)| {
            let mut window = window.clone();
            let place = window.len() - 1 - back;
            window[place] = *other;
            window
        })
        .collect();
    let (before, after) = (predictions(model, windows, 0)?, predictions(model, &replaced, 0)?);
    let divergence =
        |(before, after): (&Vec<f64>, &Vec<f64>)| before.iter().zip(after).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
    Ok(before.iter().zip(&after).map(divergence).collect())
}

/// The study of a file.
pub(crate) fn study(
    study: &Study,
    config: &ContextConfig,
    text: &PreparedData,
    device: &Device,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<ContextFindings>, StudyError> {
    let context = study.run.context;
    let windows = draw(&text.validation, config.places, context + 1, study.seed)?;
    let mut random = ChaCha8Rng::seed_from_u64(mix(study.seed, 13));
    let others: Vec<u32> = windows.iter().map(|_| windows[random.random_range(0..windows.len())][0]).collect();
    let mut progress = Progress::new(study.models.len() * study.seeds, progress);
    let mut findings = Vec::new();
    for model in &study.models {
        let (mut losses, mut changes) = (Vec::new(), Vec::new());
        for repeat in 0..study.seeds {
            let training = Training::new(study, model, repeat, study.run.steps, text, device)?;
            let trained = training.finished(&mut progress)?;
            let of_repeat: Result<Vec<Vec<f64>>, _> =
                powers(context).iter().map(|context| losses_with(&trained, &windows, *context)).collect();
            losses.push(of_repeat?);
            let of_repeat: Result<Vec<Vec<f64>>, _> =
                powers(context).iter().map(|back| divergences(&trained, &windows, *back, &others)).collect();
            changes.push(of_repeat?);
        }
        findings.push(ContextFindings {
            name: model.name.clone(),
            losses: powers(context).into_iter().zip(bands(&losses)).collect(),
            divergences: powers(context).into_iter().zip(bands(&changes)).collect(),
            over_repeats: study.seeds > 1,
        });
    }
    Ok(findings)
}

/// For each distance the mean over repeats, or over places where there is one repeat.
fn bands(repeats: &[Vec<Vec<f64>>]) -> Vec<Band> {
    let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let distances = repeats.first().map_or(0, Vec::len);
    let band = |distance: usize| match repeats {
        [one] => Band::of_95(&one[distance]),
        several => Band::of_95(&several.iter().map(|repeat| mean(&repeat[distance])).collect::<Vec<f64>>()),
    };
    (0..distances).map(band).collect()
}

#[cfg(test)]
mod tests {
    use kiln_models::{LstmConfig, ModelConfig, RnnConfig, TransformerConfig};

    use super::*;

    #[test]
    fn powers_end_with_the_whole_context() {
        assert_eq!(powers(10), [1, 2, 4, 8, 10]);
        assert_eq!(powers(8), [1, 2, 4, 8]);
        assert_eq!(powers(1), [1]);
    }

    fn windows() -> Vec<Vec<u32>> {
        (0..6).map(|first| (0..9).map(|place| (first * 3 + place * 5) % 7).collect()).collect()
    }

    #[test]
    fn the_loss_with_all_of_the_context_is_that_of_the_model() {
        let transformer = TransformerConfig { layers: 1, heads: 2, width: 8, ..TransformerConfig::default() };
        let lstm = LstmConfig { layers: 1, hidden: 6, ..LstmConfig::default() };
        for config in [ModelConfig::Transformer(transformer), ModelConfig::Lstm(lstm)] {
            let device = Device::flex();
            let (model, windows) = (config.init(7, 8, 1, &device), windows());
            let (inputs, targets) = (tokens(&windows, 0..8, &device), tokens(&windows, 1..9, &device));
            let all = model.losses(inputs, targets, None, &mut Draws::none()).0;
            let expected: Vec<f64> = all.narrow(1, 7, 1).into_data().iter::<f64>().collect();
            let found = losses_with(&model, &windows, 8).expect("a processor does not fail");
            assert!(found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-5));
        }
    }

    /// A network whose state is not read back sees its last token alone.
    #[test]
    fn a_model_without_memory_makes_no_use_of_more_than_one_token() {
        let config = ModelConfig::Rnn(RnnConfig { layers: 1, hidden: 6, ..RnnConfig::default() });
        let model = kiln_parameters::map(config.init(7, 8, 1, &Device::flex()), |parameter, values| {
            if parameter.path == "layers.0.hidden_weight" { values.zeros_like() } else { values }
        });
        let windows = windows();
        let [one, eight] = [1, 8].map(|context| losses_with(&model, &windows, context).expect("it computes"));
        assert!(one.iter().zip(&eight).all(|(one, eight)| (one - eight).abs() < 1e-6));
        let others: Vec<u32> = windows.iter().map(|window| (window[7] + 1) % 7).collect();
        let last = divergences(&model, &windows, 1, &others).expect("it computes");
        assert!(last.iter().all(|divergence| *divergence > 1e-4), "{last:?}");
        let earlier = divergences(&model, &windows, 2, &others).expect("it computes");
        assert!(earlier.iter().all(|divergence| divergence.abs() < 1e-9), "{earlier:?}");
    }
}
