//! End-to-end tests through the binary.

mod checking;
mod command_line;
mod mistakes;
mod support;
