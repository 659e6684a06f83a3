//! The composition of Burn's operations.

use burn::tensor::{Int, Tensor, TensorData};

use crate::attention::AttentionHeads;

/// As [`crate::rotate`].
pub fn rotate(packed: Tensor<3>, heads: AttentionHeads, tables: [Tensor<2>; 2], starts: &[usize]) -> Tensor<3> {
    let [rows, steps, columns] = packed.dims();
    let AttentionHeads { queries, key_values, width } = heads;
    let ([_, half], turned) = (tables[0].dims(), queries + key_values);
    let [cosines, sines] = tables
        .map(|table| of_positions(table, starts, steps).unsqueeze_dim::<4>(2).expand([rows, steps, turned, half]));
    let heads = packed.clone().narrow(2, 0, turned * width).reshape([rows, steps, turned, width]);
    let (first, second) = (heads.clone().narrow(3, 0, half), heads.clone().narrow(3, half, half));
    let turned_first = first.clone() * cosines.clone() - second.clone() * sines.clone();
    let turned_second = second * cosines + first * sines;
    let mut parts = vec![turned_first, turned_second];
    if 2 * half < width {
        parts.push(heads.narrow(3, 2 * half, width - 2 * half));
    }
    let heads = Tensor::cat(parts, 3).reshape([rows, steps, turned * width]);
    Tensor::cat(vec![heads, packed.narrow(2, turned * width, columns - turned * width)], 2)
}

/// The rows `starts[r]..starts[r] + steps` of a table `[context, R / 2]` for each r: `[B, steps, R / 2]`.
fn of_positions(table: Tensor<2>, starts: &[usize], steps: usize) -> Tensor<3> {
    let ([_, half], rows) = (table.dims(), starts.len());
    match starts {
        // A view: training and equally long rows need no indices on the device.
        [first, others @ ..] if others.iter().all(|start| start == first) => {
            table.narrow(0, *first, steps).unsqueeze_dim::<3>(0).expand([rows, steps, half])
        }
        _ => {
            let positions = starts.iter().flat_map(|start| (*start..start + steps).map(|position| position as i32));
            let positions = TensorData::new(positions.collect::<Vec<_>>(), [rows * steps]);
            let positions = Tensor::<1, Int>::from_data(positions, &table.device());
            table.select(0, positions).reshape([rows, steps, half])
        }
    }
}
