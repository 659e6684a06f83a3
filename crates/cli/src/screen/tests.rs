//! The dashboard of a made-up run, as a terminal of two sizes shows it, and what stays of it.
//!
//! `SNAPSHOTS=overwrite` writes the pictures anew; look at them before they are committed.

use std::path::Path;
use std::time::{Duration, Instant};

use kiln_training::run::{EvaluationEntry, Metrics, SkipEntry, SpikeEntry, StepEntry};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::drawing::{Look, draw};
use super::state::{Evaluated, Facts, Happening, Numbers, State};

fn facts() -> Facts {
    Facts {
        run: "runs/tales".to_owned(),
        device: "cpu".to_owned(),
        model: "transformer, 349,248 parameters".to_owned(),
        steps: 400,
        tokens_per_step: 1536,
        training_tokens: 500_000,
        floor: Some(0.141),
    }
}

/// The numbers of a step: a loss that falls from 4 to 0.5 and scatters, and a spike at step 120.
fn numbers(step: u64) -> Numbers {
    let time = step as f64 / 400.0;
    let scatter = 0.1 * ((step * 7919 % 101) as f64 / 101.0 - 0.5);
    let spike = if step == 120 { 9.0 } else { 0.0 };
    Numbers {
        step,
        loss: 0.5 + 3.5 * (-5.0 * time).exp() + scatter + spike,
        rate: 3e-3 * (1.0 - time),
        gradient_norm: 0.8 + scatter + spike,
        tokens_per_second: 105_178.0,
        seconds_left: 12.4 * (400 - step) as f64 / 167.0,
    }
}

fn evaluated(step: u64, loss: f64, is_best: bool) -> Evaluated {
    Evaluated { step, loss, perplexity: loss.exp(), bits_per_byte: loss * std::f64::consts::LOG2_E, is_best }
}

/// The run after step 233, three seconds ago.
fn run(then: Instant) -> State {
    let mut state = State::new(facts());
    for step in 1..=233 {
        state.apply(Happening::Updated(numbers(step)), then);
    }
    let happenings = [
        Happening::Evaluated(evaluated(50, 2.4132, true)),
        Happening::Evaluated(evaluated(100, 1.6511, true)),
        Happening::Spike("spike at step 120: the gradient norm is 9.8, its running mean 0.8".to_owned()),
        Happening::Evaluated(evaluated(150, 1.0944, true)),
        Happening::Evaluated(evaluated(200, 1.1021, false)),
        Happening::Saved { step: 200 },
        Happening::Sampled {
            step: 200,
            text: "Once upon a time\tbeside the lantern\nlay a silver \u{1b}[31mkey.".to_owned(),
        },
    ];
    happenings.into_iter().for_each(|happening| state.apply(happening, then));
    state.memory = Some(312 << 20);
    state
}

/// What a terminal of this size shows, without colours.
fn shown(state: &State, now: Instant, columns: u16, rows: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("it has a size");
    terminal.draw(|frame| draw(state, now, Look { has_colours: false }, frame)).expect("it is drawn");
    let buffer = terminal.backend().buffer();
    let row = |row: u16| (0..columns).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    (0..rows).map(|number| row(number).trim_end().to_owned() + "\n").collect()
}

fn assert_is(shown: &str, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/screen/snapshots").join(name);
    let expected = snapbox::Data::read_from(&path, Some(snapbox::data::DataFormat::Text));
    snapbox::assert_data_eq!(shown, expected);
}

#[test]
fn it_is_whole_at_80_by_24_and_more_at_150_by_45() {
    let then = Instant::now();
    let (state, now) = (run(then), then + Duration::from_secs(3));
    let [small, large] = [(80, 24), (150, 45)].map(|(columns, rows)| shown(&state, now, columns, rows));
    for fact in [
        "runs/tales",
        "transformer, 349,248 parameters",
        "cpu",
        "step 233 of 400",
        "58.2 %",
        "0.72 of 1.23 passes",
        "9 s left",
        "training 0.",
        "validation 1.1021",
        "best 1.0944 at step 150",
        "floor 0.1410",
        "rate 1.25e-3",
        "norm 0.8",
        "105,178 tokens/s",
        "saved step 200, 3 s ago",
        "0 faults",
        "1 spike ",
        "memory 312 MiB",
        "silver  [31mkey.",
        "spike at step 120",
        "q saves and stops",
    ] {
        assert!(small.contains(fact) && large.contains(fact), "{fact} is not in\n{small}\n{large}");
    }
    assert!(
        large.contains("learning rate") && large.contains("     150    1.0944        2.99     1.5789 +"),
        "{large}"
    );
    assert_is(&small, "80x24.txt");
    assert_is(&large, "150x45.txt");
}

