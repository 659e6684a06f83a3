//! How the numbers of a model are kept while it is read with.

use std::path::Path;

use clap::Args;
use kiln_models::LanguageModel;
use kiln_models::saved::{Opening, SavedModel, is_foreign};
use kiln_packed::Format;
use kiln_storage::Which;

use crate::device::Chosen;
use crate::exit::UsageError;

/// The formats that matrices can be packed into.
const WRITTEN: [Format; 5] = [Format::F32, Format::F16, Format::Bf16, Format::Q8_0, Format::Q4_0];

/// What commands take that read with a model.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct PrecisionArguments {
    /// Keep the matrices in memory as f32, f16, bf16, q8_0 or q4_0, on a CPU [default: as the file has them]
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    precision: Option<Format>,
}

fn format(text: &str) -> Result<Format, String> {
    let written = Format::from_name(text).filter(|format| WRITTEN.contains(format));
    written.ok_or_else(|| "must be f32, f16, bf16, q8_0 or q4_0".to_owned())
}

/// Any format of packed numbers, by its name.
pub(crate) fn packed_format(text: &str) -> Result<Format, String> {
    let names: Vec<String> = Format::ALL.iter().map(|format| format.name().to_lowercase()).collect();
    Format::from_name(text).ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

/// What commands take that write with a model.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct CacheArguments {
    /// Keep the keys and values of what a transformer has read as f32, or q8_0 in about a quarter of the memory, on a
    /// CPU
    #[arg(long, value_name = "FORMAT", default_value = "f32", value_parser = cache_format)]
    cache: Format,
}

fn cache_format(text: &str) -> Result<Format, String> {
    let known = Format::from_name(text).filter(|format| [Format::F32, Format::Q8_0].contains(format));
    known.ok_or_else(|| "must be f32 or q8_0".to_owned())
}

impl CacheArguments {
    /// The model with such states.
    ///
    /// # Errors
    /// The device or the width of a head doesn't allow it.
    pub(crate) fn apply(self, model: LanguageModel, chosen: &Chosen) -> Result<LanguageModel, UsageError> {
        if self.cache == Format::F32 {
            return Ok(model);
        }
        if !kiln_kernels::multiplies_packed(&chosen.device) {
            let message = format!("--cache q8_0: only `--device cpu` has such states, and this is {}", chosen.name);
            return Err(UsageError(message));
        }
        model.with_packed_cache().map_err(|width| {
            UsageError(format!("--cache q8_0: the heads of the model have {width} numbers, no multiple of 4"))
        })
    }
}

impl PrecisionArguments {
    /// As [`PrecisionArguments::open`], but a model of Kiln's keeps its parameters unless a precision is asked for: it
    /// is measured with the arithmetic that measured it while it was trained. One that was made smaller is measured as
    /// it is written with.
    ///
    /// # Errors
    /// As [`PrecisionArguments::open`].
    pub(crate) fn open_to_measure(
        self,
        path: &Path,
        which: Which,
        base: Option<&Path>,
        chosen: &Chosen,
    ) -> anyhow::Result<SavedModel> {
        if self.precision.is_some() || is_foreign(path) {
            return self.open(path, which, base, chosen);
        }
        let saved = SavedModel::open_as(path, which, Opening { base, ..Opening::new(&chosen.device) })?;
        if saved.description.compressed.is_empty() {
            return Ok(saved);
        }
        // The very checkpoint, should another one be the best by now.
        let warning = saved.warning;
        let opening = Opening { to_read: true, base, ..Opening::new(&chosen.device) };
        Ok(SavedModel { warning, ..SavedModel::open_as(&saved.folder, which, opening)? })
    }

    /// Opens a model to read with it; its adapters may have a base that isn't where it was.
    ///
    /// # Errors
    /// It cannot be opened, or a precision was asked for that the device has no products of.
    pub(crate) fn open(
        self,
        path: &Path,
        which: Which,
        base: Option<&Path>,
        chosen: &Chosen,
    ) -> anyhow::Result<SavedModel> {
        let opening = Opening { to_read: true, base, ..Opening::new(&chosen.device) };
        let Some(format) = self.precision else {
            return Ok(SavedModel::open_as(path, which, opening)?);
        };
        if !kiln_kernels::multiplies_packed(&chosen.device) {
            let message = format!(
                "--precision {}: only `--device cpu` multiplies with packed numbers, and this is {}",
                format.name().to_lowercase(),
                chosen.name
            );
            return Err(UsageError(message).into());
        }
        Ok(SavedModel::open_as(path, which, opening)?.repacked(format)?)
    }
}
