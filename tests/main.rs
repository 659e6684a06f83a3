//! End-to-end tests through the binary.

#[cfg(any(feature = "ndarray", feature = "wgsl"))]
mod adapter;
mod benching;
mod checking;
mod choosing;
mod command_line;
mod comparing;
mod compressing;
mod converging;
mod conversations;
mod conversing;
#[cfg(target_os = "linux")]
mod dashboard;
mod devices;
mod finding_rates;
mod finetuning;
mod foreign;
mod foreign_mistakes;
mod golden;
mod guided_sampling;
mod inspecting;
mod layers;
mod looking;
mod mistakes;
mod operations;
mod optimizer_state;
mod prompting;
mod racing;
mod resuming;
mod sampling;
mod signals;
mod starting;
mod studying;
mod support;
mod texts;
mod tidying;
mod torture;
mod training;
mod translating;
mod verifying;
mod weights;
