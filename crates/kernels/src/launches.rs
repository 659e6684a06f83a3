//! How many kernels a GPU is asked to run.

use std::collections::BTreeMap;

/// What `body` gives, and how often it launched each kernel, by its short name: whatever was handed to a GPU by any
/// thread of this process, none on a CPU. What is to count must have been handed over within `body`, which
/// [`Device::sync`](burn::tensor::Device::sync) sees to.
pub fn count_launches<T>(body: impl FnOnce() -> T) -> (T, BTreeMap<String, u64>) {
    #[cfg(feature = "cube")]
    {
        use std::sync::Arc;

        let counter = Arc::new(counter::Counter::default());
        let observation = burn_cubecl::cubecl::logging::LaunchObservation::new(counter.clone());
        let given = body();
        drop(observation);
        (given, counter.counts())
    }
    #[cfg(not(feature = "cube"))]
    (body(), BTreeMap::new())
}

#[cfg(feature = "cube")]
mod counter {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    use burn_cubecl::cubecl::config::{TypeNameFormatLevel, type_name_format};
    use burn_cubecl::cubecl::logging::LaunchObserver;

    #[derive(Default)]
    pub(super) struct Counter(Mutex<BTreeMap<&'static str, u64>>);

    impl LaunchObserver for Counter {
        fn launched(&self, kernel: &'static str) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kernel).or_default() += 1;
        }
    }

    impl Counter {
        pub(super) fn counts(&self) -> BTreeMap<String, u64> {
            let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut by_short_name = BTreeMap::new();
            for (name, count) in counts.iter() {
                *by_short_name.entry(type_name_format(name, TypeNameFormatLevel::Short)).or_default() += count;
            }
            by_short_name
        }
    }
}
