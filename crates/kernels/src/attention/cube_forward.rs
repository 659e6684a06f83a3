//! The forward kernel: a cube has a tile of queries and goes through the tiles of keys up to its own, with an online
//! softmax (Dao 2023, FlashAttention-2, <https://arxiv.org/abs/2307.08691>).

use burn_cubecl::cubecl::{self, prelude::*};

use super::cube_tile::{Form, add_products, load, no_sums, place, products, store};
use crate::cube::Four;

/// Less than any score; not -infinity, which not every shading language has as a constant.
const FORBIDDEN: f32 = -3.0e38;

#[cube(launch)]
pub(super) fn attend<P: Size, O: Size>(
    packed: &[Vector<f32, P>],
    output: &mut [Vector<f32, O>],
    logarithms: &mut [f32],
    rows: usize,
    steps: usize,
    scale: f32,
    cap: f32,
    #[comptime] form: Form,
) {
    let queries = comptime!(form.heads.queries);
    let width = comptime!(form.heads.width);
    let tile = comptime!(form.tile);
    let block = comptime!(form.block());
    let stride = comptime!(form.packed());
    let place = place(steps, queries, tile, true);
    if place.row >= rows {
        terminate!();
    }
    let start = place.row * steps * stride;
    let shared_head = place.head / comptime!(form.heads.queries / form.heads.key_values);
    let key_start = start + (queries + shared_head) * width;
    let value_start = key_start + comptime!(form.heads.key_values * form.heads.width);
    let first = place.tile * tile;

    let mut own = Shared::<[Four]>::new_slice(comptime!(form.tile * form.pitch()));
    let mut others = Shared::<[Four]>::new_slice(comptime!(form.tile * form.pitch()));
    let mut weights = Shared::new_slice(comptime!(form.tile * (form.tile + 1)));
    // A number of each of the 16 units that share a row.
    let mut of_units = Shared::new_slice(comptime!(form.tile * 16));
    load(&mut own, packed, first, steps, start + place.head * width, stride, form);
    let mut mixed = no_sums(form);
    let mut largest = Array::<f32>::new(block);
    let mut sums = Array::<f32>::new(block);
    #[unroll]
    for r in 0..block {
        largest[r] = f32::new(FORBIDDEN);
        sums[r] = f32::new(0.0);
    }
    for key_tile in 0..place.tile + 1 {
        let first_key = key_tile * tile;
        load(&mut others, packed, first_key, steps, key_start, stride, form);
        sync_cube();
        let mut scores = products(&own, &others, form);
        share_peaks(&mut of_units, &mut scores, first, first_key, scale, cap, form);
        // All have read the keys, too.
        sync_cube();
        load(&mut others, packed, first_key, steps, value_start, stride, form);
        weigh(&mut weights, &mut mixed, &mut largest, &mut sums, &scores, &of_units, form);
        sync_cube();
        add_products(&mut mixed, &weights, &others, form, false);
        sync_cube();
    }
    share_sums(&mut of_units, &sums, form);
    sync_cube();
    let logarithm_start = (place.row * queries + place.head) * steps;
    normalise(&mut mixed, logarithms, &of_units, &largest, first, steps, logarithm_start, form);
    let output_start = place.row * steps * queries * width + place.head * width;
    store(output, &mixed, first, steps, output_start, comptime!(form.heads.queries * form.heads.width), form);
}

/// Turns the unit's products of queries and keys into scores, capped, and forbidden for later keys; puts its largest
/// score of each row into shared memory.
#[cube]
fn share_peaks(
    of_units: &mut Shared<[f32]>,
    scores: &mut Array<f32>,
    first: usize,
    first_key: usize,
    scale: f32,
    cap: f32,
    #[comptime] form: Form,
) {
    let block = comptime!(form.block());
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    #[unroll]
    for r in 0..block {
        let query = y + 16 * r;
        let mut peak = f32::new(FORBIDDEN);
        #[unroll]
        for c in 0..block {
            let mut score = scores[r * block + c] * scale;
            if comptime!(form.is_capped) {
                score = (score / cap).tanh() * cap;
            }
            if first_key + x + 16 * c > first + query {
                score = f32::new(FORBIDDEN);
            }
            scores[r * block + c] = score;
            peak = max(peak, score);
        }
        of_units[query * 16 + x] = peak;
    }
}

/// Puts the exponentials of the unit's scores into shared memory, and brings its maxima, its sums and what it has mixed
/// so far up to date with the maxima of whole rows.
#[cube]
fn weigh(
    weights: &mut Shared<[f32]>,
    mixed: &mut Array<Four>,
    largest: &mut Array<f32>,
    sums: &mut Array<f32>,
    scores: &Array<f32>,
    of_units: &Shared<[f32]>,
    #[comptime] form: Form,
) {
    let tile = comptime!(form.tile);
    let block = comptime!(form.block());
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    #[unroll]
    for r in 0..block {
        let query = y + 16 * r;
        let mut peak = largest[r];
        for other in 0..16usize {
            peak = max(peak, of_units[query * 16 + other]);
        }
        let factor = (largest[r] - peak).exp();
        largest[r] = peak;
        let mut sum = sums[r] * factor;
        #[unroll]
        for c in 0..block {
            let weight = (scores[r * block + c] - peak).exp();
            weights[query * (tile + 1) + x + 16 * c] = weight;
            sum += weight;
        }
        sums[r] = sum;
        #[unroll]
        for c in 0..comptime!(form.span()) {
            mixed[r * comptime!(form.span()) + c] *= Four::new(factor);
        }
    }
}

/// Puts the unit's part of the sum of each row into shared memory.
#[cube]
fn share_sums(of_units: &mut Shared<[f32]>, sums: &Array<f32>, #[comptime] form: Form) {
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    #[unroll]
    for r in 0..comptime!(form.block()) {
        of_units[(y + 16 * r) * 16 + x] = sums[r];
    }
}

/// Divides what the unit has mixed by the sums of whole rows, and writes the logarithms of those sums from
/// `logarithm_start` on.
#[cube]
fn normalise(
    mixed: &mut Array<Four>,
    logarithms: &mut [f32],
    of_units: &Shared<[f32]>,
    largest: &Array<f32>,
    first: usize,
    steps: usize,
    logarithm_start: usize,
    #[comptime] form: Form,
) {
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    #[unroll]
    for r in 0..comptime!(form.block()) {
        let query = y + 16 * r;
        let mut total = f32::new(0.0);
        for other in 0..16usize {
            total += of_units[query * 16 + other];
        }
        #[unroll]
        for c in 0..comptime!(form.span()) {
            mixed[r * comptime!(form.span()) + c] /= Four::new(total);
        }
        if x == 0 && first + query < steps {
            logarithms[logarithm_start + first + query] = largest[r] + total.ln();
        }
    }
}
