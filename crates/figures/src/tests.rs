//! Whole pictures.

use std::slice;

use super::chart::Scale;
use super::*;

fn series(label: &str, points: Vec<(f64, f64)>) -> Series {
    Series::curve(label, 0, points)
}

fn chart(scales: (Scale, Scale), series: Vec<Series>) -> Chart {
    Chart {
        title: "A title".into(),
        x: Axis { label: "step".into(), scale: scales.0, range: None },
        y: Axis { label: "value".into(), scale: scales.1, range: None },
        series,
        note: Some("a note".into()),
    }
}

/// As many curves with bands and as much noise as a figure may have.
fn busy() -> Chart {
    let curve = |colour: usize| {
        let value = |step: usize| (1.0 + (step as f64 * 7.3).sin().abs()) / (step as f64).powf(0.1 * colour as f64);
        let points: Vec<_> = (1..20_000).map(|step| (step as f64, value(step))).collect();
        let band = points.iter().map(|&(_, value)| (0.5 * value, 2.0 * value)).collect();
        let label = format!("curve {colour}, whose name is rather long for a legend");
        Series { label, points, band: Some(band), line: Line::Solid, colour }
    };
    chart((Scale::Logarithmic, Scale::Logarithmic), (0..16).map(curve).collect())
}

#[test]
fn a_picture_is_the_same_each_time_and_small() {
    let busy = busy();
    let picture = svg(&busy);
    assert_eq!(picture, svg(&busy));
    assert!(picture.len() < 150_000, "{}", picture.len());
    let one = svg(&chart((Scale::Linear, Scale::Linear), vec![busy.series[0].clone()]));
    assert!(one.len() < 40_000, "{}", one.len());
    let grid = svg_grid(&vec![chart((Scale::Linear, Scale::Linear), busy.series[..4].to_vec()); 16], 4, "sixteen");
    assert!(grid.len() < 150_000, "{}", grid.len());
    assert_eq!(svg_grid(slice::from_ref(&busy), 4, ""), svg_grid(&[busy], 1, ""));
}

