//! Points on their way to the paper: thinned to what the eye can see, and cut at the edges of the plot.

/// A range of positions.
pub(super) type Range = (f64, f64);

/// One place of a band: its x, its lower and its upper edge.
pub(super) type Slice = (f64, f64, f64);

/// Which of the places to keep so that at most about `limit` are left: the first, the last, and the lowest and the
/// highest of every stretch. Stretches are equally wide on paper, so on a logarithmic axis the points end up
/// logarithmically spaced.
pub(super) fn thin(slices: &[Slice], x: Range, limit: usize) -> Vec<usize> {
    if slices.len() <= limit {
        return (0..slices.len()).collect();
    }
    let stretches = (limit.saturating_sub(2) / 2).max(1);
    let is_ordered = slices.windows(2).all(|pair| pair[0].0 <= pair[1].0);
    let stretch = |index: usize| {
        // A curve that turns back has stretches of time, or its branches would be mixed up.
        let along = if is_ordered { (slices[index].0 - x.0) / (x.1 - x.0) } else { index as f64 / slices.len() as f64 };
        // What lies outside of the plot is one stretch on either side.
        (along * stretches as f64).floor().clamp(-1.0, stretches as f64)
    };
    let mut kept = vec![0];
    let mut start = 0;
    while start < slices.len() {
        let end = (start..slices.len()).find(|&index| stretch(index) != stretch(start)).unwrap_or(slices.len());
        let lowest = (start..end).min_by(|&a, &b| slices[a].1.total_cmp(&slices[b].1));
        let highest = (start..end).max_by(|&a, &b| slices[a].2.total_cmp(&slices[b].2));
        kept.extend(lowest.into_iter().chain(highest));
        start = end;
    }
    kept.push(slices.len() - 1);
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// The parts of a curve that are inside of the plot.
pub(super) fn cut_curve(points: &[(f64, f64)], x: Range, y: Range) -> Vec<Vec<(f64, f64)>> {
    let mut parts: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut end_of_last = None;
    for pair in points.windows(2) {
        let Some((from, to)) = cut_segment(pair[0], pair[1], x, y) else {
            end_of_last = None;
            continue;
        };
        match parts.last_mut() {
            Some(part) if end_of_last == Some(from) => part.push(to),
            _ => parts.push(vec![from, to]),
        }
        end_of_last = Some(to);
    }
    parts
}

/// Where a curve goes out of a rectangle and not in again, if that is through the upper (true) or the lower edge.
pub(super) fn last_exit(points: &[(f64, f64)], x: Range, y: Range) -> Option<((f64, f64), bool)> {
    let is_inside = |point: &(f64, f64)| point.0 >= x.0 && point.0 <= x.1 && point.1 >= y.0 && point.1 <= y.1;
    let last = points.iter().rposition(is_inside)?;
    let (from, to) = (points[last], *points.get(last + 1)?);
    let (_, edge) = cut_segment(from, to, x, y)?;
    if to.1 > y.1 && edge.0 < x.1 {
        Some(((edge.0, y.1), true))
    } else if to.1 < y.0 && edge.0 < x.1 {
        Some(((edge.0, y.0), false))
    } else {
        None
    }
}

/// What is inside of a rectangle of the line between two points.
fn cut_segment(from: (f64, f64), to: (f64, f64), x: Range, y: Range) -> Option<((f64, f64), (f64, f64))> {
    let (mut enter, mut leave) = (0.0f64, 1.0f64);
    for (start, end, (low, high)) in [(from.0, to.0, x), (from.1, to.1, y)] {
        if start == end {
            if start < low || start > high {
                return None;
            }
            continue;
        }
        let (first, second) = ((low - start) / (end - start), (high - start) / (end - start));
        enter = enter.max(first.min(second));
        leave = leave.min(first.max(second));
    }
    if enter > leave {
        return None;
    }
    let at = |along: f64| match along {
        0.0 => from,
        1.0 => to,
        along => (lerp(from.0, to.0, along), lerp(from.1, to.1, along)),
    };
    Some((at(enter), at(leave)))
}

/// The part of a band that is inside of the plot.
pub(super) fn cut_band(band: &[Slice], x: Range, y: Range) -> Vec<Slice> {
    // An edge at infinity still has to arrive somewhere.
    let (lowest, highest) = (y.0 - (y.1 - y.0), y.1 + (y.1 - y.0));
    let band: Vec<_> =
        band.iter().map(|&(x, low, high)| (x, low.clamp(lowest, highest), high.clamp(lowest, highest))).collect();
    let mut slices: Vec<Slice> = band.first().copied().into_iter().collect();
    for pair in band.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        // The corners that the edge of the plot makes.
        let mut corners: Vec<f64> = [(from.0, to.0, x), (from.1, to.1, y), (from.2, to.2, y)]
            .into_iter()
            .flat_map(|(start, end, (low, high))| [(low - start) / (end - start), (high - start) / (end - start)])
            .filter(|along| *along > 0.0 && *along < 1.0)
            .collect();
        corners.sort_by(f64::total_cmp);
        slices.extend(
            corners.into_iter().map(|at| (lerp(from.0, to.0, at), lerp(from.1, to.1, at), lerp(from.2, to.2, at))),
        );
        slices.push(to);
    }
    let rounding = 1e-9 * (x.1 - x.0);
    slices.retain(|slice| slice.0 >= x.0 - rounding && slice.0 <= x.1 + rounding);
    slices.into_iter().map(|(x, low, high)| (x, low.clamp(y.0, y.1), high.clamp(y.0, y.1))).collect()
}

