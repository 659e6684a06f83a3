//! Rows of packed numbers times inputs.
//!
//! A few rows are multiplied with a few inputs at a time, all in registers. Where there are more inputs, rows that fit
//! a cache are gone through again for the next ones.

mod blocks;
mod floats;
mod super_blocks;

use self::blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use self::floats::{Bfloats, Halves, Singles};
use self::super_blocks::{Q4K, Q5K, Q6K};
use crate::inputs::{Form, Tiles};
use crate::isa::{Isa, Kernel, dispatch};
use crate::{Format, Inputs};

/// Bytes of rows that are gone through again for further inputs: a part of a core's second cache.
const CACHED: usize = 128 << 10;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Products of rows with every input, `[rows, N]`.
pub(crate) fn multiply_rows(format: Format, bytes: &[u8], inputs: &Inputs, products: &mut [f32]) {
    dispatch(Product { format, bytes, inputs, products });
}

pub(crate) struct Product<'a> {
    pub(crate) format: Format,
    pub(crate) bytes: &'a [u8],
    pub(crate) inputs: &'a Inputs,
    pub(crate) products: &'a mut [f32],
}

/// How a format is multiplied, block by block. All is marked `#[inline(always)]`, as [`Kernel`] asks for.
trait Packing {
    /// A block as it lies in memory.
    type Block: Copy;
    /// The inputs that it is multiplied with.
    type Form: Form;
    /// A block in registers.
    type Unpacked<I: Isa>;
    /// Sums of products with M inputs in registers.
    type Sums<I: Isa, const M: usize>: Copy;

    fn blocks(row: &[u8]) -> &[Self::Block];
    /// The last block of a row, filled up with zeros, if it isn't whole.
    fn rest(row: &[u8]) -> Option<Self::Block>;
    fn unpacked<I: Isa>(isa: I, block: &Self::Block) -> Self::Unpacked<I>;
    fn none<I: Isa, const M: usize>(isa: I) -> Self::Sums<I, M>;
    fn add<I: Isa, const M: usize>(
        isa: I,
        block: &Self::Unpacked<I>,
        inputs: &<Self::Form as Form>::Tile<M>,
        sums: &mut Self::Sums<I, M>,
    );
    fn totals<I: Isa, const M: usize>(isa: I, sums: &Self::Sums<I, M>) -> [f32; M];
}

/// The N bytes at `at`.
#[inline(always)]
fn part<const N: usize>(block: &[u8], at: usize) -> &[u8; N] {
    match block[at..].first_chunk() {
        Some(part) => part,
        None => unreachable!("a block has as many bytes as its format says"),
    }
}

impl Kernel for Product<'_> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (inputs, format) = (self.inputs, self.format);
        match format {
            Format::F32 => self.all::<I, Singles>(isa, inputs.floats()),
            Format::F16 => self.all::<I, Halves>(isa, inputs.floats()),
            Format::Bf16 => self.all::<I, Bfloats>(isa, inputs.floats()),
            Format::Q4_0 => self.all::<I, Q4_0>(isa, inputs.blocks()),
            Format::Q4_1 => self.all::<I, Q4_1>(isa, inputs.blocks()),
            Format::Q5_0 => self.all::<I, Q5_0>(isa, inputs.blocks()),
            Format::Q5_1 => self.all::<I, Q5_1>(isa, inputs.blocks()),
            Format::Q8_0 => self.all::<I, Q8_0>(isa, inputs.blocks()),
            Format::Q4K => self.all::<I, Q4K>(isa, inputs.super_blocks()),
            Format::Q5K => self.all::<I, Q5K>(isa, inputs.super_blocks()),
            Format::Q6K => self.all::<I, Q6K>(isa, inputs.super_blocks()),
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn all<I: Isa, P: Packing>(self, isa: I, inputs: &Tiles<P::Form>) {
        let (count, width) = (self.inputs.rows(), self.inputs.width());
        let row_bytes = self.format.row_bytes(width).unwrap_or(0);
        if count == 0 || row_bytes == 0 {
            return self.products.fill(0.0);
        }
        let blocks = width.div_ceil(P::Form::BLOCK);
        let cached = if count <= 8 { usize::MAX } else { (CACHED / row_bytes).max(4) };
        let chunks = self.bytes.chunks(cached.saturating_mul(row_bytes));
        for (bytes, products) in chunks.zip(self.products.chunks_mut(cached.saturating_mul(count))) {
            let mut output = Output { products, count, first: 0 };
            for eight in inputs.eights.chunks_exact(blocks) {
                rows::<I, P, 2, 8>(isa, bytes, row_bytes, eight, &mut output);
            }
            for four in inputs.four.chunks_exact(blocks) {
                rows::<I, P, 2, 4>(isa, bytes, row_bytes, four, &mut output);
            }
            for two in inputs.two.chunks_exact(blocks) {
                rows::<I, P, 4, 2>(isa, bytes, row_bytes, two, &mut output);
            }
            for one in inputs.one.chunks_exact(blocks) {
                rows::<I, P, 8, 1>(isa, bytes, row_bytes, one, &mut output);
            }
        }
    }
}

