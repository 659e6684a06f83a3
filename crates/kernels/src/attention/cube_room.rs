//! Which tiles have room in a device's shared memory.

use burn::backend::DispatchDevice;
use burn::tensor::Tensor;
use burn_cubecl::cubecl::client::Client;

use super::cube_tile::{Form, UNITS};
use super::geometry::AttentionHeads;

/// Queries and keys of a tile, the largest first: more of them read the keys less often, and need more shared memory.
const TILES: [usize; 2] = [32, 16];

/// Whether the device has the shared memory and the units for heads of this width.
pub(super) fn has_room<const D: usize>(tensor: &Tensor<D>, heads: AttentionHeads) -> bool {
    match tensor.device().inner().as_dispatch() {
        DispatchDevice::Cube(device) => tile(&device.client(), heads.width).is_some(),
        _ => false,
    }
}

/// The largest tile that fits.
pub(super) fn tile(client: &Client, width: usize) -> Option<usize> {
    let hardware = &client.properties().hardware;
    let fits = |tile: &usize| Form::shared_bytes(*tile, width) <= hardware.max_shared_memory_size;
    TILES.into_iter().find(fits).filter(|_| hardware.max_units_per_cube >= UNITS)
}
