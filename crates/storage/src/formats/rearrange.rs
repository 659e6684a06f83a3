//! Values in another order, whatever their type: elements are moved as bytes.

use std::ops::Range;

/// Elements of a square that is moved at a time, so that both of its sides stay in the nearest cache.
const TILE: usize = 32;

/// The first two axes of `shape` exchanged, of a tensor of two axes.
pub(super) fn transpose(values: &[u8], shape: [usize; 2], size: usize) -> Vec<u8> {
    match size {
        1 => transpose_elements::<1>(values, shape),
        2 => transpose_elements::<2>(values, shape),
        4 => transpose_elements::<4>(values, shape),
        8 => transpose_elements::<8>(values, shape),
        _ => transpose_any(values, shape, size),
    }
}

fn transpose_elements<const SIZE: usize>(values: &[u8], [rows, columns]: [usize; 2]) -> Vec<u8> {
    let (elements, _) = values.as_chunks::<SIZE>();
    let mut moved = vec![[0; SIZE]; elements.len()];
    for first_row in (0..rows).step_by(TILE) {
        for first_column in (0..columns).step_by(TILE) {
            for row in first_row..rows.min(first_row + TILE) {
                for column in first_column..columns.min(first_column + TILE) {
                    moved[column * rows + row] = elements[row * columns + column];
                }
            }
        }
    }
    moved.into_flattened()
}

fn transpose_any(values: &[u8], [rows, columns]: [usize; 2], size: usize) -> Vec<u8> {
    let mut moved = Vec::with_capacity(values.len());
    for column in 0..columns {
        for row in 0..rows {
            let start = (row * columns + column) * size;
            moved.extend_from_slice(&values[start..start + size]);
        }
    }
    moved
}

/// An axis of `shape` and the next one exchanged.
pub(super) fn swap(values: &[u8], shape: &[usize], axis: usize, size: usize) -> Vec<u8> {
    let [outer, inner] = [&shape[..axis], &shape[axis + 2..]].map(|axes| axes.iter().product::<usize>());
    let (pair, size) = ([shape[axis], shape[axis + 1]], inner * size);
    let one = pair[0] * pair[1] * size;
    (0..outer).flat_map(|index| transpose(&values[index * one..(index + 1) * one], pair, size)).collect()
}

/// The indices `range` of an axis, all of the others.
pub(super) fn slice(values: &[u8], shape: &[usize], axis: usize, range: &Range<usize>, size: usize) -> Vec<u8> {
    let inner = shape[axis + 1..].iter().product::<usize>() * size;
    let whole = shape[axis] * inner;
    let outer: usize = shape[..axis].iter().product();
    let mut taken = Vec::with_capacity(outer * range.len() * inner);
    for start in (0..outer).map(|index| index * whole) {
        taken.extend_from_slice(&values[start + range.start * inner..start + range.end * inner]);
    }
    taken
}

/// Tensors one behind the other along an axis; `shape` is that of the result, and `lengths` are those of the parts
/// along the axis.
pub(super) fn join(parts: &[Vec<u8>], lengths: &[usize], shape: &[usize], axis: usize, size: usize) -> Vec<u8> {
    let inner = shape[axis + 1..].iter().product::<usize>() * size;
    let outer: usize = shape[..axis].iter().product();
    let mut joined = Vec::with_capacity(parts.iter().map(Vec::len).sum());
    for index in 0..outer {
        for (part, length) in parts.iter().zip(lengths) {
            let chunk = length * inner;
            joined.extend_from_slice(&part[index * chunk..(index + 1) * chunk]);
        }
    }
    joined
}
