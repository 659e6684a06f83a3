//! The text that a model is calibrated on.

use std::path::Path;

use anyhow::Context;
use kiln_compression::{Calibration, CompressConfig};
use kiln_data::shards::TokenFile;
use kiln_models::saved::SavedModel;
use kiln_training::config::Config;

use crate::training_data;

/// Tokens of a window, if the model reads as many.
const WINDOW: usize = 512;

/// What to type where a text is missing.
pub(super) const NO_TEXT: &str = "name a text like those that the model is for: `--calibration book.txt`";

/// Windows of the text that is named, or of the one that a run was trained on; none where none is needed.
///
/// # Errors
/// A text that cannot be read, or is shorter than a window.
pub(super) fn read(saved: &SavedModel, run: Option<&Config>, config: &CompressConfig) -> anyhow::Result<Calibration> {
    if !config.needs_calibration() {
        return Ok(Calibration::none());
    }
    let (name, file, _spooled) = match (&config.calibration, run) {
        (Some(path), _) => {
            let separator = run.and_then(|run| run.data.separator.as_deref());
            let (file, spooled) = training_data::tokenize_file(Path::new(path), separator, &saved.tokenizer)?;
            (format!("`{path}`"), file, spooled)
        }
        (None, Some(run)) => {
            let data = training_data::prepare_again(&saved.run, &saved.run, run)?;
            ("the training text".to_owned(), data.train, None)
        }
        (None, None) => return Ok(Calibration::none()),
    };
    windows(saved, &file, config.calibration_tokens).with_context(|| format!("{name} can't be used for calibration"))
}

/// Windows that begin as every text of the model does.
fn windows(saved: &SavedModel, file: &TokenFile, most: usize) -> anyhow::Result<Calibration> {
    let context = saved.description.context.min(WINDOW);
    let start = &saved.start[..saved.start.len().min(context.saturating_sub(1))];
    let own = context - start.len();
    let mut windows = Vec::new();
    for first in Calibration::starts(file.len(), own, most)? {
        let mut window = start.to_vec();
        window.resize(context, 0);
        file.read(first, &mut window[start.len()..])?;
        windows.push(window);
    }
    Ok(Calibration::new(windows))
}
