//! A warm start: weights of another model in the place of drawn ones.

mod growth;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use kiln_models::saved::{SavedModel, SavedModelError, collect_tensors};
use kiln_models::{LanguageModel, ModelConfig, Tokenizer};
use kiln_parameters::{Parameter, catalogue, fill, is_chosen};
use kiln_settings::join;
use toml::Value;

use crate::config::StartConfig;
use crate::parts::{PartsError, check_patterns, listed};

/// What was taken from the start model, and what was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmStart {
    /// Paths of the parameters that were taken.
    pub taken: Vec<String>,
    /// Numbers in them.
    pub numbers: u64,
    /// Paths of the start model's parameters that were not.
    pub left: Vec<String>,
    /// Paths of parameters that were drawn as usual.
    pub new: Vec<String>,
    /// How the vocabularies compare, where they differ.
    pub vocabulary: Option<SharedVocabulary>,
    /// Numbers of the start model, where it was made larger.
    pub grown_from: Option<u64>,
    /// What is rotated otherwise than in the start model, in words.
    pub rotated: Vec<String>,
}

/// How many tokens two vocabularies share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedVocabulary {
    /// Tokens that both know, by their text.
    pub known: usize,
    /// Tokens that only the new one knows, which start at the mean of the start model's tokens.
    pub others: usize,
    /// Rows of the start model that were left out.
    pub left: usize,
}

/// Why a model cannot start from another one.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The models differ.
    #[error("the model cannot start from `{}`:{}", from.display(), lines(.mismatches))]
    Mismatch {
        /// The start model.
        from: PathBuf,
        /// Every difference, in words.
        mismatches: Vec<String>,
    },
    /// A pattern fits nothing.
    #[error(transparent)]
    Patterns(#[from] PartsError),
    /// The patterns leave nothing.
    #[error("`start.only` and `start.except` leave nothing to take from `{}`, which has {}", from.display(),
            listed(.parameters))]
    Nothing {
        /// The start model.
        from: PathBuf,
        /// Its parameters.
        parameters: Vec<String>,
    },
    /// The weights cannot be read from the device.
    #[error(transparent)]
    Model(#[from] SavedModelError),
}

fn lines(mismatches: &[String]) -> String {
    mismatches.iter().map(|mismatch| format!("\n  {mismatch}")).collect()
}

/// The model `fresh`, whose weights were drawn, with those of the model `start` as far as `settings` takes them; it
/// reads tokens of `tokenizer`.
///
/// Where the vocabularies differ, a token's row of the table, its column of the head and its bias are those of the
/// token of the same text; those of other tokens are the mean over all of the start model's. Rows beyond the tokens are
/// left out, and so are learned positions beyond the context. The rotation of positions may differ, which has no
/// weights.
///
/// # Errors
/// When the models differ in what is to be taken: all of it is named. `config` is what `fresh` was made from.
pub fn warm_start(
    fresh: LanguageModel,
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    start: &SavedModel,
    settings: &StartConfig,
) -> Result<(LanguageModel, WarmStart), StartError> {
    let (mut tensors, mut base) = (collect_tensors(&start.model)?, start.description.model.clone());
    let mut paths: Vec<String> = catalogue(&start.model).into_iter().map(|parameter| parameter.path).collect();
    let mismatch = |mismatches| StartError::Mismatch { from: settings.from.clone(), mismatches };
    let mut grown_from = None;
    if settings.grow {
        grown_from = Some(numbers(&tensors));
        tensors = growth::grown(tensors, &base, config).map_err(mismatch)?;
        base = growth::resized(&base, config);
        paths = tensors.keys().cloned().collect();
    }
    let name = format!("`{}`", settings.from.display());
    check_patterns("start.only", &settings.only, &name, &paths)?;
    check_patterns("start.except", &settings.except, &name, &paths)?;
    let parameters = catalogue(&fresh);
    let mut rows = Rows::new(tokenizer, &start.tokenizer, start.model.vocabulary_size());
    rows.stretches = settings.stretch_positions;
    let differences = differences(config, &base);
    let (rotated, different): (Vec<_>, Vec<_>) = differences.into_iter().partition(|words| words.contains(".rotary-"));
    let mut mismatches = if settings.takes_all() { different } else { Vec::new() };
    let mut report = WarmStart { grown_from, rotated, ..WarmStart::new(rows.shared(&start.tokenizer)) };
    let mut values = BTreeMap::new();
    for path in &paths {
        if !is_chosen(&settings.only, &settings.except, path) {
            report.left.push(path.clone());
            continue;
        }
        let found = parameters.iter().find(|parameter| parameter.path == *path);
        match (found, &tensors[path]) {
            (None, _) => mismatches.push(format!("`{path}` is a parameter of the start model alone")),
            (Some(parameter), data) => match rows.fitted(parameter, data) {
                Ok(data) => {
                    report.numbers += parameter.elements() as u64;
                    report.taken.push(path.clone());
                    values.insert(path.clone(), data);
                }
                Err(problem) => mismatches.push(problem),
            },
        }
    }
    let is_new = |parameter: &&Parameter| !values.contains_key(&parameter.path);
    report.new = parameters.iter().filter(is_new).map(|parameter| parameter.path.clone()).collect();
    if settings.takes_all() {
        let fits = |path: &&String| !paths.contains(path);
        mismatches.extend(report.new.iter().filter(fits).map(|path| format!("`{path}` is missing in the start model")));
    }
    if !mismatches.is_empty() {
        return Err(mismatch(mismatches));
    }
    if report.taken.is_empty() {
        return Err(StartError::Nothing { from: settings.from.clone(), parameters: paths });
    }
    let device = fresh.device();
    let model = fill(fresh, |parameter| values.remove(&parameter.path).map(|data| Tensor::from_data(data, &device)));
    Ok((model, report))
}

