#!/usr/bin/env bash
# What must be seen on a machine with a GPU, in one command: which devices work, whether every operation computes what its composition
# computes on the CPU in double precision, whether the GPU computes the losses of the CPU, whether it repeats itself and a resumed
# run does, what each of Kiln's operations for GPUs saves, and speed and memory of a training run beside PyTorch's on the same card.
#
#   scripts/gpu-check.sh                              builds kiln, then checks the device `vulkan`
#   scripts/gpu-check.sh --binary path/to/kiln        with a binary built elsewhere (strip it and pack it with xz to carry it)
#
# options   --device NAME     device to check                          default: vulkan
#           --config FILE     the run to measure                       default: configs/shakespeare/nanogpt-gpu.toml
#           --steps N         its steps (0: as many as it says)        default: 500
#           --model NAME      the same recipe in scripts/reference     default: nanogpt-gpu
#           --python PROGRAM  a Python with PyTorch                    default: python3; without PyTorch that half is skipped
#           --output FOLDER   where runs and logs are kept             default: gpu-check-<date>
#           --dry             a rehearsal on the CPU: device `cpu`, a tiny run of a few steps, PyTorch on the CPU
#
# KILN_MIRROR names a folder or an address to take downloads from, for a machine without the internet.
# The table at the end goes to stdout and to <output>/table.md.
set -euo pipefail
repository="$(cd "$(dirname "$0")/.." && pwd)"

binary=""
device=vulkan
config="$repository/configs/shakespeare/nanogpt-gpu.toml"
steps=500
model=nanogpt-gpu
python=python3
output="gpu-check-$(date +%Y%m%d-%H%M%S)"
torch_device=cuda
torch_types=(float32 bfloat16)
torch_options=()

while (($# > 0)); do
  case "$1" in
    --binary | --device | --config | --steps | --model | --python | --output)
      if (($# < 2)); then
        echo "$1 needs a value" >&2
        exit 2
      fi
      case "$1" in
        --binary) binary="$(realpath "$2")" ;;
        --device) device="$2" ;;
        --config) config="$(realpath "$2")" ;;
        --steps) steps="$2" ;;
        --model) model="$2" ;;
        --python) python="$2" ;;
        --output) output="$2" ;;
      esac
      shift 2
      ;;
    --dry)
      device=cpu
      config="$repository/configs/tiny/transformer.toml"
      steps=20
      model=nanogpt-cpu
      torch_device=cpu
      torch_types=(float32)
      torch_options=(--rounds 2 --steps 3 --warmup 1)
      shift
      ;;
    --help | -h)
      sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"
      exit 0
      ;;
    *)
      echo "unknown option $1 (--help lists them)" >&2
      exit 2
      ;;
  esac
done

say() { printf '\n== %s\n' "$*" >&2; }

if [[ -z $binary ]]; then
  say "building kiln"
  (cd "$repository" && cargo build --release)
  binary="${CARGO_TARGET_DIR:-$repository/target}/release/kiln"
fi
if [[ ! -x $binary ]]; then
  echo "no program at $binary" >&2
  exit 2
fi

mkdir -p "$output"
cd "$output"
# Some drivers' window-system libraries expect this folder and complain without it.
if [[ -z ${XDG_RUNTIME_DIR:-} ]]; then
  XDG_RUNTIME_DIR="$(mktemp -d)"
  export XDG_RUNTIME_DIR
fi

# The memory in use on all cards, in MiB; nothing without the NVIDIA tool.
memory_in_use() {
  { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null || true; } |
    awk '{ sum += $1 } END { if (NR) print sum }'
}

# watched LOG COMMAND...: runs the command with its output in LOG and sets `peak` to the most memory, in MiB, that the cards
# held beyond what they held before; `?` if unknown.
watched() {
  local log="$1" before now most process
  shift
  before="$(memory_in_use)"
  most="$before"
  "$@" >"$log" 2>&1 &
  process=$!
  while kill -0 "$process" 2>/dev/null; do
    now="$(memory_in_use)"
    if [[ -n $now ]] && ((now > ${most:-0})); then most="$now"; fi
    sleep 0.2
  done
  peak="?"
  if [[ -n $before ]]; then peak=$((most - before)); fi
  if ! wait "$process"; then
    echo "failed: $* (log: $output/$log)" >&2
    tail -n 20 "$log" >&2
    return 1
  fi
}

# values FILE KEY: the numbers under a key, one a line, from JSON with a number to a key.
values() {
  { grep -o "\"$2\": *-\{0,1\}[0-9][0-9.eE+-]*" "$1" || true; } | sed 's/.*: *//'
}

# The median of the second half of the numbers on stdin: the first half pays for compiling and tuning kernels.
late_median() {
  awk '{ all[NR] = $1 } END { for (i = int(NR / 2) + 1; i <= NR; i++) print all[i] }' | sort -g |
    awk '{ all[NR] = $1 } END { if (NR) printf "%.0f", all[int((NR + 1) / 2)]; else printf "?" }'
}

