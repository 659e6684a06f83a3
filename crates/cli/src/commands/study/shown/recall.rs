//! Recall over distance.

use kiln_figures::{Axis, Line, Series};
use kiln_study::recall::{RecallFindings, RecallOfModel};

use super::{Numbers, Picture, Shown, bands, edges, file_name, table, with_band};

pub(super) fn show(found: &[RecallFindings]) -> Shown {
    let mut header = vec!["task", "model", "parameters"];
    let distances: Vec<String> =
        found.first().map_or(&[][..], |task| &task.distances).iter().map(|distance| format!("at {distance}")).collect();
    header.extend(distances.iter().map(String::as_str));
    let rows = found.iter().flat_map(|task| task.models.iter().map(move |model| row(task, model)));
    Shown {
        sentences: found.iter().map(sentence).collect(),
        pictures: found.iter().map(picture).collect(),
        tables: vec![table(
            "The share of right answers, and its 95 % interval over the trainings.",
            &header,
            rows.collect(),
        )],
        numbers: vec![numbers(found)],
    }
}

fn row(task: &RecallFindings, model: &RecallOfModel) -> Vec<String> {
    let mut row = vec![task.task.name().to_owned(), model.name.clone(), model.parameters.to_string()];
    row.extend(model.accuracy.iter().map(|share| with_band(*share, 2)));
    row
}

fn picture(task: &RecallFindings) -> Picture {
    let curve = |model: &RecallOfModel| {
        let points = task.distances.iter().zip(&model.accuracy);
        let share = |edge: f64| edge.clamp(0.0, 1.0);
        (model.name.clone(), points.map(|(distance, band)| (*distance as f64, edges(*band).map(share))).collect())
    };
    let title = format!("Recall: {}", task.task.name());
    let y = Axis { range: Some((0.0, 1.05)), ..Axis::linear("share of right answers") };
    let mut chart = bands(&title, Axis::logarithmic("distance, tokens"), y, task.models.iter().map(curve).collect());
    let guesses = task.distances.iter().zip(&task.guess).map(|(distance, guess)| (*distance as f64, *guess)).collect();
    chart.series.push(Series { line: Line::Dotted, ..Series::curve("a guess", 4, guesses) });
    let caption = format!(
        "How often the answer is right, over the distance to what it follows from, for models trained on examples of \
         all distances up to the longest ({}). Dotted: always the most frequent answer.",
        task.task.name()
    );
    Picture::of(file_name(task.task.name()), &chart, caption)
}

fn sentence(task: &RecallFindings) -> String {
    let longest = |model: &RecallOfModel| {
        let finds = |(distance, share): (&usize, &kiln_convergence::Band)| (share.mean >= 0.9).then_some(*distance);
        task.distances.iter().zip(&model.accuracy).filter_map(finds).max()
    };
    let words: Vec<String> = task
        .models
        .iter()
        .map(|model| match longest(model) {
            Some(distance) => format!("{} over {distance} tokens", model.name),
            None => format!("{} over none", model.name),
        })
        .collect();
    let diverged: usize = task.models.iter().map(|model| model.diverged).sum();
    let left_out =
        if diverged > 0 { format!(" {diverged} trainings diverged and are left out.") } else { String::new() };
    let name = task.task.name();
    format!(
        "The longest distance of those tried with nine right answers in ten, {name}: {}.{left_out}",
        words.join(", ")
    )
}

fn numbers(found: &[RecallFindings]) -> Numbers {
    let mut rows = Vec::new();
    for task in found {
        for model in &task.models {
            for (index, distance) in task.distances.iter().enumerate() {
                let (accuracy, loss) = (model.accuracy[index], model.loss[index]);
                rows.push(vec![
                    task.task.name().to_owned(),
                    model.name.clone(),
                    distance.to_string(),
                    accuracy.mean.to_string(),
                    accuracy.half_width.to_string(),
                    loss.mean.to_string(),
                    loss.half_width.to_string(),
                    task.guess[index].to_string(),
                    model.diverged.to_string(),
                ]);
            }
        }
    }
    let header = vec![
        "task",
        "model",
        "distance",
        "accuracy",
        "accuracy_half_width",
        "loss",
        "loss_half_width",
        "guess",
        "diverged",
    ];
    Numbers { ending: "recall", header, rows }
}