impl WarmStart {
    fn new(vocabulary: Option<SharedVocabulary>) -> Self {
        Self {
            taken: Vec::new(),
            numbers: 0,
            left: Vec::new(),
            new: Vec::new(),
            vocabulary,
            grown_from: None,
            rotated: Vec::new(),
        }
    }
}

fn numbers(tensors: &BTreeMap<String, TensorData>) -> u64 {
    tensors.values().map(|data| data.num_elements() as u64).sum()
}

/// The model `start` as the base of adapters, with the dropout and the context of a run: nothing of it is drawn anew.
///
/// # Errors
/// When the run's model or its tokens are others.
pub fn base_model(
    config: &ModelConfig,
    context: usize,
    tokenizer: &Tokenizer,
    start: &SavedModel,
    from: &Path,
) -> Result<LanguageModel, StartError> {
    let wrong = |mismatches| StartError::Mismatch { from: from.to_path_buf(), mismatches };
    let mut mismatches = differences(config, &start.description.model);
    if !tokenizer.has_vocabulary_of(&start.tokenizer) {
        let [own, theirs] = [tokenizer, &start.tokenizer].map(Tokenizer::vocabulary_size);
        mismatches.push(format!(
            "adapters need its tokenizer, which has {theirs} tokens; that of the run has {own} tokens, or others"
        ));
    }
    if !mismatches.is_empty() {
        return Err(wrong(mismatches));
    }
    start.model.clone().reconfigured(config, context).map_err(|problem| wrong(vec![problem]))
}

/// What two configurations of models say differently, but for dropout, which is no part of the function.
fn differences(here: &ModelConfig, there: &ModelConfig) -> Vec<String> {
    let [here, there] = [here, there].map(|config| {
        let mut values = BTreeMap::new();
        flatten("model", &Value::try_from(config).unwrap_or(Value::Boolean(false)), &mut values);
        values
    });
    if here.keys().zip(there.keys()).next().is_some_and(|(one, other)| family(one) != family(other)) {
        let name = |values: &BTreeMap<String, String>| values.keys().next().map_or("", |key| family(key)).to_owned();
        return vec![format!("it is a {}, and the start model a {}", name(&here), name(&there))];
    }
    let keys: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    let differs = |key: &&&String| !key.ends_with("dropout") && here.get(**key) != there.get(**key);
    let words = |value: Option<&String>| value.map_or_else(|| "left out".to_owned(), Clone::clone);
    let difference = |key: &String| format!("`{key}` is {}, and {} there", words(here.get(key)), words(there.get(key)));
    keys.iter().filter(differs).map(|key| difference(key)).collect()
}

/// `lstm` of `model.lstm.hidden`.
fn family(key: &str) -> &str {
    key.split('.').nth(1).unwrap_or_default()
}

fn flatten(path: &str, value: &Value, values: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| flatten(&join(path, key), value, values)),
        other => _ = values.insert(path.to_owned(), other.to_string()),
    }
}

/// Which rows of the start model's tables become those of the new one's.
struct Rows {
    /// For each token the token of the start model with its text.
    tokens: Vec<Option<usize>>,
    /// Tokens of the start model.
    known: usize,
    /// Its rows, which may be more.
    rows: usize,
    is_same: bool,
    /// Whether a longer table of positions is read between the rows of the start model's.
    stretches: bool,
}

