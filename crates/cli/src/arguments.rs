//! Arguments that several commands take; those of one command are beside it.

use std::path::PathBuf;

use clap::Args;
use kiln_settings::Override;

use crate::device::{Chosen, DeviceError, choose};
use crate::terminal::say;

/// The value of one `--set KEY=VALUE`.
pub(crate) fn overriding(argument: &str) -> Result<Override, String> {
    Override::parse("--set", argument)
}

/// A configuration file with what overrides it.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// The configuration, a TOML file (configs/README.md lists every key)
    pub(crate) config: PathBuf,

    /// Set a key of the configuration, for example `--set run.steps=100`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = overriding)]
    pub(crate) overrides: Vec<Override>,
}

/// The device to compute on.
#[derive(Debug, Args)]
pub(crate) struct DeviceArguments {
    /// Where to compute: auto, cpu, ndarray, wgpu[:N], vulkan[:N], cuda[:N], rocm[:N], metal; `wgpu:software` for an
    /// adapter that computes on the CPU
    #[arg(long, default_value = "auto")]
    device: String,
}

impl DeviceArguments {
    /// Opens the device.
    ///
    /// # Errors
    /// When there is no such device, or it does not start.
    pub(crate) fn choose(&self) -> Result<Chosen, DeviceError> {
        choose(&self.device)
    }

    /// Opens the device and says on stderr which one it is.
    ///
    /// # Errors
    /// When there is no such device, or it does not start.
    pub(crate) fn open(&self) -> Result<Chosen, DeviceError> {
        let chosen = self.choose()?;
        say(&format!("device: {}", chosen.description));
        Ok(chosen)
    }
}
