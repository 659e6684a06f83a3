//! What the targets share: a file to read, since several formats are read from paths only.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

pub use blake3::hash as blake3;
use kiln_models::saved::{SavedModel, inspect_foreign};

/// A folder with one file.
pub struct Scratch {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Scratch {
    /// Writes `bytes` as the file `name` of this thread's folder and calls `read` with it.
    pub fn with(name: &str, bytes: &[u8], read: impl FnOnce(&Self)) {
        thread_local!(static SCRATCH: OnceCell<Scratch> = const { OnceCell::new() });
        SCRATCH.with(|scratch| {
            let scratch = scratch.get_or_init(|| {
                let folder = tempfile::tempdir().expect("a temporary folder");
                Self { file: folder.path().join(name), folder }
            });
            std::fs::write(&scratch.file, bytes).expect("the folder can be written");
            read(scratch);
        });
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether an error names the folder, and with it the file.
    pub fn is_named_by(&self, message: &str) -> bool {
        message.contains(&*self.folder.path().to_string_lossy())
    }
}

/// Puts a small model of the tests of `kiln-models` and a tokenizer of the seeds into the folder, but for the file
/// `but`.
pub fn add_small_model(scratch: &Scratch, but: &str) {
    const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds");
    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/models/fixtures/hugging-face/llama-linear");
    for (name, source) in [
        ("config.json", format!("{MODEL}/config.json")),
        ("model.safetensors", format!("{MODEL}/model.safetensors")),
        ("tokenizer.json", format!("{SEEDS}/tokenizer/word-level.json")),
    ] {
        let place = scratch.folder().join(name);
        if name != but && !place.exists() {
            std::fs::copy(source, place).expect("it is there");
        }
    }
}

/// Looks at the model of another program at `path` and opens it; an error names the place.
pub fn open_model(scratch: &Scratch, path: &Path) {
    let found = [
        inspect_foreign(path).map(drop),
        SavedModel::open(path, Default::default(), &Default::default()).map(|model| {
            let tokens = model.tokenizer.encode("Once upon a time").unwrap_or_default();
            assert!(tokens.iter().all(|token| (*token as usize) < model.description.vocabulary_size));
        }),
    ];
    for error in found.into_iter().filter_map(Result::err) {
        assert!(scratch.is_named_by(&error.to_string()), "{error}");
    }
}
