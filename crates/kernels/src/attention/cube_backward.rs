//! The backward kernels (Dao 2023, FlashAttention-2, <https://arxiv.org/abs/2307.08691>): weights come again from the
//! scores and the kept logarithms. Queries and keys have kernels of their own, so that nothing is added up across
//! cubes.

use burn_cubecl::cubecl::{self, prelude::*};

use super::cube_tile::{Form, add_products, load, no_sums, place, products, store};
use crate::cube::Four;

/// The sum of output times gradient over each head of each position, `[B, T, queries]`; a unit for each.
#[cube(launch)]
pub(super) fn sums_of_products(output: &[f32], gradient: &[f32], sums: &mut [f32], #[comptime] width: usize) {
    let place = ABSOLUTE_POS;
    if place >= sums.len() {
        terminate!();
    }
    let mut sum = f32::new(0.0);
    for column in 0..width {
        sum += output[place * width + column] * gradient[place * width + column];
    }
    sums[place] = sum;
}

/// What is known of the unit's queries: the logarithms, then the sums.
#[cube]
fn of_queries(
    logarithms: &[f32],
    sums: &[f32],
    row: usize,
    head: usize,
    first: usize,
    steps: usize,
    #[comptime] form: Form,
) -> Array<f32> {
    let block = comptime!(form.block());
    let queries = comptime!(form.heads.queries);
    let mut known = Array::<f32>::new(comptime!(2 * form.block()));
    #[unroll]
    for r in 0..block {
        let step = first + UNIT_POS as usize / 16 + 16 * r;
        known[r] = f32::new(0.0);
        known[block + r] = f32::new(0.0);
        if step < steps {
            known[r] = logarithms[(row * queries + head) * steps + step];
            known[block + r] = sums[(row * steps + step) * queries + head];
        }
    }
    known
}

/// Turns the unit's products of queries and keys into weights, and those of gradients and values into gradients of the
/// products of queries and keys.
#[cube]
fn weights_and_slopes(
    scores: &mut Array<f32>,
    slopes: &mut Array<f32>,
    known: &Array<f32>,
    first: usize,
    first_key: usize,
    steps: usize,
    scale: f32,
    cap: f32,
    #[comptime] form: Form,
) {
    let block = comptime!(form.block());
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    #[unroll]
    for r in 0..block {
        let query = first + y + 16 * r;
        #[unroll]
        for c in 0..block {
            let key = first_key + x + 16 * c;
            let mut score = scores[r * block + c] * scale;
            let mut bend = scale;
            if comptime!(form.is_capped) {
                let bent = (score / cap).tanh();
                score = bent * cap;
                bend = scale * (1.0 - bent * bent);
            }
            let mut weight = f32::new(0.0);
            if key <= query && query < steps {
                weight = (score - known[r]).exp();
            }
            scores[r * block + c] = weight;
            slopes[r * block + c] = weight * (slopes[r * block + c] - known[block + r]) * bend;
        }
    }
}

/// Puts the unit's part of a tile of scores into shared memory.
#[cube]
fn share(target: &mut Shared<[f32]>, scores: &Array<f32>, #[comptime] form: Form) {
    let block = comptime!(form.block());
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    #[unroll]
    for r in 0..block {
        #[unroll]
        for c in 0..block {
            target[(y + 16 * r) * comptime!(form.tile + 1) + x + 16 * c] = scores[r * block + c];
        }
    }
}

