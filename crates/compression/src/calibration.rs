//! Running a model over a text to see what its matrices are multiplied with.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Int, Tensor, TensorData};
use kiln_models::{Between, Draws, InputSums, LanguageModel, Sums};

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

    /// What the inputs of all matrices are.
    ///
    /// # Errors
    /// The device fails, or the inputs are not finite.
    pub(crate) fn observe(
        &self,
        model: &mut LanguageModel,
        sums: Sums,
    ) -> Result<BTreeMap<String, InputSums>, CompressionError> {
        model.matrices().iter_mut().for_each(|matrix| matrix.observe(sums));
        for tokens in self.batches(model) {
            _ = model.losses(tokens.clone(), tokens, None, &mut Draws::none());
        }
        seen(model)
    }

    /// Begins to go through a model layer by layer.
    pub(crate) fn walk(&self, model: &LanguageModel) -> Walk {
        Walk { streams: self.batches(model).into_iter().map(|tokens| model.before_layers(tokens)).collect() }
    }

    /// The windows, some at a time.
    fn batches(&self, model: &LanguageModel) -> Vec<Tensor<2, Int>> {
        let columns = self.windows.first().map_or(1, Vec::len);
        let rows = (TOKENS_OF_A_PASS / columns.max(1)).max(1);
        let device = model.device();
        let batch = |windows: &[Vec<u32>]| {
            let ids = windows.iter().flatten().map(|token| i64::from(*token)).collect::<Vec<_>>();
            Tensor::from_data(TensorData::new(ids, [windows.len(), columns]), &device)
        };
        self.windows.chunks(rows).map(batch).collect()
    }
}

/// What the layers so far make of a text.
#[derive(Clone)]
pub(crate) struct Walk {
    streams: Vec<Between>,
}

impl Walk {
    /// What the inputs of a layer's matrices are, or of the head's behind the last layer.
    ///
    /// # Errors
    /// As [`Calibration::observe`].
    pub(crate) fn observe(
        &self,
        model: &mut LanguageModel,
        layer: Option<usize>,
        names: &BTreeSet<String>,
        sums: Sums,
    ) -> Result<BTreeMap<String, InputSums>, CompressionError> {
        model.matrices().into_iter().filter(|matrix| names.contains(&matrix.name)).for_each(|mut it| it.observe(sums));
        for stream in &self.streams {
            match layer {
                Some(layer) => _ = model.through_layer(layer, stream.clone()),
                None => _ = model.after_layers(stream.clone()),
            }
        }
        seen(model)
    }

    /// Sum of the squares of each number over all tokens.
    ///
    /// # Errors
    /// The device fails.
    pub(crate) fn squares(&self) -> Result<Vec<f64>, CompressionError> {
        let mut sums: Vec<f64> = Vec::new();
        for stream in &self.streams {
            let squares = numbers(stream.values().clone().powi_scalar(2).sum_dim(0))?;
            sums.resize(squares.len(), 0.0);
            sums.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square);
        }
        Ok(sums)
    }

    /// The mean cosine of the angle between what stands here for a token and what stands in `other`.
    ///
    /// # Errors
    /// The device fails.
    pub(crate) fn mean_cosine(&self, other: &Self) -> Result<f64, CompressionError> {
        let (mut sum, mut tokens) = (0.0, 0);
        for (left, right) in self.streams.iter().zip(&other.streams) {
            let (left, right) = (left.values().clone(), right.values().clone());
            let product = |left: &Tensor<2>, right: &Tensor<2>| (left.clone() * right.clone()).sum_dim(1);
            let norms = (product(&left, &left) * product(&right, &right)).sqrt().clamp_min(f32::MIN_POSITIVE);
            let cosines = numbers(product(&left, &right) / norms)?;
            (sum, tokens) = (sum + cosines.iter().sum::<f64>(), tokens + cosines.len());
        }
        Ok(sum / tokens.max(1) as f64)
    }

    /// Goes through a layer as it is now.
    pub(crate) fn go_on(&mut self, model: &LanguageModel, layer: usize) {
        for stream in &mut self.streams {
            *stream = model.through_layer(layer, stream.clone());
        }
    }
}

fn numbers(tensor: Tensor<2>) -> Result<Vec<f64>, CompressionError> {
    let data = tensor.try_into_data().map_err(|error| CompressionError::Device(error.to_string()))?;
    Ok(data.iter::<f64>().collect())
}

/// What was seen; nothing is observed any longer.
fn seen(model: &mut LanguageModel) -> Result<BTreeMap<String, InputSums>, CompressionError> {
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
