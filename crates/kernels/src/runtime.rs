//! How CubeCL, which runs everything on GPUs, is set up.

/// Sets CubeCL up for this process; to be called before the first GPU is opened. A `cubecl.toml` in the working
/// directory or above it and CubeCL's environment variables still count.
pub fn set_up_gpus() {
    #[cfg(feature = "cube")]
    {
        use burn_cubecl::cubecl::config::autotune::AutotuneLevel;
        use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

        let mut config = CubeClRuntimeConfig::from_current_dir();
        // At every other level CubeCL measures what the device can do at best, ten seconds in each process, to stop
        // trying kernels early.
        config.autotune.level = AutotuneLevel::Full;
        CubeClRuntimeConfig::try_set(config.override_from_env());
    }
}
