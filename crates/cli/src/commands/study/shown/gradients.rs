//! Gradients over distance.

use kiln_figures::{Axis, Chart};
use kiln_study::Study;
use kiln_study::gradients::{Curve, Decay, GradientFindings, Interval, States, Verdict};

use super::{Numbers, Picture, Points, Shown, bands, file_name, short, table};

pub(super) fn show(study: &Study, found: &[GradientFindings]) -> Shown {
    let over = if study.seeds > 1 { format!("{} trainings", study.seeds) } else { "places of the text".to_owned() };
    let mut pictures = vec![Picture::of(
        "inputs",
        &of_inputs(found),
        format!(
            "The norm of the gradient of a token's loss with respect to what the first layer reads of the token k \
             before it, at the end of training, relative to k = 0: geometric means with 95 % intervals over {over}. A \
             geometric fall is a straight line."
        ),
    )];
    for model in found {
        pictures.push(Picture::of(
            format!("states-{}", file_name(&model.name)),
            &of_states(model),
            format!("The same for every state of {}, at the end of training.", model.name),
        ));
        pictures.push(Picture::of(
            format!("training-{}", file_name(&model.name)),
            &of_training(model),
            format!("The gradient with respect to the inputs of {} through its training.", model.name),
        ));
    }
    Shown {
        sentences: found.iter().flat_map(sentences).collect(),
        pictures,
        tables: vec![table(
            "The fit is the straight line through the logarithm of the curve from distance 1 on. The spectral radius \
             is that of the recurrent matrix of the layer, in a gated cell of the block of its candidate: of a linear \
             network it is the factor in the end, tanh makes it smaller.",
            &["model", "state", "factor per token", "95 % interval", "falls by e over", "95 % interval", "radius"],
            found.iter().flat_map(rows).collect(),
        )],
        numbers: vec![numbers(found)],
    }
}

fn last(model: &GradientFindings) -> &[Curve] {
    model.stages.last().map_or(&[], |stage| &stage.1)
}

fn name(states: States) -> String {
    match states {
        States::Inputs => "input".to_owned(),
        States::Hidden(layer) => format!("output of layer {}", layer + 1),
        States::Memory(layer) => format!("memory of layer {}", layer + 1),
    }
}

/// Relative to distance 0.
fn points(curve: &Curve) -> Points {
    let first = curve.lags.first().map_or(1.0, |lag| lag.mean);
    let point = |(lag, Interval { mean, low, high }): (usize, &Interval)| {
        (lag as f64, [mean, low, high].map(|norm| norm / first))
    };
    curve.lags.iter().enumerate().map(point).collect()
}

fn chart(title: &str, curves: Vec<(String, Points)>) -> Chart {
    let y = Axis::logarithmic("norm of the gradient, relative to distance 0");
    bands(title, Axis::linear("distance k, tokens"), y, curves)
}

fn of_inputs(found: &[GradientFindings]) -> Chart {
    let curve = |model: &GradientFindings| Some((model.name.clone(), points(last(model).first()?)));
    chart("How far back a gradient reaches", found.iter().filter_map(curve).collect())
}

fn of_states(model: &GradientFindings) -> Chart {
    // What the last block of a transformer makes of earlier tokens has no way to the loss.
    let curves = last(model).iter().filter(|curve| curve.lags.len() > 1);
    let curves = curves.map(|curve| (name(curve.states), points(curve))).collect();
    chart(&format!("Every state of {}", model.name), curves)
}

fn of_training(model: &GradientFindings) -> Chart {
    let stage = |(step, curves): &(u64, Vec<Curve>)| Some((format!("after {step} updates"), points(curves.first()?)));
    chart(&format!("{} through its training", model.name), model.stages.iter().filter_map(stage).collect())
}

/// What the fit to the state that reaches furthest says.
fn sentences(model: &GradientFindings) -> Option<String> {
    let curve = last(model).first()?;
    let Decay { distance, verdict, .. } = curve.decay?;
    let said = match verdict {
        Verdict::Forgets => "forgets: less than a twentieth is left over the distances measured",
        Verdict::Remembers => "reaches back over the distances measured: more than a twentieth is left",
        Verdict::Undecided => "may or may not reach back over the distances measured: the interval has both in it",
    };
    let Interval { mean, low, high } = distance;
    let name = &model.name;
    Some(if mean.is_finite() {
        format!(
            "{name} {said}. The gradient with respect to its inputs falls by e over {} tokens, 95 % interval {} to {}.",
            short(mean),
            short(low),
            short(high)
        )
    } else {
        format!("{name} {said}. The gradient with respect to its inputs doesn't fall from distance 1 on.")
    })
}

fn rows(model: &GradientFindings) -> Vec<Vec<String>> {
    let row = |curve: &Curve| {
        let interval = |interval: Interval| format!("{} to {}", short(interval.low), short(interval.high));
        let radius = match curve.states {
            States::Hidden(layer) => model.radii.get(layer).map(|radius| short(*radius)),
            _ => None,
        };
        let decay = curve.decay?;
        Some(vec![
            model.name.clone(),
            name(curve.states),
            short(decay.per_token.mean),
            interval(decay.per_token),
            short(decay.distance.mean),
            interval(decay.distance),
            radius.unwrap_or_default(),
        ])
    };
    last(model).iter().filter_map(row).collect()
}

fn numbers(found: &[GradientFindings]) -> Numbers {
    let mut rows = Vec::new();
    for model in found {
        for (step, curves) in &model.stages {
            for curve in curves {
                for (lag, interval) in curve.lags.iter().enumerate() {
                    rows.push(vec![
                        model.name.clone(),
                        step.to_string(),
                        name(curve.states),
                        lag.to_string(),
                        interval.mean.to_string(),
                        interval.low.to_string(),
                        interval.high.to_string(),
                    ]);
                }
            }
        }
    }
    Numbers { ending: "norms", header: vec!["model", "update", "state", "distance", "norm", "low", "high"], rows }
}