fn lerp(from: f64, to: f64, along: f64) -> f64 {
    from + (to - from) * along
}

/// A curve as pieces with gaps between them. Lengths are those of `pattern`: a dash, a gap, a dash, ...
pub(super) fn dashes(points: &[(f64, f64)], pattern: &[f64]) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut stage = 0;
    let mut left = pattern[0];
    let mut open = points.first().map(|&point| vec![point]);
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if length < left {
                left -= length;
                open.iter_mut().filter(|piece| piece.last() != Some(&to)).for_each(|piece| piece.push(to));
                break;
            }
            from = (lerp(from.0, to.0, left / length), lerp(from.1, to.1, left / length));
            stage = (stage + 1) % pattern.len();
            left = pattern[stage];
            open = match open.take() {
                Some(mut piece) => {
                    piece.push(from);
                    pieces.push(piece);
                    None
                }
                None => Some(vec![from]),
            };
        }
    }
    pieces.extend(open.filter(|piece| piece.len() > 1));
    // A dash that began where the curve ends.
    pieces.retain(|piece| piece.first() != piece.last());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(count: usize) -> Vec<Slice> {
        let wave = |index: usize| (index as f64 * 12.9898).sin() + if index == 777 { 50.0 } else { 0.0 };
        (0..count).map(|index| (index as f64, wave(index), wave(index))).collect()
    }

    #[test]
    fn thinning_keeps_the_ends_and_the_extremes() {
        let slices = noisy(20_000);
        let kept = thin(&slices, (0.0, 19_999.0), 400);
        assert!((200..=402).contains(&kept.len()), "{}", kept.len());
        let lowest = (0..slices.len()).min_by(|&a, &b| slices[a].1.total_cmp(&slices[b].1)).unwrap();
        for index in [0, 777, lowest, 19_999] {
            assert!(kept.contains(&index), "{index}");
        }
        assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn thinning_leaves_few_points_alone_and_follows_the_logarithm() {
        assert_eq!(thin(&noisy(5), (0.0, 4.0), 400), [0, 1, 2, 3, 4]);
        let slices: Vec<Slice> =
            (1..=20_000).map(|step| (f64::from(step).log10(), 1.0 / f64::from(step), 0.0)).collect();
        let kept = thin(&slices, (0.0, 20_000f64.log10()), 400);
        assert_eq!(kept[..20], (0..20).collect::<Vec<_>>());
        assert!(kept.windows(2).all(|pair| slices[pair[1]].0 - slices[pair[0]].0 < 0.31));
    }

    #[test]
    fn a_curve_that_turns_back_is_thinned_in_time() {
        let circle = |index: usize| (index as f64 * 0.001).sin_cos();
        let slices: Vec<Slice> = (0..6283).map(circle).map(|(x, y)| (x, y, y)).collect();
        let kept = thin(&slices, (-1.0, 1.0), 100);
        assert!(kept.windows(2).all(|pair| pair[1] - pair[0] < 300), "{kept:?}");
    }

    #[test]
    fn curves_end_at_the_edges_of_the_plot() {
        let parts = cut_curve(&[(0.0, 0.0), (1.0, 4.0), (2.0, 0.0), (9.0, 0.0)], (0.0, 3.0), (0.0, 2.0));
        assert_eq!(parts, [vec![(0.0, 0.0), (0.5, 2.0)], vec![(1.5, 2.0), (2.0, 0.0), (3.0, 0.0)]]);
        assert!(cut_curve(&[(0.0, 5.0), (1.0, 5.0)], (0.0, 3.0), (0.0, 2.0)).is_empty());
    }

    #[test]
    fn a_curve_that_is_gone_for_good_is_seen_to_go() {
        let (x, y) = ((0.0, 9.0), (0.0, 2.0));
        assert_eq!(
            last_exit(&[(0.0, 1.0), (1.0, 3.0), (2.0, 1.0), (4.0, 5.0), (5.0, 9.0)], x, y),
            Some(((2.5, 2.0), true))
        );
        assert_eq!(last_exit(&[(0.0, 1.0), (1.0, -1.0)], x, y), Some(((0.5, 0.0), false)));
        assert_eq!(last_exit(&[(0.0, 1.0), (1.0, 3.0), (2.0, 1.0)], x, y), None);
        assert_eq!(last_exit(&[(0.0, 1.0), (20.0, 1.0)], x, y), None);
        assert_eq!(last_exit(&[(0.0, 5.0), (1.0, 5.0)], x, y), None);
    }

    #[test]
    fn bands_end_at_the_edges_of_the_plot() {
        let band = [(0.0, f64::NEG_INFINITY, 1.0), (2.0, 1.0, 5.0)];
        let cut = cut_band(&band, (0.5, 2.0), (0.0, 2.0));
        assert_eq!(cut.first().map(|slice| slice.0), Some(0.5));
        assert!(cut.iter().all(|slice| (0.0..=2.0).contains(&slice.1) && (0.0..=2.0).contains(&slice.2)));
    }

    #[test]
    fn dashes_go_on_around_corners() {
        let pieces = dashes(&[(0.0, 0.0), (3.0, 0.0), (3.0, 3.0), (3.0, 4.0)], &[4.0, 2.0]);
        assert_eq!(pieces, [vec![(0.0, 0.0), (3.0, 0.0), (3.0, 1.0)], vec![(3.0, 3.0), (3.0, 4.0)]]);
    }
}