/// A cube has a tile of queries and goes through the keys and values up to its own.
#[cube(launch)]
pub(super) fn query_gradients<P: Size, G: Size, F: Size>(
    packed: &[Vector<f32, P>],
    gradient: &[Vector<f32, G>],
    logarithms: &[f32],
    sums: &[f32],
    found: &mut [Vector<f32, F>],
    rows: usize,
    steps: usize,
    scale: f32,
    cap: f32,
    #[comptime] form: Form,
) {
    let queries = comptime!(form.heads.queries);
    let width = comptime!(form.heads.width);
    let tile = comptime!(form.tile);
    let stride = comptime!(form.packed());
    let place = place(steps, queries, tile, true);
    if place.row >= rows {
        terminate!();
    }
    let start = place.row * steps * stride;
    let query_start = start + place.head * width;
    let shared_head = place.head / comptime!(form.heads.queries / form.heads.key_values);
    let key_start = start + (queries + shared_head) * width;
    let value_start = key_start + comptime!(form.heads.key_values * form.heads.width);
    let output_start = place.row * steps * queries * width + place.head * width;
    let first = place.tile * tile;

    let mut own = Shared::<[Four]>::new_slice(comptime!(form.tile * form.pitch()));
    let mut own_gradient = Shared::<[Four]>::new_slice(comptime!(form.tile * form.pitch()));
    let mut others = Shared::<[Four]>::new_slice(comptime!(form.tile * form.pitch()));
    let mut shared_slopes = Shared::new_slice(comptime!(form.tile * (form.tile + 1)));
    load(&mut own, packed, first, steps, query_start, stride, form);
    load(
        &mut own_gradient,
        gradient,
        first,
        steps,
        output_start,
        comptime!(form.heads.queries * form.heads.width),
        form,
    );
    let known = of_queries(logarithms, sums, place.row, place.head, first, steps, form);
    let mut total = no_sums(form);
    for key_tile in 0..place.tile + 1 {
        let first_key = key_tile * tile;
        load(&mut others, packed, first_key, steps, value_start, stride, form);
        sync_cube();
        let mut slopes = products(&own_gradient, &others, form);
        sync_cube();
        load(&mut others, packed, first_key, steps, key_start, stride, form);
        sync_cube();
        let mut scores = products(&own, &others, form);
        weights_and_slopes(&mut scores, &mut slopes, &known, first, first_key, steps, scale, cap, form);
        share(&mut shared_slopes, &slopes, form);
        sync_cube();
        add_products(&mut total, &shared_slopes, &others, form, false);
        sync_cube();
    }
    store(found, &total, first, steps, query_start, stride, form);
}

/// A cube has a tile of the keys and values of one head, and goes through the queries from there on of all heads that
/// share them.
#[cube(launch)]
pub(super) fn key_value_gradients<P: Size, G: Size, F: Size>(
    packed: &[Vector<f32, P>],
    gradient: &[Vector<f32, G>],
    logarithms: &[f32],
    sums: &[f32],
    found: &mut [Vector<f32, F>],
    rows: usize,
    steps: usize,
    scale: f32,
    cap: f32,
    #[comptime] form: Form,
) {
    let queries = comptime!(form.heads.queries);
    let width = comptime!(form.heads.width);
    let tile = comptime!(form.tile);
    let stride = comptime!(form.packed());
    let output_stride = comptime!(form.heads.queries * form.heads.width);
    let place = place(steps, comptime!(form.heads.key_values), tile, false);
    if place.row >= rows {
        terminate!();
    }
    let start = place.row * steps * stride;
    let key_start = start + (queries + place.head) * width;
    let value_start = key_start + comptime!(form.heads.key_values * form.heads.width);
    let first_key = place.tile * tile;
    let tiles = steps.div_ceil(tile);

    let mut keys = Shared::<[Four]>::new_slice(comptime!(form.tile * form.pitch()));
    let mut values = Shared::<[Four]>::new_slice(comptime!(form.tile * form.pitch()));
    let mut others = Shared::<[Four]>::new_slice(comptime!(form.tile * form.pitch()));
    let mut shared = Shared::new_slice(comptime!(form.tile * (form.tile + 1)));
    load(&mut keys, packed, first_key, steps, key_start, stride, form);
    load(&mut values, packed, first_key, steps, value_start, stride, form);
    let mut key_total = no_sums(form);
    let mut value_total = no_sums(form);
    for member in 0..comptime!(form.heads.queries / form.heads.key_values) {
        let head = place.head * comptime!(form.heads.queries / form.heads.key_values) + member;
        let query_start = start + head * width;
        let output_start = place.row * steps * output_stride + head * width;
        for query_tile in place.tile..tiles {
            let first = query_tile * tile;
            let known = of_queries(logarithms, sums, place.row, head, first, steps, form);
            load(&mut others, packed, first, steps, query_start, stride, form);
            sync_cube();
            let mut scores = products(&others, &keys, form);
            sync_cube();
            load(&mut others, gradient, first, steps, output_start, output_stride, form);
            sync_cube();
            let mut slopes = products(&others, &values, form);
            weights_and_slopes(&mut scores, &mut slopes, &known, first, first_key, steps, scale, cap, form);
            share(&mut shared, &scores, form);
            sync_cube();
            add_products(&mut value_total, &shared, &others, form, true);
            sync_cube();
            share(&mut shared, &slopes, form);
            load(&mut others, packed, first, steps, query_start, stride, form);
            sync_cube();
            add_products(&mut key_total, &shared, &others, form, true);
            sync_cube();
        }
    }
    store(found, &key_total, first_key, steps, key_start, stride, form);
    store(found, &value_total, first_key, steps, value_start, stride, form);
}
