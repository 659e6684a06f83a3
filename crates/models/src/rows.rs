//! Rows of a batch: the first axis of every tensor of a state.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// The rows `rows`, in that order; a row may come more than once.
pub(crate) fn take<const D: usize>(tensor: &Tensor<D>, rows: &[usize]) -> Tensor<D> {
    match rows.first() {
        Some(&first) if is_run(rows) => tensor.clone().narrow(0, first, rows.len()),
        _ => tensor.clone().select(0, indices(rows.iter().copied(), &tensor.device())),
    }
}

/// The tensor with `rows` in the place of its own rows `places`.
pub(crate) fn put<const D: usize>(tensor: Tensor<D>, places: &[usize], rows: Tensor<D>) -> Tensor<D> {
    if places.len() == tensor.dims()[0] && is_run(places) {
        return rows;
    }
    let shape = tensor.dims();
    places.iter().enumerate().fold(tensor, |tensor, (row, &place)| {
        let mut ranges = shape.map(|length| 0..length);
        ranges[0] = place..place + 1;
        tensor.slice_assign(ranges, rows.clone().narrow(0, row, 1))
    })
}

/// The rows of one tensor, then those of the other.
pub(crate) fn join<const D: usize>(first: Tensor<D>, second: Tensor<D>) -> Tensor<D> {
    Tensor::cat(vec![first, second], 0)
}

/// The same of a list of one entry a row.
pub(crate) fn take_entries(entries: &[usize], rows: &[usize]) -> Vec<usize> {
    rows.iter().map(|&row| entries[row]).collect()
}

/// As a tensor that selects.
pub(crate) fn indices(numbers: impl Iterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let numbers: Vec<i32> = numbers.map(|number| number as i32).collect();
    let shape = [numbers.len()];
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

/// Asserts that a window `[B, T]` has a length in `0..=T` for each row.
pub(crate) fn check_lengths(lengths: &[usize], [rows, steps]: [usize; 2]) {
    assert!(steps > 0, "a window needs at least one token");
    assert_eq!(lengths.len(), rows, "a window of {rows} rows was given {} lengths", lengths.len());
    let longest = lengths.iter().copied().max().unwrap_or(0);
    assert!(longest <= steps, "a row of {longest} tokens does not fit a window of {steps}");
}

/// Asserts that there is a last token in every row.
pub(crate) fn check_not_empty(lengths: &[usize]) {
    let empty = lengths.iter().position(|&length| length == 0);
    assert!(empty.is_none(), "row {} of the window has no token to give logits after", empty.unwrap_or(0));
}

fn is_run(rows: &[usize]) -> bool {
    rows.windows(2).all(|pair| pair[1] == pair[0] + 1)
}
