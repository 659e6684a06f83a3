//! Models at an equal budget: which is the better one, and whether that is more than chance.

use std::time::Instant;

use burn::tensor::Device;
use kiln_convergence::Band;
use kiln_data::shards::PreparedData;
use kiln_models::ModelConfig;

use crate::config::{Equal, FamiliesConfig, NamedModel, Study};
use crate::error::StudyError;
use crate::sizes::sized;
use crate::statistics::{Paired, holm};
use crate::studies::Progress;
use crate::trained::{Training, parameters, validation_loss};

/// Updates that a model's speed is measured on, after as many that warm up.
const TIMED: u64 = 10;

/// All models where one thing is equal.
#[derive(Debug, Clone)]
pub struct FamilyFindings {
    /// What is.
    pub equal: Equal,
    /// The models.
    pub entrants: Vec<Entrant>,
    /// Each pair of them.
    pub comparisons: Vec<Comparison>,
}

/// A model.
#[derive(Debug, Clone)]
pub struct Entrant {
    /// Its name.
    pub name: String,
    /// Its trainable numbers.
    pub parameters: u64,
    /// Its updates.
    pub steps: u64,
    /// Tokens that it was trained on.
    pub tokens: u64,
    /// Floating-point operations of its training.
    pub flops: f64,
    /// Seconds of its training, the mean over the repeats.
    pub seconds: f64,
    /// The validation losses of the repeats, nats per token.
    pub losses: Vec<f64>,
    /// Their mean.
    pub loss: Band,
    /// Tokens read, and the training loss before that update, the mean over the repeats.
    pub curve: Vec<(f64, f64)>,
}

/// Two models.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The one with the lower mean loss.
    pub better: String,
    /// The other.
    pub worse: String,
    /// The loss of the other less that of the better, repeat by repeat.
    pub paired: Paired,
    /// Its probability, corrected by Holm for all pairs.
    pub corrected: Option<f64>,
}

impl Comparison {
    /// Whether the difference is more than chance explains, with a probability of 95 % that no pair of the study is
    /// called so by chance.
    pub fn is_significant(&self) -> bool {
        self.corrected.is_some_and(|probability| probability < 0.05)
    }
}

/// Every pair, the better one first.
pub fn compared(entrants: &[Entrant]) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for (index, one) in entrants.iter().enumerate() {
        for other in &entrants[index + 1..] {
            let (better, worse) = if one.loss.mean <= other.loss.mean { (one, other) } else { (other, one) };
            let paired = Paired::of(&worse.losses, &better.losses);
            let (better, worse) = (better.name.clone(), worse.name.clone());
            comparisons.push(Comparison { better, worse, paired, corrected: None });
        }
    }
    let probabilities: Option<Vec<f64>> = comparisons.iter().map(|comparison| comparison.paired.probability).collect();
    for (comparison, corrected) in comparisons.iter_mut().zip(probabilities.map(|all| holm(&all)).unwrap_or_default()) {
        comparison.corrected = Some(corrected);
    }
    comparisons
}

