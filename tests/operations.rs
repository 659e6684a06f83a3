//! Every operation gives on every device what its reference gives in double precision on the CPU.

use serde_json::Value;

use crate::support::Workshop;

/// Every operation with a gradient that is the same on all devices, by name, and whether there is a body for GPUs.
const OPERATIONS: [(&str, bool); 15] = [
    ("affine", true),
    ("GELU", false),
    ("GELU by tanh", false),
    ("ReLU squared", false),
    ("SwiGLU", false),
    ("layer norm", true),
    ("RMS norm", true),
    ("embedding", true),
    ("attention", true),
    ("rotary positions", false),
    ("RNN sequence", true),
    ("LSTM sequence", true),
    ("GRU sequence", true),
    ("cross-entropy", true),
    ("projected cross-entropy", true),
];

/// Those that round so little that every body may give the same bits.
const EXACT: [&str; 3] = ["ReLU squared", "embedding", "rotary positions"];

/// Fails unless every operation computes on `device` what its reference computes on the CPU in double precision,
/// outputs and gradients, and does so in a body of its own if `has_body` says so of the operation, given whether there
/// is a body for GPUs.
pub(crate) fn equal_their_references(device: &str, has_body: fn(bool) -> bool) {
    let finished = Workshop::new().kiln(&["bench", "kernels", "--check", "--json", "--device", device]).success();
    let report: Value = serde_json::from_str(&finished.stdout).expect("stdout is one object");
    let results = report["results"].as_array().expect("there is a list of results");
    assert_eq!(report["tolerance"], 1e-5);
    for (name, has_gpu_body) in OPERATIONS {
        let own = results.iter().filter(|result| result["name"] == name).map(|result| result["own_bits"].as_bool());
        let own: Vec<bool> = own.map(|own| own.expect("it is reported")).collect();
        assert!(!own.is_empty(), "{name} is not in {report}");
        if has_body(has_gpu_body) {
            assert!(own.contains(&true) || EXACT.contains(&name), "{name}: {report}");
        } else {
            assert!(!own.contains(&true), "{name}: {report}");
        }
    }
    let is_close = |difference: &Value| difference.as_f64().is_some_and(|difference| difference <= 1e-5);
    for result in results {
        assert!(is_close(&result["forward"]) && is_close(&result["backward"]), "{result}");
    }
}

#[test]
fn operations_on_the_cpu_equal_their_references() {
    equal_their_references("cpu", |_| true);
}

#[cfg(feature = "ndarray")]
#[test]
fn operations_on_ndarray_equal_their_references() {
    equal_their_references("ndarray", |_| false);
}
