//! Which keys a query may see.

use burn::tensor::{Bool, DType, Device, Tensor};

/// What is added to a score that must not count: after the softmax's exponential exactly zero, finite in the device's
/// type.
fn forbidden(device: &Device) -> f64 {
    match Tensor::<1>::zeros([1], device).dtype() {
        DType::F16 => -6.0e4,
        _ => -1.0e30,
    }
}

/// For queries at the positions `start..start + steps` and keys at `0..keys`: 0 where the key is not later than the
/// query, a very negative number elsewhere, `[groups * steps, keys]` with the same rows for each group.
pub(super) fn causal_mask(start: usize, steps: usize, keys: usize, groups: usize, device: &Device) -> Tensor<2> {
    let later = Tensor::<2, Bool>::tril_mask([steps, keys], start as i64, device);
    let mask = Tensor::<2>::zeros([steps, keys], device).mask_fill(later, forbidden(device));
    if groups == 1 { mask } else { mask.repeat_dim(0, groups) }
}
