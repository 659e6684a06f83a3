//! The backward kernel, for queries as for keys: weights come again from the scores and the kept logarithms (Dao 2023,
//! FlashAttention-2, <https://arxiv.org/abs/2307.08691>). Queries and keys have cubes of their own, so that nothing is
//! added up across cubes.

use burn_cubecl::cubecl::{self, prelude::*};

use super::fragment::{Short, no_sums};
use super::tile::{
    Form, HALF, OTHERS, add_weighted, fetch_rows, half_of_row, load, products, put_rows, room_for_rows, share,
    share_half, store,
};
use crate::attention::cube_tile::{Place, place};
use crate::cube::Four;

/// A cube has queries and goes through the keys up to the last of them, or it has the keys and values of one head and
/// goes through the queries from the first of them on, of all heads that share them.
#[cube(launch)]
pub(super) fn gradients<E: Float, P: Size, G: Size, F: Size>(
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
    #[comptime] of_keys: bool,
) {
    let queries = comptime!(form.heads.queries);
    let key_values = comptime!(form.heads.key_values);
    let width = comptime!(form.heads.width);
    let group = comptime!(form.heads.queries / form.heads.key_values);
    let own = comptime!(form.own());
    let stride = comptime!(form.heads.packed_columns());
    let output_stride = comptime!(form.heads.queries * form.heads.width);
    let place = place(steps, comptime!(if of_keys { key_values } else { queries }), own, comptime!(!of_keys));
    if place.row >= rows {
        terminate!();
    }
    let start = place.row * steps * stride;
    let output_start = place.row * steps * output_stride;
    let first = place.tile * own;
    let unit = UNIT_POS as usize;
    let own_step = first + unit / 2;

    let mut shared_head = place.head;
    if comptime!(!of_keys) {
        shared_head = place.head / group;
    }
    let key_start = start + (queries + shared_head) * width;
    let value_start = key_start + comptime!(key_values * width);
    let query_start = start + place.head * width;

    // Keys and values, or queries and gradients; `other` ones are the reverse.
    let mut own_ones = Shared::<[Short<E>]>::new_slice(comptime!(form.fours(form.own())));
    let mut own_twos = Shared::<[Short<E>]>::new_slice(comptime!(form.fours(form.own())));
    let mut other_ones = Shared::<[Short<E>]>::new_slice(comptime!(form.fours(OTHERS)));
    let mut other_twos = Shared::<[Short<E>]>::new_slice(comptime!(form.fours(OTHERS)));
    let mut scores = Shared::<[Four]>::new_slice(comptime!(form.fours_of_scores()));
    let mut weights = Shared::<[Short<E>]>::new_slice(comptime!(form.fours_of_weights()));
    let mut slopes = Shared::<[Short<E>]>::new_slice(comptime!(form.fours_of_weights()));
    let mut known = Shared::new_slice(comptime!(2 * OTHERS));

    let mut first_tile = 0usize;
    let mut tiles = min(first + own, steps).div_ceil(OTHERS);
    let mut members = 1usize;
    let mut own_logarithm = f32::new(0.0);
    let mut own_sum = f32::new(0.0);
    if comptime!(of_keys) {
        load::<E, P>(&mut own_ones, packed, first, steps, key_start, stride, own, form);
        load::<E, P>(&mut own_twos, packed, first, steps, value_start, stride, own, form);
        first_tile = first / OTHERS;
        tiles = steps.div_ceil(OTHERS);
        members = group;
    } else {
        load::<E, P>(&mut own_ones, packed, first, steps, query_start, stride, own, form);
        let own_start = output_start + place.head * width;
        load::<E, G>(&mut own_twos, gradient, first, steps, own_start, output_stride, own, form);
        if own_step < steps {
            own_logarithm = logarithms[(place.row * queries + place.head) * steps + own_step];
            own_sum = sums[(place.row * steps + own_step) * queries + place.head];
        }
    }
    let mut total_of_ones = no_sums(comptime!(form.across()), form.is_emulated);
    let mut total_of_twos = no_sums(comptime!(if of_keys { form.across() } else { 0usize }), form.is_emulated);
    let mut next = Next {
        ones: room_for_rows(OTHERS, form),
        twos: room_for_rows(OTHERS, form),
        logarithm: f32::new(0.0),
        sum: f32::new(0.0),
    };
    let count = tiles - first_tile;
    let mut turn = 0usize;
    fetch_next(&mut next, packed, gradient, logarithms, sums, &place, first_tile, turn, count, steps, form, of_keys);
    while turn < members * count {
        let first_other = (first_tile + turn % count) * OTHERS;
        put_rows::<E>(&mut other_ones, &next.ones, OTHERS, form);
        put_rows::<E>(&mut other_twos, &next.twos, OTHERS, form);
        if comptime!(of_keys) && unit < OTHERS {
            known[unit] = next.logarithm;
            known[OTHERS + unit] = next.sum;
        }
        sync_cube();
        turn += 1;
        if turn < members * count {
            fetch_next(
                &mut next, packed, gradient, logarithms, sums, &place, first_tile, turn, count, steps, form, of_keys,
            );
        }
        let of_ones = products::<E>(&own_ones, &other_ones, form);
        let of_twos = products::<E>(&own_twos, &other_twos, form);
        share(&mut scores, &of_ones, form);
        sync_cube();
        let mut weight = half_of_row(&scores);
        sync_cube();
        share(&mut scores, &of_twos, form);
        sync_cube();
        let mut slope = half_of_row(&scores);
        #[unroll]
        for index in 0..HALF {
            let other = unit % 2 * HALF + index;
            let mut score = weight[index] * scale;
            let mut bend = scale;
            if comptime!(form.is_capped) {
                let bent = (score / cap).tanh();
                score = bent * cap;
                bend = scale * (1.0 - bent * bent);
            }
            let mut is_seen = first_other + other <= own_step && own_step < steps;
            let mut logarithm = own_logarithm;
            let mut sum = own_sum;
            if comptime!(of_keys) {
                is_seen = own_step <= first_other + other && first_other + other < steps;
                logarithm = known[other];
                sum = known[OTHERS + other];
            }
            let found = select(is_seen, (score - logarithm).exp(), 0.0);
            weight[index] = found;
            slope[index] = found * (slope[index] - sum) * bend;
        }
        if comptime!(of_keys) {
            share_half::<E>(&mut weights, &weight);
        }
        share_half::<E>(&mut slopes, &slope);
        sync_cube();
        add_weighted::<E>(&mut total_of_ones, &slopes, &other_ones, form);
        if comptime!(of_keys) {
            add_weighted::<E>(&mut total_of_twos, &weights, &other_twos, form);
        }
        sync_cube();
    }
    if comptime!(of_keys) {
        store(found, &total_of_ones, &mut scores, first, steps, key_start, stride, form);
        store(found, &total_of_twos, &mut scores, first, steps, value_start, stride, form);
    } else {
        store(found, &total_of_ones, &mut scores, first, steps, query_start, stride, form);
    }
}