/// Where products go: `[rows, count]`, from column `first` on.
struct Output<'a> {
    products: &'a mut [f32],
    count: usize,
    first: usize,
}

/// Blocks of M inputs.
type TileOf<P, const M: usize> = <<P as Packing>::Form as Form>::Tile<M>;

/// The products of all rows, R at a time, with M inputs, after which the next M follow.
#[inline(always)]
fn rows<I: Isa, P: Packing, const R: usize, const M: usize>(
    isa: I,
    bytes: &[u8],
    row_bytes: usize,
    inputs: &[TileOf<P, M>],
    output: &mut Output<'_>,
) {
    let count = bytes.len() / row_bytes;
    for row in (0..count / R * R).step_by(R) {
        tile::<I, P, R, M>(isa, &bytes[row * row_bytes..], row_bytes, inputs, output, row);
    }
    for row in count / R * R..count {
        tile::<I, P, 1, M>(isa, &bytes[row * row_bytes..], row_bytes, inputs, output, row);
    }
    output.first += M;
}

/// The products of R rows, of which the first is number `first`, with M inputs.
#[inline(always)]
fn tile<I: Isa, P: Packing, const R: usize, const M: usize>(
    isa: I,
    bytes: &[u8],
    row_bytes: usize,
    inputs: &[TileOf<P, M>],
    output: &mut Output<'_>,
    first: usize,
) {
    let count = P::blocks(&bytes[..row_bytes]).len();
    let (whole, rest) = inputs.split_at(count);
    let mut rows: [&[P::Block]; R] = [&[]; R];
    for (index, row) in rows.iter_mut().enumerate() {
        *row = &P::blocks(&bytes[index * row_bytes..][..row_bytes])[..count];
    }
    let mut sums = [P::none::<I, M>(isa); R];
    // Rows that are read side by side are no stream that a processor would see by itself.
    let next = bytes.as_ptr().wrapping_add(R * row_bytes);
    let step = R * size_of::<P::Block>();
    for at in 0..count {
        for line in 0..step.div_ceil(LINE) {
            isa.prefetch(next.wrapping_add(at * step + line * LINE));
        }
        for (row, sums) in rows.iter().zip(&mut sums) {
            P::add::<I, M>(isa, &P::unpacked(isa, &row[at]), &whole[at], sums);
        }
    }
    if let [rest] = rest {
        for (index, sums) in sums.iter_mut().enumerate() {
            if let Some(block) = P::rest(&bytes[index * row_bytes..][..row_bytes]) {
                P::add::<I, M>(isa, &P::unpacked(isa, &block), rest, sums);
            }
        }
    }
    for (index, sums) in sums.iter().enumerate() {
        let products = &mut output.products[(first + index) * output.count + output.first..][..M];
        products.copy_from_slice(&P::totals(isa, sums));
    }
}
