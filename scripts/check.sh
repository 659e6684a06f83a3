#!/usr/bin/env bash
# All checks of this repository, cheapest first. Run it before every commit; continuous integration runs the same.
#
#   scripts/check.sh            everything
#   scripts/check.sh --quick    without the second build for the adapter tests and without the one for CPUs alone
#
# Each command is one of at most four builds of the dependencies, which one target folder keeps side by side:
# checked (clippy), compiled (test, and every `cargo run --release`), compiled for the adapter tests (a third of the units; the
# rest is shared), checked for CPUs alone.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false
for argument in "$@"; do
  case "$argument" in
    --quick) quick=true ;;
    *)
      echo "usage: scripts/check.sh [--quick]" >&2
      exit 2
      ;;
  esac
done

step() {
  local started=$SECONDS
  printf '== %s\n' "$*"
  "$@"
  printf '== done in %d s\n' $((SECONDS - started))
}

step cargo fmt --all --check
step cargo clippy --release --workspace --all-targets -- -D warnings
step cargo test --release --workspace
if command -v cargo-deny >/dev/null; then
  step cargo deny --workspace check
else
  echo "== skipped: cargo-deny is not installed (cargo install --locked cargo-deny)"
fi
$quick && exit 0

# Burn's Vulkan compiler and its autotuning do not get along with software adapters, so these tests have their own build,
# of WGSL shaders without tuning.
step cargo test --release --package kiln --no-default-features --features wgsl --test end_to_end adapter
# A machine without a GPU gets a small build.
step cargo clippy --release --package kiln --no-default-features -- -D warnings
echo "== all checks passed"
