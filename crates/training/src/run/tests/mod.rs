//! The run folder's small files.

mod comparing;
mod costs;
mod damage;
mod failing;
mod fixture;
mod hostile;
mod memory;
mod power;
pub(crate) mod trouble;

use std::fs;

use super::*;

fn entry(step: u64) -> StepEntry {
    StepEntry {
        step,
        tokens: step * 16,
        train_loss: 1.5,
        hard_loss: None,
        soft_loss: None,
        margin: None,
        accuracy: None,
        learning_rate: 0.1,
        gradient_norm: 2.0,
        tokens_per_second: 3.0,
        gradient_noise: None,
        noise_scale: None,
        sharpness: None,
    }
}

#[test]
fn the_log_is_cut_back_to_the_step_that_a_run_goes_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::open(&path, 0).unwrap();
    for step in 1..=5 {
        log.append(&entry(step)).unwrap();
    }
    drop(log);
    let mut log = MetricsLog::open(&path, 3).unwrap();
    log.append(&entry(4)).unwrap();
    let steps: Vec<u64> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<StepEntry>(line).unwrap().step)
        .collect();
    assert_eq!(steps, [1, 2, 3, 4]);
}

#[test]
fn a_torn_last_line_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    MetricsLog::open(&path, 0).unwrap().append(&entry(1)).unwrap();
    let whole = fs::read(&path).unwrap();
    for torn in [&b"{\"step\":2"[..], b"\xff\xfe", b"not json\n", b"{\"step\":2}"] {
        fs::write(&path, [&whole[..], torn].concat()).unwrap();
        drop(MetricsLog::open(&path, 9).unwrap());
        assert_eq!(fs::read(&path).unwrap(), whole, "after {torn:?}");
    }
}

#[test]
fn the_state_of_the_loop_survives_its_file() {
    let state = LoopState {
        step: 7,
        evaluated: Some(5),
        tokens: 1 << 60,
        best: Some(Best { step: 5, loss: 0.1 + 0.2 }),
        schedule: ScheduleEntry(serde_json::json!({ "step": 7 })),
        averaging: None,
        noise: None,
        ..LoopState::default()
    };
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<LoopState>(&text).unwrap(), state);
}

#[test]
fn what_was_not_measured_is_not_in_the_log() {
    let mut entry = entry(1);
    assert!(!serde_json::to_string(&entry).unwrap().contains("sharpness"));
    entry.sharpness = Some(2.5);
    let line = serde_json::to_string(&entry).unwrap();
    assert!(line.ends_with("\"sharpness\":2.5}"), "{line}");
    assert_eq!(serde_json::from_str::<StepEntry>(&line).unwrap(), entry);
}

#[test]
fn a_log_is_read_back_up_to_a_torn_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    assert_eq!(Metrics::read(&path).unwrap(), Metrics::default());
    let evaluation = EvaluationEntry {
        step: 2,
        valid_loss: 0.1 + 0.2,
        perplexity: 1.0,
        bits_per_byte: 2.0,
        tokens: 3,
        translation: None,
        margin: None,
        accuracy: None,
    };
    let mut log = MetricsLog::open(&path, 0).unwrap();
    for step in 1..=2 {
        log.append(&entry(step)).unwrap();
    }
    log.append(&evaluation).unwrap();
    drop(log);
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"step\":3,\"train_lo");
    fs::write(&path, text).unwrap();
    let expected = Metrics { steps: vec![entry(1), entry(2)], evaluations: vec![evaluation], ..Metrics::default() };
    assert_eq!(Metrics::read(&path).unwrap(), expected);
}

#[test]
fn weights_that_are_not_finite_are_not_saved_beside_an_average_that_is() {
    let mut checkpoint = fixture::checkpoint(1, 1);
    let numbers = burn::tensor::TensorData::new(vec![0.5_f32, f32::NAN], [2]);
    checkpoint.training_weights = Some([("output.bias".to_string(), numbers)].into());
    let description = fixture::description();
    let model = description.model.init(description.vocabulary_size, 8, 1, &burn::tensor::Device::flex());
    let weights = kiln_models::saved::collect_tensors(&model).unwrap();
    let Err(error) = Snapshot::new(weights, &description, checkpoint) else { panic!("it was taken") };
    let message = error.to_string();
    assert!(message.contains("training-weights.safetensors") && message.contains("not finite"), "{message}");
}