/// What the cube needs next of the others.
#[derive(CubeType)]
struct Next {
    ones: Array<Four>,
    twos: Array<Four>,
    /// Of one of the queries, where a cube has keys.
    logarithm: f32,
    sum: f32,
}

/// The tile of a turn, of which each of the heads that share the keys has `count`.
#[cube]
fn fetch_next<P: Size, G: Size>(
    next: &mut Next,
    packed: &[Vector<f32, P>],
    gradient: &[Vector<f32, G>],
    logarithms: &[f32],
    sums: &[f32],
    place: &Place,
    first_tile: usize,
    turn: usize,
    count: usize,
    steps: usize,
    #[comptime] form: Form,
    #[comptime] of_keys: bool,
) {
    let queries = comptime!(form.heads.queries);
    let width = comptime!(form.heads.width);
    let group = comptime!(form.heads.queries / form.heads.key_values);
    let stride = comptime!(form.heads.packed_columns());
    let output_stride = comptime!(form.heads.queries * form.heads.width);
    let start = place.row * steps * stride;
    let first = (first_tile + turn % count) * OTHERS;
    if comptime!(of_keys) {
        let head = place.head * group + turn / count;
        fetch_rows(&mut next.ones, packed, first, steps, start + head * width, stride, OTHERS, form);
        let two_start = place.row * steps * output_stride + head * width;
        fetch_rows(&mut next.twos, gradient, first, steps, two_start, output_stride, OTHERS, form);
        let step = first + UNIT_POS as usize;
        next.logarithm = f32::new(0.0);
        next.sum = f32::new(0.0);
        if (UNIT_POS as usize) < OTHERS && step < steps {
            next.logarithm = logarithms[(place.row * queries + head) * steps + step];
            next.sum = sums[(place.row * steps + step) * queries + head];
        }
    } else {
        let key_start = start + (queries + place.head / group) * width;
        let value_start = key_start + comptime!(form.heads.key_values * form.heads.width);
        fetch_rows(&mut next.ones, packed, first, steps, key_start, stride, OTHERS, form);
        fetch_rows(&mut next.twos, packed, first, steps, value_start, stride, OTHERS, form);
    }
}