impl Rows {
    fn new(tokenizer: &Tokenizer, start: &Tokenizer, rows: usize) -> Self {
        let (size, known) = (tokenizer.vocabulary_size(), start.vocabulary_size());
        if tokenizer.has_vocabulary_of(start) {
            return Self { tokens: (0..size).map(Some).collect(), known, rows, is_same: true, stretches: false };
        }
        let mut by_text = HashMap::new();
        for token in (0..known).rev() {
            if let Some(bytes) = start.token_bytes(token as u32) {
                by_text.insert(bytes, token);
            }
        }
        let token = |token: usize| by_text.get(&tokenizer.token_bytes(token as u32)?).copied();
        Self { tokens: (0..size).map(token).collect(), known, rows, is_same: false, stretches: false }
    }

    fn shared(&self, start: &Tokenizer) -> Option<SharedVocabulary> {
        let known = self.tokens.iter().flatten().count();
        let taken: BTreeSet<&usize> = self.tokens.iter().flatten().collect();
        let (others, left) = (self.tokens.len() - known, self.rows - taken.len());
        let is_whole = self.is_same && self.rows == start.vocabulary_size();
        (!is_whole).then_some(SharedVocabulary { known, others, left })
    }

    /// The values of a parameter in its own shape, or what is wrong with them.
    fn fitted(&self, parameter: &Parameter, data: &TensorData) -> Result<TensorData, String> {
        let (shape, path) = (&parameter.shape, parameter.path.as_str());
        let theirs = data.shape().to_vec();
        let wrong =
            |more: &str| Err(format!("`{path}` has the shape {shape:?}, and {theirs:?} in the start model{more}"));
        let axis = match path {
            "embedding.weight" | "token_embedding.weight" | "output.bias" => Some(0),
            "output.weight" => Some(1),
            _ => None,
        };
        if path == "position_embedding.weight" && theirs.len() == 2 && theirs[1] == shape[1] {
            if theirs[0] < shape[0] {
                if self.stretches && theirs[0] > 1 {
                    return Ok(flat(stretched(&data.iter::<f32>().collect::<Vec<f32>>(), theirs[0], shape)));
                }
                return wrong("; write `start.stretch-positions = true` for a longer `run.context`");
            }
            let first = data.iter::<f32>().take(parameter.elements()).collect::<Vec<f32>>();
            return Ok(flat(first));
        }
        let Some(axis) = axis else {
            return if theirs == *shape { Ok(flat(data.iter::<f32>().collect())) } else { wrong("") };
        };
        let mut expected = shape.clone();
        expected[axis] = self.rows;
        if theirs != expected {
            return wrong(", apart from the vocabulary");
        }
        Ok(flat(self.picked(&data.iter::<f32>().collect::<Vec<f32>>(), axis, shape)))
    }

    /// The numbers of `tokens` along an axis; of tokens that aren't there the mean.
    fn picked(&self, values: &[f32], axis: usize, shape: &[usize]) -> Vec<f32> {
        // [outer, tokens, inner]
        let outer: usize = shape[..axis].iter().product();
        let inner: usize = shape[axis + 1..].iter().product();
        let mut picked = Vec::with_capacity(outer * self.tokens.len() * inner);
        for block in values.chunks(self.rows * inner).take(outer) {
            let row = |token: usize| &block[token * inner..(token + 1) * inner];
            let mean: Vec<f32> = (0..inner)
                .map(|column| {
                    let sum: f64 = (0..self.known).map(|token| f64::from(row(token)[column])).sum();
                    (sum / self.known as f64) as f32
                })
                .collect();
            for token in &self.tokens {
                picked.extend_from_slice(token.map_or(&mean, row));
            }
        }
        picked
    }
}

/// A table of `rows` rows read at as many places as `shape` has, from its first to its last row, between two rows in
/// proportion.
fn stretched(table: &[f32], rows: usize, shape: &[usize]) -> Vec<f32> {
    let (places, width) = (shape[0], shape[1]);
    let row = |place: usize| {
        let at = place as f64 * (rows - 1) as f64 / (places - 1) as f64;
        let below = (at.floor() as usize).min(rows - 2);
        let part = (at - below as f64) as f32;
        let number = |row: usize, column: usize| table[row * width + column];
        (0..width).map(move |column| number(below, column) * (1.0 - part) + number(below + 1, column) * part)
    };
    (0..places).flat_map(row).collect()
}

fn flat(values: Vec<f32>) -> TensorData {
    let shape = [values.len()];
    TensorData::new(values, shape)
}

#[cfg(test)]
mod tests;