/// The study of a file.
pub(crate) fn study(
    study: &Study,
    config: &FamiliesConfig,
    text: &PreparedData,
    device: &Device,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<FamilyFindings>, StudyError> {
    let mut progress = Progress::new(config.equal.len() * study.models.len() * study.seeds, progress);
    let mut findings = Vec::new();
    for &equal in &config.equal {
        let mut entrants = Vec::new();
        for model in &study.models {
            let model = solved(study, config, equal, model, text)?;
            let steps = steps(study, config, equal, &model, text, device)?;
            entrants.push(entrant(study, &model, steps, text, device, &mut progress)?);
        }
        let comparisons = compared(&entrants);
        findings.push(FamilyFindings { equal, entrants, comparisons });
    }
    Ok(findings)
}

/// The model that is trained.
fn solved(
    study: &Study,
    config: &FamiliesConfig,
    equal: Equal,
    model: &NamedModel,
    text: &PreparedData,
) -> Result<NamedModel, StudyError> {
    if equal != Equal::Parameters {
        return Ok(model.clone());
    }
    let first = study.models.first().map_or(0, |first| parameters(study, &first.model, text));
    let wanted = config.parameters.unwrap_or(first);
    let solved = sized(model, wanted, |model| parameters(study, model, text))?;
    Ok(NamedModel { name: model.name.clone(), model: solved })
}

fn flops_per_update(study: &Study, model: &ModelConfig, text: &PreparedData) -> f64 {
    let of_token = model.flops_per_token(text.tokenizer.vocabulary_size(), study.run.context).training;
    of_token as f64 * study.run.tokens_per_step() as f64
}

/// The updates that a model makes.
fn steps(
    study: &Study,
    config: &FamiliesConfig,
    equal: Equal,
    model: &NamedModel,
    text: &PreparedData,
    device: &Device,
) -> Result<u64, StudyError> {
    let steps = study.run.steps;
    Ok(match equal {
        Equal::Parameters | Equal::Tokens => steps,
        Equal::Flops => {
            let first = study.models.first().map_or(1.0, |first| flops_per_update(study, &first.model, text));
            ((first * steps as f64 / flops_per_update(study, &model.model, text)).round() as u64).max(1)
        }
        Equal::Seconds => {
            let mut training = Training::new(study, model, 0, 2 * TIMED, text, device)?;
            let mut unseen = |_| true;
            let mut nowhere = Progress::new(1, &mut unseen);
            training.until(TIMED, &mut nowhere)?;
            let started = Instant::now();
            training.until(2 * TIMED, &mut nowhere)?;
            let of_update = started.elapsed().as_secs_f64() / TIMED as f64;
            ((config.seconds / of_update) as u64).max(1)
        }
    })
}

fn entrant(
    study: &Study,
    model: &NamedModel,
    steps: u64,
    text: &PreparedData,
    device: &Device,
    progress: &mut Progress<'_>,
) -> Result<Entrant, StudyError> {
    let (mut losses, mut seconds, mut curve): (Vec<f64>, f64, Vec<(f64, f64)>) = (Vec::new(), 0.0, Vec::new());
    let share = 1.0 / study.seeds as f64;
    for repeat in 0..study.seeds {
        let mut training = Training::new(study, model, repeat, steps, text, device)?;
        let started = Instant::now();
        let portions = training.until(steps, progress)?;
        seconds += share * started.elapsed().as_secs_f64();
        if curve.is_empty() {
            let tokens = study.run.tokens_per_step() as f64;
            curve = portions.iter().map(|(step, _)| (*step as f64 * tokens, 0.0)).collect();
        }
        curve.iter_mut().zip(&portions).for_each(|((_, mean), (_, loss))| *mean += share * loss);
        losses.push(validation_loss(study, &training.model(), text)?[0]);
        progress.next()?;
    }
    Ok(Entrant {
        name: model.name.clone(),
        parameters: parameters(study, &model.model, text),
        steps,
        tokens: steps * study.run.tokens_per_step(),
        flops: steps as f64 * flops_per_update(study, &model.model, text),
        seconds,
        loss: Band::of_95(&losses),
        losses,
        curve,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{study_of, text};

    fn entrant(name: &str, losses: [f64; 4]) -> Entrant {
        Entrant {
            name: name.to_owned(),
            parameters: 1,
            steps: 1,
            tokens: 1,
            flops: 1.0,
            seconds: 1.0,
            loss: Band::of_95(&losses),
            losses: losses.to_vec(),
            curve: Vec::new(),
        }
    }

    #[test]
    fn what_chance_explains_is_not_called_significant() {
        let entrants = [
            entrant("a", [1.00, 1.10, 1.05, 1.02]),
            entrant("b", [1.02, 1.09, 1.06, 1.01]),
            entrant("c", [2.00, 2.11, 2.06, 2.01]),
        ];
        let found = compared(&entrants);
        let significant: Vec<(&str, &str)> = found
            .iter()
            .filter(|comparison| comparison.is_significant())
            .map(|comparison| (comparison.better.as_str(), comparison.worse.as_str()))
            .collect();
        assert_eq!(significant, [("a", "c"), ("b", "c")]);
        assert_eq!(compared(&entrants[..1]).len(), 0);
    }

    #[test]
    fn what_is_to_be_equal_is() {
        let study = study_of(
            "[[models]]\nname = \"RNN\"\nmodel.rnn = { layers = 1, hidden = 16 }\n\
             [[models]]\nname = \"transformer\"\n\
             model.transformer = { layers = 1, heads = 2, width = 16 }\n\
             [study.families]\nequal = [\"parameters\", \"tokens\", \"flops\", \"seconds\"]\nparameters = 4000\n\
             seconds = 0.2\n",
            "steps = 12\nbatch = 4\ncontext = 16\n",
        );
        let crate::Experiment::Families(config) = &study.study else { panic!("it is that") };
        let found = super::study(&study, config, &text(), &Device::flex(), &mut |_| true).expect("it trains");
        let pair = |index: usize| (&found[index].entrants[0], &found[index].entrants[1]);
        let near = |first: f64, second: f64| (first / second - 1.0).abs();
        let (rnn, transformer) = pair(0);
        assert!(near(rnn.parameters as f64, 4000.0) < 0.1 && near(transformer.parameters as f64, 4000.0) < 0.2);
        assert_eq!((rnn.tokens, transformer.tokens), (12 * 64, 12 * 64));
        let (rnn, transformer) = pair(1);
        assert!(rnn.tokens == transformer.tokens && rnn.parameters != transformer.parameters);
        let (rnn, transformer) = pair(2);
        assert!(near(rnn.flops, transformer.flops) < 0.3, "{} {}", rnn.flops, transformer.flops);
        assert!(found[3].entrants.iter().all(|entrant| entrant.steps > 1 && entrant.loss.mean.is_finite()));
    }
}
