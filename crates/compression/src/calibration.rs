//! Running a model over a text to see what its matrices are multiplied with.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Int, Tensor, TensorData};
use kiln_models::{Draws, InputSums, LanguageModel, Sums};

use crate::error::CompressionError;

/// Tokens that are read in one pass: it bounds the memory of what is computed on the way.
const TOKENS_OF_A_PASS: usize = 2048;

/// Windows of a text.
#[derive(Debug, Clone, Default)]
pub struct Calibration {
    /// Windows of the same length, each read cold.
    windows: Vec<Vec<u32>>,
}

impl Calibration {
    /// No text.
    pub fn none() -> Self {
        Self::default()
    }

    /// Windows, all of one length.
    pub fn new(windows: Vec<Vec<u32>>) -> Self {
        Self { windows }
    }

    /// Where windows of `context` tokens start that have `most` tokens together and are spread evenly over a text.
    ///
    /// # Errors
    /// [`CompressionError::ShortCalibration`] if the text is shorter than a window.
    pub fn starts(tokens: u64, context: usize, most: usize) -> Result<Vec<u64>, CompressionError> {
        let all = tokens / context.max(1) as u64;
        if all == 0 {
            return Err(CompressionError::ShortCalibration { tokens, context });
        }
        let wanted = (most / context.max(1)).max(1) as u64;
        let wanted = wanted.min(all);
        Ok((0..wanted).map(|index| index * all / wanted * context as u64).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Tokens of all windows.
    pub fn tokens(&self) -> usize {
        self.windows.iter().map(Vec::len).sum()
    }

    /// What the inputs of some matrices are.
    ///
    /// # Errors
    /// The device fails, or the inputs are not finite.
    pub(crate) fn observe(
        &self,
        model: &mut LanguageModel,
        names: &BTreeSet<String>,
        sums: Sums,
    ) -> Result<BTreeMap<String, InputSums>, CompressionError> {
        model.matrices().into_iter().filter(|matrix| names.contains(&matrix.name)).for_each(|mut it| it.observe(sums));
        self.read(model);
        let mut seen = BTreeMap::new();
        for mut matrix in model.matrices() {
            let Some(sums) = matrix.observed() else { continue };
            let sums = sums.map_err(CompressionError::Device)?;
            if sums.squares.iter().any(|number| !number.is_finite()) {
                return Err(CompressionError::NotFinite { part: matrix.name });
            }
            seen.insert(matrix.name, sums);
        }
        Ok(seen)
    }

    /// Reads all windows. The last token of each is only predicted.
    fn read(&self, model: &LanguageModel) {
        let Some(columns) = self.windows.first().map(Vec::len) else { return };
        let rows = (TOKENS_OF_A_PASS / columns.max(1)).max(1);
        let device = model.device();
        for windows in self.windows.chunks(rows) {
            let ids = windows.iter().flatten().map(|token| i64::from(*token)).collect::<Vec<_>>();
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids, [windows.len(), columns]), &device);
            _ = model.losses(tokens.clone(), tokens, None, &mut Draws::none());
        }
    }
}
