//! The lab against its theorems, against outside figures, and against wrong input.

mod configuration;
mod constants;
mod data;
mod evaluations;
mod exact;
mod first_repeat;
mod gradients;
mod hostile;
mod next_door;
mod range;
mod sharpness;
mod support;
mod theory;
mod verdicts;
