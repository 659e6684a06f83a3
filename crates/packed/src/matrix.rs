//! A matrix of packed numbers.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};

use crate::product::multiply_rows;
use crate::{Format, Inputs, PackedError, pack, unpack};

/// Rows of one format, each the weights of one output.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    format: Format,
    rows: usize,
    row_bytes: usize,
    /// Words, so that single precision lies where it can be read.
    words: Arc<Vec<u32>>,
}

/// A matrix of weights `[outputs, inputs]`, whose rows lie in memory as in a file. Copies share them.
///
/// It may have pieces of different formats: the projections that make queries, keys and values are one matrix, of which
/// a file may keep the last in more bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedMatrix {
    inputs: usize,
    outputs: usize,
    pieces: Vec<Piece>,
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows of {}", self.rows, self.format.name())
    }
}

impl Piece {
    /// Rows of `inputs` numbers each.
    ///
    /// # Errors
    /// A row isn't a whole number of blocks, or there is a part of a row.
    pub fn new(format: Format, inputs: usize, bytes: &[u8]) -> Result<Self, PackedError> {
        let row_bytes = format.row_bytes(inputs).ok_or(PackedError::Row { format, inputs })?;
        let rows = bytes.len().checked_div(row_bytes).unwrap_or(0);
        if rows * row_bytes != bytes.len() {
            return Err(PackedError::Length { expected: (rows + 1) * row_bytes, found: bytes.len() });
        }
        Self::filled(format, inputs, rows, |place| {
            place.copy_from_slice(bytes);
            Ok(())
        })
    }

    /// `rows` rows of `inputs` numbers each, whose bytes `fill` writes where they stay.
    ///
    /// # Errors
    /// A row isn't a whole number of blocks, there is no memory for all of them, or the error of `fill`.
    pub fn filled<E: From<PackedError>>(
        format: Format,
        inputs: usize,
        rows: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let row_bytes = format.row_bytes(inputs).ok_or(PackedError::Row { format, inputs })?;
        let length = rows.checked_mul(row_bytes).ok_or(PackedError::Memory)?;
        let count = length.div_ceil(size_of::<u32>());
        let mut words = Vec::new();
        words.try_reserve_exact(count).map_err(|_| PackedError::Memory)?;
        words.resize(count, 0_u32);
        fill(&mut bytemuck::cast_slice_mut(&mut words)[..length])?;
        Ok(Self { format, rows, row_bytes, words: Arc::new(words) })
    }

    /// How the numbers are packed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// These of its rows, in this order.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn rows_in_order(&self, order: &[u32]) -> Self {
        if order.iter().enumerate().all(|(index, row)| index == *row as usize) && order.len() == self.rows {
            return self.clone();
        }
        let bytes = order.len() * self.row_bytes;
        let mut words = vec![0_u32; bytes.div_ceil(size_of::<u32>())];
        let places = bytemuck::cast_slice_mut::<u32, u8>(&mut words).chunks_exact_mut(self.row_bytes.max(1));
        for (place, row) in places.zip(order) {
            let row = *row as usize;
            place.copy_from_slice(self.bytes(row..row + 1));
        }
        Self { rows: order.len(), words: Arc::new(words), ..self.clone() }
    }

    /// The first number that isn't finite, counted from the first row, or the first number of the first block whose
    /// scale isn't.
    pub fn first_not_finite(&self) -> Option<usize> {
        let bytes = self.bytes(0..self.rows);
        let half = |block: &[u8], at: usize| !f16::from_le_bytes([block[at], block[at + 1]]).is_finite();
        let is_wrong = |block: &[u8]| match self.format {
            Format::F32 => !f32::from_le_bytes([block[0], block[1], block[2], block[3]]).is_finite(),
            Format::Bf16 => !bf16::from_le_bytes([block[0], block[1]]).is_finite(),
            Format::F16 | Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => half(block, 0),
            Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => half(block, 0) || half(block, 2),
            Format::Q6K => half(block, 208),
        };
        let block = bytes.chunks_exact(self.format.block_bytes()).position(is_wrong)?;
        Some(block * self.format.block())
    }

    /// The bytes of some rows.
    pub fn bytes(&self, rows: Range<usize>) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[rows.start * self.row_bytes..rows.end * self.row_bytes]
    }
}

impl PackedMatrix {
    /// Packs rows of `inputs` numbers each.
    ///
    /// # Errors
    /// As [`pack`] and [`Piece::new`].
    pub fn pack(format: Format, inputs: usize, numbers: &[f32]) -> Result<Self, PackedError> {
        let mut bytes = Vec::new();
        pack(format, numbers, &mut bytes)?;
        Self::join(inputs, vec![Piece::new(format, inputs, &bytes)?])
    }

    /// The rows of several pieces, one after the other.
    ///
    /// # Errors
    /// [`PackedError::Pieces`] if their rows don't have `inputs` numbers.
    pub fn join(inputs: usize, pieces: Vec<Piece>) -> Result<Self, PackedError> {
        if pieces.iter().any(|piece| piece.format.row_bytes(inputs) != Some(piece.row_bytes)) {
            return Err(PackedError::Pieces);
        }
        Ok(Self { inputs, outputs: pieces.iter().map(Piece::rows).sum(), pieces })
    }

    /// Numbers of a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Rows.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// What it consists of.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Bytes that the numbers take, and that a product reads.
    pub fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.rows * piece.row_bytes).sum()
    }

    /// Appends the numbers of some rows.
    pub fn unpack(&self, rows: Range<usize>, numbers: &mut Vec<f32>) {
        for (piece, rows) in self.parts(rows) {
            unpack(piece.format, piece.bytes(rows), numbers);
        }
    }

    /// Products of some rows with every input: `[outputs, N]`, N being the number of inputs, on this thread.
    ///
    /// # Panics
    /// If there is another number of products, or the inputs are for a matrix of another width or other formats.
    pub fn multiply(&self, inputs: &Inputs, rows: Range<usize>, products: &mut [f32]) {
        assert_eq!(inputs.width(), self.inputs, "the inputs of a matrix must have as many numbers as its rows");
        assert_eq!(products.len(), rows.len() * inputs.rows(), "a product for each row and each input");
        let mut left = products;
        for (piece, rows) in self.parts(rows) {
            let (products, rest) = left.split_at_mut(rows.len() * inputs.rows());
            multiply_rows(piece.format, piece.bytes(rows), inputs, products);
            left = rest;
        }
    }

    /// Which rows of which pieces some rows are.
    fn parts(&self, rows: Range<usize>) -> impl Iterator<Item = (&Piece, Range<usize>)> {
        let mut first = 0;
        self.pieces.iter().filter_map(move |piece| {
            let own = first..first + piece.rows;
            first = own.end;
            let (start, end) = (rows.start.max(own.start), rows.end.min(own.end));
            (start < end).then(|| (piece, start - own.start..end - own.start))
        })
    }
}