#[test]
fn it_is_drawn_at_every_size_and_before_the_first_step() {
    let now = Instant::now();
    let states = [State::new(facts()), State::new(Facts { floor: None, ..facts() }), run(now)];
    for state in &states {
        for (columns, rows) in [(1, 1), (59, 40), (60, 16), (79, 23), (120, 34), (400, 100)] {
            shown(state, now, columns, rows);
        }
    }
    assert!(shown(&states[0], now, 80, 24).contains("time left unknown"));
    assert!(shown(&states[2], now, 30, 6).contains("step 233 of 400"));
}

#[test]
fn colours_are_there_unless_they_are_not_wanted() {
    let now = Instant::now();
    let colours = |has_colours| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("it has a size");
        terminal.draw(|frame| draw(&run(now), now, Look { has_colours }, frame)).expect("it is drawn");
        let cells = terminal.backend().buffer().content().iter();
        cells.filter(|cell| cell.fg != ratatui::style::Color::Reset).count()
    };
    assert_eq!(colours(false), 0);
    assert!(colours(true) > 100);
}

/// The log that [`run`] would have left, with a line each five steps.
fn log() -> Metrics {
    let step = |step: u64| {
        let Numbers { loss, rate, gradient_norm, tokens_per_second, .. } = numbers(step);
        StepEntry {
            step,
            tokens: 1536 * step,
            train_loss: loss,
            hard_loss: None,
            soft_loss: None,
            margin: None,
            accuracy: None,
            learning_rate: rate,
            gradient_norm,
            tokens_per_second,
            gradient_noise: None,
            noise_scale: None,
            sharpness: None,
        }
    };
    let evaluation = |step: u64, loss: f64| EvaluationEntry {
        step,
        valid_loss: loss,
        perplexity: loss.exp(),
        bits_per_byte: loss * std::f64::consts::LOG2_E,
        tokens: 1000,
        translation: None,
        margin: None,
        accuracy: None,
    };
    let skip = |step| SkipEntry { step, skipped: "loss".into(), value: "NaN".into(), batches: [0, 0] };
    let spike = |step| SpikeEntry { step, spike: "loss".into(), value: 9.0, usual: 1.0, deviations: 8.0 };
    Metrics {
        steps: (1..=46).map(|number| step(5 * number)).collect(),
        evaluations: vec![evaluation(50, 2.4132), evaluation(100, 1.6511), evaluation(150, 1.7), evaluation(200, 1.0)],
        skips: vec![skip(20), skip(180)],
        rollbacks: Vec::new(),
        spikes: vec![spike(120)],
    }
}

#[test]
fn the_earlier_curve_is_there_after_a_resumption_up_to_its_checkpoint() {
    let mut state = State::new(facts());
    state.recall(&log(), 150);
    assert_eq!(state.step, 150);
    let points = state.training.points();
    assert_eq!((points.len(), points[0].0, points[29].0), (30, 5.0, 150.0));
    assert_eq!(state.evaluations.len(), 3);
    assert_eq!(state.best().map(|best| (best.step, best.loss)), Some((100, 1.6511)));
    assert_eq!((state.faults, state.spikes, state.saved), (1, 1, Some((150, None))));
    let now = Instant::now();
    assert!(shown(&state, now, 80, 24).contains("resumed from step 150"));
    // It goes on from there.
    state.apply(Happening::Updated(numbers(151)), now);
    assert_eq!(state.training.points().len(), 31);
}

#[test]
fn a_return_to_an_earlier_step_takes_back_what_came_after_it() {
    let now = Instant::now();
    let mut state = run(now);
    state.apply(Happening::RolledBack { to: 100, words: "back to step 100".to_owned() }, now);
    assert_eq!((state.step, state.training.points().last().map(|point| point.0)), (100, Some(100.0)));
    assert_eq!(state.best().map(|best| best.step), Some(100));
    assert_eq!(state.notes.last().map(String::as_str), Some("back to step 100"));
}

#[test]
fn the_time_left_goes_on_between_two_steps() {
    let then = Instant::now();
    let mut state = State::new(facts());
    state.apply(Happening::Updated(Numbers { seconds_left: 100.0, ..numbers(10) }), then);
    assert_eq!(state.seconds_left(then + Duration::from_secs(30)), Some(70.0));
    assert_eq!(state.seconds_left(then + Duration::from_secs(300)), Some(0.0));
}

#[test]
fn evaluations_plot_sample_and_trouble_stay() {
    let words = super::closing::words(&run(Instant::now()), 80);
    assert_is(&words, "closing.txt");
    // As many rows as fit on a screen, the best and the last one among them.
    let mut state = State::new(facts());
    for step in 1..=397 {
        state.apply(
            Happening::Evaluated(evaluated(step, if step == 111 { 0.5 } else { 1.0 }, step == 1 || step == 111)),
            Instant::now(),
        );
    }
    let table = super::closing::words(&state, 80);
    let steps: Vec<u64> =
        table.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect();
    assert!(steps.len() <= 22 && steps.contains(&111) && steps.contains(&397), "{steps:?}");
}
