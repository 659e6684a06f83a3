//! Gradients that explode.

use kiln_figures::{Axis, Chart, Line, Series};
use kiln_study::Study;
use kiln_study::explosion::{Cliff, Clipping, ExplosionFindings, Trial};

use super::{Numbers, Picture, Shown, file_name, short, table};

pub(super) fn show(study: &Study, found: &ExplosionFindings) -> Shown {
    let mut names: Vec<&str> = found.trials.iter().map(|trial| trial.name.as_str()).collect();
    names.dedup();
    let mut pictures: Vec<Picture> = names.iter().map(|name| norms(name, &found.trials)).collect();
    pictures.extend(found.cliff.as_ref().map(cliff));
    let row = |trial: &Trial| {
        vec![
            trial.name.clone(),
            short(trial.scale),
            short(trial.radius),
            short(trial.rate),
            clipping(trial.clipping),
            format!("{} of {}", trial.diverged.count, trial.diverged.of),
            format!("{:.0} % to {:.0} %", 100.0 * trial.diverged.low, 100.0 * trial.diverged.high),
            short(largest(trial)),
            short(last_loss(trial)),
        ]
    };
    let header =
        ["model", "scale", "radius", "rate", "clipping", "diverged", "95 % interval", "largest norm", "last loss"];
    Shown {
        sentences: vec![sentence(study, found)],
        pictures,
        tables: vec![table(
            "Diverged: a number was not finite, or the mean loss of the last tenth is above the first one. The radius \
             is that of the first layer's recurrent matrix before training (in a gated cell of the block of its \
             candidate); the last loss is the mean over the repeats that didn't diverge.",
            &header,
            found.trials.iter().map(row).collect(),
        )],
        numbers: vec![numbers(found)],
    }
}

fn clipping(clipping: Clipping) -> String {
    match clipping {
        Clipping::None => "none".to_owned(),
        Clipping::Norm(limit) => format!("norm, {}", short(limit)),
        Clipping::Value(limit) => format!("value, {}", short(limit)),
    }
}

fn largest(trial: &Trial) -> f64 {
    trial.repeats.iter().flat_map(|repeat| &repeat.norms).copied().filter(|norm| norm.is_finite()).fold(0.0, f64::max)
}

fn last_loss(trial: &Trial) -> f64 {
    let last: Vec<f64> = trial
        .repeats
        .iter()
        .filter(|repeat| !repeat.diverged)
        .filter_map(|repeat| repeat.losses.last().copied())
        .collect();
    last.iter().sum::<f64>() / last.len() as f64
}

/// The first repeat of each scale, without and with clipping, at the highest rate.
fn norms(name: &str, trials: &[Trial]) -> Picture {
    let of_name: Vec<&Trial> = trials.iter().filter(|trial| trial.name == name).collect();
    let rate = of_name.iter().map(|trial| trial.rate).fold(0.0, f64::max);
    let mut series = Vec::new();
    for (index, trial) in of_name.iter().filter(|trial| trial.rate == rate).enumerate() {
        let line = match trial.clipping {
            Clipping::None => Line::Solid,
            Clipping::Norm(_) => Line::Dashed,
            Clipping::Value(_) => continue,
        };
        let Some(repeat) = trial.repeats.first() else { continue };
        let points = repeat.norms.iter().enumerate().map(|(step, norm)| (step as f64 + 1.0, *norm)).collect();
        let label = format!("scale {}, clipping: {}", short(trial.scale), clipping(trial.clipping));
        series.push(Series { line, ..Series::curve(label, index / 3, points) });
    }
    let chart = Chart {
        title: format!("{name} at rate {}: the gradient through training", short(rate)),
        x: Axis::linear("update"),
        y: Axis::logarithmic("norm of the gradient, before clipping"),
        series,
        note: None,
    };
    let caption =
        format!("The gradient norm of {name} in the first repeat. A curve ends where a number was not finite.");
    Picture::of(format!("norms-{}", file_name(name)), &chart, caption)
}

fn cliff(cliff: &Cliff) -> Picture {
    let [free, clipped] = cliff.ends;
    let end = |label: &str, colour: usize, place: (f64, f64)| Series {
        line: Line::Points,
        ..Series::curve(label, colour, vec![place])
    };
    let (first, last) =
        (cliff.points.first().map_or(0.0, |point| point.0), cliff.points.last().map_or(0.0, |point| point.0));
    let mut series = vec![
        Series::curve("loss along the gradient", 0, cliff.points.clone()),
        end("the update with clipping by the norm ends here", 2, clipped),
    ];
    let outside = !(first..=last).contains(&free.0);
    series.extend((!outside).then(|| end("the update without clipping ends here", 1, free)));
    let further =
        format!("; without clipping the update ends at {}, where the loss is {}", short(free.0), short(free.1));
    let chart = Chart {
        title: format!("{}: a cliff, update {}", cliff.name, cliff.step),
        x: Axis::linear("distance against the gradient"),
        y: Axis::linear("loss of the batch, nats"),
        series,
        note: Some(format!(
            "the gradient's norm is {} at 0{}",
            short(cliff.norm),
            if outside { further.as_str() } else { "" }
        )),
    };
    let caption = "The loss of a batch along its own gradient, before the update whose gradient was the largest \
                   of all trainings without clipping, after their first tenth. A gradient says how steep the loss is \
                   at one place, not how far that goes.";
    Picture::of("cliff", &chart, caption)
}

fn sentence(study: &Study, found: &ExplosionFindings) -> String {
    let count = |wanted: fn(Clipping) -> bool| {
        let trials = found.trials.iter().filter(|trial| wanted(trial.clipping));
        trials.fold((0, 0), |(count, of), trial| (count + trial.diverged.count, of + trial.diverged.of))
    };
    let (free, norm, value) = (
        count(|clipping| clipping == Clipping::None),
        count(|clipping| matches!(clipping, Clipping::Norm(_))),
        count(|clipping| matches!(clipping, Clipping::Value(_))),
    );
    format!(
        "Over all scales and rates, with {} repeats of each: {} of {} trainings diverged without clipping, {} of {} \
         with clipping by the norm, {} of {} with clipping by the value.",
        study.seeds, free.0, free.1, norm.0, norm.1, value.0, value.1
    )
}

fn numbers(found: &ExplosionFindings) -> Numbers {
    let mut rows = Vec::new();
    for trial in &found.trials {
        for (index, repeat) in trial.repeats.iter().enumerate() {
            for (step, (norm, loss)) in repeat.norms.iter().zip(&repeat.losses).enumerate() {
                rows.push(vec![
                    trial.name.clone(),
                    trial.scale.to_string(),
                    trial.rate.to_string(),
                    clipping(trial.clipping),
                    (index + 1).to_string(),
                    (step + 1).to_string(),
                    norm.to_string(),
                    loss.to_string(),
                ]);
            }
        }
    }
    let header = vec!["model", "scale", "rate", "clipping", "repeat", "update", "norm", "loss"];
    Numbers { ending: "norms", header, rows }
}
