//! An experiment that was made, and its pictures.

use kiln_convergence::{Experiment, ExperimentOutcome, Horizontal};
use kiln_figures::Chart;

/// An experiment that was made, under the name of its file.
pub(super) struct Made {
    pub(super) name: String,
    pub(super) experiment: Experiment,
    pub(super) outcome: ExperimentOutcome,
}

impl Made {
    /// What its axis counts, in the plural.
    pub(super) fn counted(&self) -> &'static str {
        match self.experiment.x {
            Horizontal::Updates => "updates",
            Horizontal::Samples => "samples",
        }
    }
}

/// A figure, its ending after the experiment's name, and what it shows.
pub(super) struct Picture {
    pub(super) ending: &'static str,
    pub(super) caption: String,
    /// The heading above several charts.
    pub(super) title: String,
    pub(super) charts: Vec<Chart>,
}

/// An experiment with its pictures as drawn.
pub(super) struct Drawn {
    pub(super) made: Made,
    pub(super) pictures: Vec<(Picture, String)>,
}