say "devices"
"$binary" devices | tee devices.txt >&2

say "operations against their references on $device"
equal=true
"$binary" bench kernels --check --device "$device" | tee check.txt >&2 || equal=false

say "the same first 20 steps on cpu, ndarray and $device"
{
  echo "| configuration | device | largest difference of the loss from cpu's in 20 steps |"
  echo "|---|---|---|"
} >equality.md
for tiny in "$repository"/configs/tiny/*.toml; do
  name="$(basename "$tiny" .toml)"
  for candidate in cpu ndarray "$device"; do
    run="equality-$name-${candidate//:/-}"
    if [[ ! -d runs/$run ]]; then
      watched "$run.log" "$binary" train "$tiny" --device "$candidate" --run "$run" --set run.steps=20 --set run.log-every=1
    fi
    values "runs/$run/metrics.jsonl" train_loss >"$run.losses"
    if [[ $candidate == cpu ]]; then continue; fi
    difference="$(paste "equality-$name-cpu.losses" "$run.losses" | awk '
      NF != 2 { broken = 1 }
      { d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d }
      END { if (broken || NR < 20) print "missing"; else printf "%.2e", most }')"
    echo "| $name | $candidate | $difference |" >>equality.md
    awk -v difference="$difference" 'BEGIN { exit !(difference != "missing" && difference + 0 <= 1e-4) }' || equal=false
  done
done

say "a run that was stopped against one that was not, after two that were not, on $device"
repeats=true
"$binary" verify-resume "$repository/configs/tiny/lstm.toml" --device "$device" 2>&1 | tee resume-lstm.txt >&2 || repeats=false
"$binary" verify-resume "$repository/configs/tiny/transformer.toml" --device "$device" 2>&1 | tee resume-transformer.txt >&2 || repeats=false

say "an update of $(basename "$config") (without dropout) on $device without each of Kiln's operations for GPUs"
{
  echo "| left out | ms of an update | memory MiB |"
  echo "|---|---|---|"
} >kernels.md
all=(cross-entropy norm attention embedding)
for left_out in nothing "${all[@]}" all; do
  options=()
  case "$left_out" in
    nothing) ;;
    all) for kernel in "${all[@]}"; do options+=(--without-kernel "$kernel"); done ;;
    *) options=(--without-kernel "$left_out") ;;
  esac
  # Without dropout of attention's weights, which Kiln's attention for GPUs leaves to the composition.
  watched "kernels-$left_out.log" "$binary" bench train "$config" --device "$device" --no-limits --json \
    --set model.transformer.dropout=0 --rounds 5 --steps 10 --warmup 20 ${options[@]+"${options[@]}"}
  echo "| $left_out | $(values "kernels-$left_out.log" median_milliseconds | head -n 1) | $peak |" >>kernels.md
done

say "training $(basename "$config") on $device"
overrides=(--set run.log-every=10)
if ((steps > 0)); then overrides+=(--set "run.steps=$steps"); fi
watched train.log "$binary" train "$config" --device "$device" --run measured "${overrides[@]}"
metrics=runs/measured/metrics.jsonl
{
  echo "| program | type | loss | at step | tokens/s | memory MiB |"
  echo "|---|---|---|---|---|---|"
  echo "| kiln, $device | float32 | $(values "$metrics" train_loss | tail -n 1) | $(values "$metrics" step | tail -n 1) \
| $(values "$metrics" tokens_per_second | late_median) | $peak |"
} >training.md
validation="$(values "$metrics" valid_loss | tail -n 1)"

if "$python" -c 'import torch' 2>/dev/null; then
  for type in "${torch_types[@]}"; do
    say "PyTorch, $type, on $torch_device"
    watched "torch-$type.log" "$python" "$repository/scripts/reference/step_time.py" \
      --model "$model" --device "$torch_device" --dtype "$type" ${torch_options[@]+"${torch_options[@]}"}
    version="$(sed -n 's/.*"torch": "\([^"]*\)".*/\1/p' "torch-$type.log")"
    echo "| PyTorch $version, $torch_device | $type | (random text) | $(values "torch-$type.log" steps | tail -n 1) \
| $(values "torch-$type.log" tokens_per_second | tail -n 1) | $peak |" >>training.md
  done
else
  echo "| PyTorch | not installed for $python | | | | |" >>training.md
fi

{
  echo "$(date +%Y-%m-%d), $(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || uname -sm)"
  echo
  cat equality.md
  echo
  cat kernels.md
  echo
  cat training.md
  echo
  echo "$(basename "$config"): last validation loss ${validation:-none}; memory is what the cards held beyond what they held before."
} | tee table.md

if ! $repeats; then
  echo "a resumed run differs from one that was not stopped by more than the device from itself (resume-*.txt)" >&2
  exit 1
fi
if ! $equal; then
  echo "the devices do not agree within 1e-4, or an operation does not agree with its reference (check.txt)" >&2
  exit 1
fi
