//! Charts as files.

use std::path::PathBuf;

use kiln_figures::{Chart, png, png_grid, svg, svg_grid};
use kiln_storage::{DiskFiles, write_file_atomically};

use crate::exit::UsageError;

/// Where to draw, and in which form.
#[derive(Debug)]
pub(crate) struct Picture {
    path: PathBuf,
    is_svg: bool,
}

impl Picture {
    /// The picture of this name, which says the form.
    ///
    /// # Errors
    /// When it ends in neither `.svg` nor `.png`.
    pub(crate) fn named(path: PathBuf) -> Result<Self, UsageError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Ok(Self { path, is_svg: true }),
            Some("png") => Ok(Self { path, is_svg: false }),
            _ => Err(UsageError(format!("--output {}: the name must end in .svg or .png", path.display()))),
        }
    }

    /// Draws one chart alone, or several side by side under a title.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn draw(&self, charts: &[Chart], title: &str) -> anyhow::Result<()> {
        let bytes = match (charts, self.is_svg) {
            ([chart], true) => svg(chart).into_bytes(),
            ([chart], false) => png(chart)?,
            (charts, true) => svg_grid(charts, 2, title).into_bytes(),
            (charts, false) => png_grid(charts, 2, title)?,
        };
        Ok(write_file_atomically(&DiskFiles, &self.path, &bytes)?)
    }
}
