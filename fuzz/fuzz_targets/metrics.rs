#![no_main]
//! `metrics.jsonl`, read and opened to be continued.
use kiln_fuzz::Scratch;
use kiln_storage::layout::METRICS_FILE;
use kiln_training::run::{Metrics, MetricsLog};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    Scratch::with(METRICS_FILE, bytes, |scratch| {
        if let Err(error) = Metrics::read(scratch.file()) {
            assert!(scratch.is_named_by(&error.to_string()), "{error}");
        }
        MetricsLog::open(scratch.file(), u64::MAX).expect("what is torn is cut off");
    });
});
