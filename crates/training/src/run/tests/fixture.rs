//! Small runs to be saved.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use burn::tensor::{Device, TensorData};
use kiln_models::saved::{ModelDescription, collect_tensors};
use kiln_models::{ModelConfig, Tokenizer, TokenizerConfig};
use kiln_storage::{Files, list_checkpoints};
use tempfile::TempDir;

use crate::run::{Best, Checkpoint, LoopState, RunFolder, Snapshot};

/// The tokenizer of all these runs.
pub(super) fn tokenizer() -> Tokenizer {
    let config: TokenizerConfig = toml::from_str("[character]").unwrap();
    Tokenizer::train(&config, &mut std::iter::once(Ok("hello world".to_string()))).unwrap()
}

/// A small LSTM.
pub(super) fn description() -> ModelDescription {
    static DESCRIPTION: LazyLock<ModelDescription> = LazyLock::new(|| {
        let tokenizer = tokenizer();
        let model: ModelConfig = toml::from_str("[lstm]\nlayers = 1\nhidden = 6\nembedding = 4").unwrap();
        ModelDescription::new(model, &tokenizer, 8)
    });
    DESCRIPTION.clone()
}

/// The state of training after `step`, of which every part says the step.
pub(super) fn checkpoint(step: u64, best: u64) -> Checkpoint {
    let numbers = |count| numbers(step, count);
    let best = Some(Best { step: best, loss: 1.5 });
    Checkpoint {
        state: LoopState { step, tokens: 16 * step, best, ..LoopState::default() },
        optimizer: [("weight/first".to_string(), numbers(300)), ("weight/second".to_string(), numbers(300))].into(),
        training_weights: None,
        carried: Some([("layers.0.hidden".to_string(), numbers(12))].into()),
    }
}

/// Numbers that say the step.
pub(super) fn numbers(step: u64, count: usize) -> TensorData {
    TensorData::new((0..count).map(|n| step as f32 + n as f32 / 7.0).collect(), [count])
}

/// The same with a model, ready to be written.
pub(super) fn snapshot(checkpoint: Checkpoint) -> Snapshot {
    let description = description();
    let model = description.model.init(description.vocabulary_size, description.context, 1, &Device::flex());
    Snapshot::new(collect_tensors(&model).unwrap(), &description, checkpoint).unwrap()
}

/// Makes sure that every checkpoint that has its name is whole: none is ever seen in part.
pub(super) fn assert_none_in_part(run: &Path, what: &str) {
    for entry in list_checkpoints(run).unwrap() {
        assert!(entry.valid.is_ok(), "{what}: step {} is there in part", entry.step);
    }
}

/// A run folder that is written by way of `files`.
pub(super) fn run_folder(files: &(impl Files + Clone + 'static), path: &Path) -> RunFolder {
    RunFolder::new(Arc::new(files.clone()), path, description(), tempfile::tempfile().unwrap())
}

/// A folder on a file system in memory, where there is one: flushing costs nothing there.
pub(super) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The steps of the whole checkpoints of a run, oldest first.
pub(super) fn whole(run: &Path) -> Vec<u64> {
    let entries = list_checkpoints(run).unwrap().into_iter();
    entries.filter(|entry| entry.valid.is_ok()).map(|entry| entry.step).collect()
}

/// Draws that repeat themselves.
pub(super) struct Draws(pub(super) u64);

impl Draws {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 += 1;
        kiln_data::batches::mix(7, self.0) % end
    }
}
