//! The forward kernel: a cube has queries and goes twice through the keys up to the last of them. The first time finds
//! the logarithms of the sums of exponentials, the second time adds up the values by weights that are then known. Twice
//! the products of queries and keys cost less than changing sums that lie spread over a plane.

use burn_cubecl::cubecl::{self, prelude::*};

use super::fragment::{Short, no_sums};
use super::tile::{
    FORBIDDEN, Form, HALF, OTHERS, add_weighted, fetch_rows, half_of_row, load, products, put_rows, room_for_rows,
    share, share_half, store,
};
use crate::attention::cube_tile::place;
use crate::cube::Four;

#[cube(launch)]
pub(super) fn attend<E: Float, P: Size, O: Size>(
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
    let stride = comptime!(form.heads.packed_columns());
    let place = place(steps, queries, comptime!(form.own()), true);
    if place.row >= rows {
        terminate!();
    }
    let start = place.row * steps * stride;
    let shared_head = place.head / comptime!(form.heads.queries / form.heads.key_values);
    let key_start = start + (queries + shared_head) * width;
    let value_start = key_start + comptime!(form.heads.key_values * form.heads.width);
    let first = place.tile * comptime!(form.own());
    let tiles = min(first + comptime!(form.own()), steps).div_ceil(OTHERS);

    let mut own = Shared::<[Short<E>]>::new_slice(comptime!(form.fours(form.own())));
    let mut keys = Shared::<[Short<E>]>::new_slice(comptime!(form.fours(OTHERS)));
    let mut values = Shared::<[Short<E>]>::new_slice(comptime!(form.fours(OTHERS)));
    let mut scores = Shared::<[Four]>::new_slice(comptime!(form.fours_of_scores()));
    let mut weights = Shared::<[Short<E>]>::new_slice(comptime!(form.fours_of_weights()));
    load::<E, P>(&mut own, packed, first, steps, start + place.head * width, stride, comptime!(form.own()), form);

    let query = first + UNIT_POS as usize / 2;
    let mut largest = f32::new(FORBIDDEN);
    let mut total = f32::new(0.0);
    let mut next_keys = room_for_rows(OTHERS, form);
    fetch_rows(&mut next_keys, packed, 0, steps, key_start, stride, OTHERS, form);
    for tile in 0..tiles {
        let first_key = tile * OTHERS;
        put_rows::<E>(&mut keys, &next_keys, OTHERS, form);
        sync_cube();
        // The last time the first keys again, for what follows.
        let next = (tile + 1) % tiles * OTHERS;
        fetch_rows(&mut next_keys, packed, next, steps, key_start, stride, OTHERS, form);
        let found = products::<E>(&own, &keys, form);
        share(&mut scores, &found, form);
        sync_cube();
        let half = scores_of_half(&scores, query, first_key, scale, cap, form);
        let mut peak = largest;
        #[unroll]
        for index in 0..HALF {
            peak = max(peak, half[index]);
        }
        total *= (largest - peak).exp();
        #[unroll]
        for index in 0..HALF {
            total += (half[index] - peak).exp();
        }
        largest = peak;
    }
    let logarithm = logarithm_of_row(&mut scores, largest, total);
    if UNIT_POS % 2 < 1 && query < steps {
        logarithms[(place.row * queries + place.head) * steps + query] = logarithm;
    }

    let mut next_values = room_for_rows(OTHERS, form);
    fetch_rows(&mut next_values, packed, 0, steps, value_start, stride, OTHERS, form);
    let mut mixed = no_sums(comptime!(form.across()), form.is_emulated);
    for tile in 0..tiles {
        let first_key = tile * OTHERS;
        put_rows::<E>(&mut keys, &next_keys, OTHERS, form);
        put_rows::<E>(&mut values, &next_values, OTHERS, form);
        sync_cube();
        if tile + 1 < tiles {
            fetch_rows(&mut next_keys, packed, first_key + OTHERS, steps, key_start, stride, OTHERS, form);
            fetch_rows(&mut next_values, packed, first_key + OTHERS, steps, value_start, stride, OTHERS, form);
        }
        let found = products::<E>(&own, &keys, form);
        share(&mut scores, &found, form);
        sync_cube();
        let mut half = scores_of_half(&scores, query, first_key, scale, cap, form);
        #[unroll]
        for index in 0..HALF {
            half[index] = (half[index] - logarithm).exp();
        }
        share_half::<E>(&mut weights, &half);
        sync_cube();
        add_weighted::<E>(&mut mixed, &weights, &values, form);
        sync_cube();
    }
    let output_stride = comptime!(form.heads.queries * form.heads.width);
    let output_start = place.row * steps * output_stride + place.head * width;
    store(output, &mixed, &mut scores, first, steps, output_start, output_stride, form);
}

/// The unit's scores, capped, and forbidden for later keys.
#[cube]
fn scores_of_half(
    scores: &Shared<[Four]>,
    query: usize,
    first_key: usize,
    scale: f32,
    cap: f32,
    #[comptime] form: Form,
) -> Array<f32> {
    let mut half = half_of_row(scores);
    #[unroll]
    for index in 0..HALF {
        let mut score = half[index] * scale;
        if comptime!(form.is_capped) {
            score = (score / cap).tanh() * cap;
        }
        let key = first_key + UNIT_POS as usize % 2 * HALF + index;
        half[index] = select(key <= query, score, FORBIDDEN);
    }
    half
}

/// The logarithm of the sum of exponentials of a row, of which two units have halves.
#[cube]
fn logarithm_of_row(scratch: &mut Shared<[Four]>, largest: f32, total: f32) -> f32 {
    let unit = UNIT_POS as usize;
    // All have read their scores before.
    sync_cube();
    let mut own = Four::new(0.0);
    own.insert(0usize, largest);
    own.insert(1usize, total);
    scratch[unit] = own;
    sync_cube();
    let (one, two) = (scratch[unit / 2 * 2], scratch[unit / 2 * 2 + 1]);
    let peak = max(one.extract(0usize), two.extract(0usize));
    let total = one.extract(1usize) * (one.extract(0usize) - peak).exp()
        + two.extract(1usize) * (two.extract(0usize) - peak).exp();
    sync_cube();
    peak + total.ln()
}
