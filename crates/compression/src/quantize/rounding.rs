//! Rounding to the nearest, and what any rounding costs.

use burn::tensor::{Device, Tensor, TensorData};
use kiln_models::InputSums;
use kiln_packed::{Format, Grid, PackedMatrix, Piece, pack};
use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;

use crate::error::CompressionError;

/// Rows of `inputs` numbers packed, each number to the nearest of its format; with `importance` scales are chosen for
/// the least error weighted by it.
pub(super) fn rounded(
    format: Format,
    inputs: usize,
    numbers: &[f32],
    importance: Option<&[f32]>,
) -> Result<PackedMatrix, CompressionError> {
    let row = |row: &[f32]| {
        let mut bytes = Vec::new();
        match importance.filter(|_| !format.is_float()) {
            None => pack(format, row, &mut bytes)?,
            importance => {
                let grid = Grid::fit(format, row, importance)?;
                grid.write(&grid.round(row), &mut bytes);
            }
        }
        Ok::<_, CompressionError>(bytes)
    };
    let rows: Result<Vec<Vec<u8>>, CompressionError> = numbers.par_chunks(inputs).map(row).collect();
    joined(format, inputs, &rows?.concat())
}

/// A matrix of blocks.
pub(super) fn joined(format: Format, inputs: usize, bytes: &[u8]) -> Result<PackedMatrix, CompressionError> {
    Ok(PackedMatrix::join(inputs, vec![Piece::new(format, inputs, bytes)?])?)
}

/// Rows whose errors are looked at in one product.
const ROWS: usize = 1024;

/// The root of the mean squared error of the outputs, over that of the outputs: of E H E^T and W H W^T the diagonals,
/// where E = W - Q and H are the sums over the inputs, or the diagonal of those, or as if they were 1.
pub(super) fn error_of(
    packed: &PackedMatrix,
    numbers: &[f32],
    seen: Option<&InputSums>,
) -> Result<f64, CompressionError> {
    let inputs = packed.inputs();
    let products = seen.filter(|seen| !seen.products.is_empty());
    let products = products
        .map(|seen| Tensor::<2>::from_data(TensorData::new(seen.products.clone(), [inputs, inputs]), &Device::flex()));
    let weighted = |rows: Vec<f32>| -> Result<f64, CompressionError> {
        let Some(products) = &products else {
            let weight = |index: usize| seen.map_or(1.0, |seen| f64::from(seen.squares[index % inputs]));
            return Ok(rows.iter().enumerate().map(|(index, number)| weight(index) * f64::from(*number).powi(2)).sum());
        };
        let height = rows.len() / inputs;
        let rows = Tensor::<2>::from_data(TensorData::new(rows, [height, inputs]), &Device::flex());
        let squares = (rows.clone().matmul(products.clone()) * rows).sum_dim(1);
        let data = squares.try_into_data().map_err(|error| CompressionError::Device(error.to_string()))?;
        Ok(data.iter::<f64>().map(|square| square.max(0.0)).sum())
    };
    let (mut lost, mut all) = (0.0, 0.0);
    for (index, rows) in numbers.chunks(ROWS * inputs).enumerate() {
        let mut kept = Vec::with_capacity(rows.len());
        packed.unpack(index * ROWS..index * ROWS + rows.len() / inputs, &mut kept);
        lost += weighted(rows.iter().zip(kept).map(|(number, kept)| number - kept).collect())?;
        all += weighted(rows.to_vec())?;
    }
    Ok(if all > 0.0 { (lost / all).sqrt() } else { 0.0 })
}