#[test]
fn a_png_is_a_png_and_the_same_each_time() {
    let chart = chart((Scale::Linear, Scale::Linear), vec![series("a", vec![(0.0, 1.0), (1.0, 2.0)])]);
    let picture = png(&chart).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    assert_eq!(picture, png(&chart).unwrap());
    assert!(png_grid(&[chart.clone(), chart], 2, "two").unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn every_label_is_in_the_picture() {
    let busy = busy();
    let (picture, text) = (svg(&busy), terminal(&busy, 80));
    for series in &busy.series {
        assert!(picture.contains(&series.label), "{}", series.label);
        assert!(text.contains(&series.label), "{}", series.label);
    }
    for label in ["A title", "step", "value", "a note"] {
        assert!(picture.contains(&format!(">{label}</text>")) && text.contains(label), "{label}");
    }
}

#[test]
fn what_is_in_several_charts_of_a_grid_is_told_once() {
    let chart = chart((Scale::Linear, Scale::Linear), vec![series("measured", vec![(0.0, 1.0), (1.0, 2.0)])]);
    assert_eq!(svg_grid(&vec![chart; 5], 3, "five").matches("measured").count(), 1);
    assert!(svg_grid(&[], 3, "none").contains("none"));
}

#[test]
fn text_is_escaped_and_never_read_as_mathematics() {
    let chart = chart((Scale::Linear, Scale::Linear), vec![series("<script>$x^2$ & \u{1b}[31m", vec![(0.0, 1.0)])]);
    let picture = svg(&chart);
    assert!(picture.contains("&lt;script&gt;$x^2$ &amp;"), "{picture}");
    assert!(!picture.contains("<script") && !picture.contains('\u{1b}'));
    assert!(!terminal(&chart, 80).contains('\u{1b}'));
}

#[test]
fn a_single_point_is_its_mark_and_no_line() {
    let points = |second: Vec<(f64, f64)>| {
        chart((Scale::Linear, Scale::Linear), vec![series("a", vec![(1.0, 2.0)]), series("b", second)])
    };
    let lines = |chart: &Chart| svg(chart).matches("stroke-width=\"4\"").count();
    assert_eq!(lines(&points(vec![(3.0, 1.0)])), 0, "{}", svg(&points(vec![(3.0, 1.0)])));
    assert!(lines(&points(vec![(3.0, 1.0), (4.0, 1.0)])) > 0);
}

#[test]
fn what_cannot_be_drawn_is_left_out() {
    let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 5e-324, 1e-16, 1.0, 1e6, f64::MAX, f64::MIN];
    let scales = [Scale::Linear, Scale::Logarithmic];
    for (x, y) in scales.into_iter().flat_map(|x| scales.map(|y| (x, y))) {
        for &first in &strange {
            let points: Vec<_> = strange.iter().map(|&second| (second, first)).collect();
            let band = strange.iter().map(|&second| (first, second)).collect();
            let lines = [Line::Solid, Line::Dashed, Line::Points];
            let series = lines.map(|line| Series {
                band: Some(strange.map(|edge| (edge, first)).into()),
                line,
                ..series("s", points.clone())
            });
            let mut chart = chart((x, y), series.into());
            chart.series[0].band = Some(band);
            for range in [None, Some((0.5, 2.0)), Some((first, 1.0))] {
                chart.x.range = range;
                chart.y.range = range;
                let picture = svg(&chart);
                assert!(!picture.contains("NaN") && !picture.contains("inf"), "{chart:?}\n{picture}");
                assert!(!terminal(&chart, 60).contains("NaN"));
            }
        }
    }
}

#[test]
fn values_of_zero_and_below_have_no_place_on_a_logarithmic_axis() {
    let points = vec![(1.0, 1.0), (2.0, 0.0), (3.0, -1.0), (4.0, f64::NAN), (5.0, 100.0)];
    let with_zeros = chart((Scale::Linear, Scale::Logarithmic), vec![series("", points)]);
    let without = chart((Scale::Linear, Scale::Logarithmic), vec![series("", vec![(1.0, 1.0), (5.0, 100.0)])]);
    assert_eq!(svg(&with_zeros), svg(&without));
}

#[test]
fn a_chart_without_points_still_has_its_axes() {
    for series in [vec![], vec![series("nothing", vec![])], vec![series("nothing", vec![(f64::NAN, 1.0)])]] {
        let empty = chart((Scale::Linear, Scale::Logarithmic), series);
        assert!(svg(&empty).contains("<line") && svg(&empty).contains(">A title</text>"));
        assert!(png(&empty).is_ok());
        assert!(terminal(&empty, 60).contains('└') || terminal(&empty, 60).contains('┼'));
    }
}

#[test]
fn a_dashed_curve_has_gaps_in_both_kinds_of_picture() {
    let points: Vec<_> = (0..400).map(|step| (f64::from(step), f64::from(step))).collect();
    let drawn = |line| chart((Scale::Linear, Scale::Linear), vec![Series { line, ..series("", points.clone()) }]);
    assert!(svg(&drawn(Line::Dashed)).contains("stroke-dasharray"));
    assert!(!svg(&drawn(Line::Solid)).contains("stroke-dasharray"));
    assert_ne!(png(&drawn(Line::Dashed)).unwrap(), png(&drawn(Line::Solid)).unwrap());
}

#[test]
fn a_terminal_plot_keeps_to_its_width() {
    for width in [10, 60, 100, 500] {
        let text =
            terminal(&chart((Scale::Linear, Scale::Linear), vec![series("a", vec![(0.0, 1.0), (9.0, 3.0)])]), width);
        assert!(text.lines().all(|line| line.chars().count() <= width.clamp(40, 160)), "{text}");
        assert!(text.contains("  a  a\n"), "{text}");
    }
}

/// How many marks and arrows are in a picture.
fn polygons(picture: &str) -> usize {
    picture.matches("Z\"").count()
}

#[test]
fn units_of_equal_axes_are_equally_long() {
    let circle: Vec<_> = (0..=300).map(|angle| (f64::from(angle) * 0.021).sin_cos()).collect();
    for (wide, points) in [(1.0, circle.clone()), (9.0, circle.iter().map(|(x, y)| (x + 9.0 * y, *y)).collect())] {
        let square = vec![(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)];
        let drawn = svg(&chart((Scale::Equal, Scale::Equal), vec![series("", points), series("", square)]));
        let path = drawn.split("<path d=\"M").nth(2).unwrap().split('"').next().unwrap();
        let numbers: Vec<f64> = path.replace('L', " ").split_whitespace().map(|word| word.parse().unwrap()).collect();
        let (across, up) = (numbers[2] - numbers[0], numbers[3] - numbers[5]);
        assert!((across / up - 1.0).abs() < 0.02, "{wide}: {across} {up}");
    }
}

#[test]
fn a_curve_that_leaves_the_picture_ends_in_an_arrow() {
    let points: Vec<_> = (0..100).map(|step| (f64::from(step), 0.8f64.powi(step))).collect();
    let mut chart = chart((Scale::Linear, Scale::Logarithmic), vec![series("falls", points)]);
    assert_eq!(polygons(&svg(&chart)), 0);
    chart.y.range = Some((1e-4, 1.0));
    assert_eq!(polygons(&svg(&chart)), 1);
}

#[test]
fn a_curve_on_another_one_says_so() {
    let line = |y: f64| (0..50).map(|x| (f64::from(x), y)).collect::<Vec<_>>();
    let all = vec![series("first", line(0.5)), series("second", line(0.5)), series("third", line(0.6))];
    let drawn = svg(&chart((Scale::Linear, Scale::Linear), all));
    assert!(drawn.contains("second (on the line of “first”)") && drawn.contains(">third</text>"), "{drawn}");
    // Four marks on each line and one in the legend.
    assert_eq!(polygons(&drawn), 15);
}

#[test]
fn few_points_are_seen_as_points() {
    let points = vec![(1.0, 1.0), (2.0, 3.0), (3.0, 4.0), (4.0, 2.0)];
    // At each point, and in the legend.
    assert_eq!(polygons(&svg(&chart((Scale::Linear, Scale::Linear), vec![series("measured", points)]))), 5);
}

#[test]
fn boxes_of_a_png_are_explained() {
    let height = |label: &str| {
        let drawn = png(&chart((Scale::Linear, Scale::Linear), vec![series(label, vec![(0.0, 1.0), (1.0, 2.0)])]));
        u32::from_be_bytes(drawn.unwrap()[20..24].try_into().unwrap())
    };
    assert_eq!(height("η = 1/L"), height("letters"));
    assert!(height("漢字") > height("letters") + 30);
}
