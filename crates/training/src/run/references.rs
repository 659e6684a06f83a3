//! The log-probabilities of a run's preferences under the model that it started from, computed once.

use std::path::Path;

use burn::tensor::ExecutionError;
use kiln_data::batches::read_pairs;
use kiln_data::shards::TokenFile;
use kiln_kernels::Draws;
use kiln_models::LanguageModel;
use kiln_settings::files::{Content, Links, read_regular};
use kiln_storage::layout::REFERENCE_FILE;
use kiln_storage::{DiskFiles, write_file_atomically};
use serde::{Deserialize, Serialize};

use super::error::{FolderError, io};
use crate::evaluation::EvaluationError;
use crate::learning::answer_log_probabilities;

/// A dozen bytes an answer: a hundred million of them.
const LONGEST: u64 = 2 << 30;

/// Pairs that are read at a time.
const PAIRS: usize = 8;

/// The log-probabilities of both splits, of the answers in the order of the token files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct References {
    train: OfSplit,
    validation: OfSplit,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OfSplit {
    /// BLAKE3 of the tokens.
    tokens: String,
    /// The longest answer with its prompt that was read, tokens.
    context: usize,
    /// Of the chosen and the rejected answer of each pair in turns; 0 of those that don't fit the context.
    log_probabilities: Vec<f32>,
}

impl References {
    /// Of the answers of both splits under `model`, which is without autodiff; `proceed` gets the share that is done.
    ///
    /// # Errors
    /// When the tokens cannot be read, or the device fails.
    pub fn of(
        model: &LanguageModel,
        [train, validation]: [&TokenFile; 2],
        context: usize,
        proceed: &mut dyn FnMut(f64),
    ) -> Result<Self, EvaluationError> {
        let train = OfSplit::of(model, train, context, &mut |done| proceed(done / 2.0))?;
        let validation = OfSplit::of(model, validation, context, &mut |done| proceed(0.5 + done / 2.0))?;
        Ok(Self { train, validation })
    }

    /// Those in a run folder.
    ///
    /// # Errors
    /// When the file cannot be read, or isn't one that this program writes.
    pub fn read(run: &Path) -> Result<Self, FolderError> {
        let path = run.join(REFERENCE_FILE);
        let bytes = read_regular(&path, Links::Followed, LONGEST).and_then(Content::into_bytes);
        bytes.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)).map_err(|source| io(&path, "read", source))
    }

    /// Writes them into a run folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, run: &Path) -> Result<(), FolderError> {
        let path = run.join(REFERENCE_FILE);
        let bytes = serde_json::to_vec(self).map_err(|error| io(&path, "write", error.into()))?;
        Ok(write_file_atomically(&DiskFiles, &path, &bytes)?)
    }

    /// The splits with them.
    ///
    /// # Errors
    /// When they are those of other tokens or another context.
    pub fn put(
        self,
        [train, validation]: [TokenFile; 2],
        context: usize,
        run: &Path,
    ) -> Result<[TokenFile; 2], FolderError> {
        let other = || {
            let words = "it is of other tokens or of another `run.context`; the run can't be resumed with these";
            io(&run.join(REFERENCE_FILE), "use", std::io::Error::other(words))
        };
        let put = |of: OfSplit, file: TokenFile| {
            let fits = of.tokens == hexadecimal(&file) && of.context == context;
            fits.then(|| file.with_references(of.log_probabilities)).flatten().ok_or_else(other)
        };
        Ok([put(self.train, train)?, put(self.validation, validation)?])
    }
}

impl OfSplit {
    fn of(
        model: &LanguageModel,
        file: &TokenFile,
        context: usize,
        proceed: &mut dyn FnMut(f64),
    ) -> Result<Self, EvaluationError> {
        let numbers = file.examples().map(|examples| examples.fitting(context).examples).unwrap_or_default();
        let mut log_probabilities = vec![0.0; file.examples().map_or(0, |examples| 2 * examples.count() as usize)];
        for (done, numbers_here) in numbers.chunks(PAIRS).enumerate() {
            proceed((done * PAIRS) as f64 / numbers.len() as f64);
            let batch = read_pairs(file, numbers_here, context)?;
            let found = answer_log_probabilities(model, batch, &mut Draws::none());
            let found = found.try_into_data().map_err(|error: ExecutionError| error)?;
            for (pair, answers) in numbers_here.iter().zip(found.iter::<f32>().collect::<Vec<f32>>().chunks(2)) {
                log_probabilities[2 * *pair as usize..][..2].copy_from_slice(answers);
            }
        }
        Ok(Self { tokens: hexadecimal(file), context, log_probabilities })
    }
}

fn hexadecimal(file: &TokenFile) -> String {
    file.hash().iter().map(|byte| format!("{byte:02x}")).collect()
}
