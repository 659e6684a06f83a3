#!/usr/bin/env bash
# What must be seen on a machine with a GPU, in one command of at most eight minutes: which devices work and what they can do, whether
# operations compute what they must, whether the GPU computes the losses of the CPU and repeats itself, how fast products and training
# steps are in single and in mixed precision, beside PyTorch on the same card.
#
#   scripts/gpu-check.sh                              builds kiln, then checks the device `vulkan`
#   scripts/gpu-check.sh --binary path/to/kiln        with a binary built elsewhere; it may be packed with xz (scripts/gpu-pack.sh)
#
# options   --device NAME     device to check                          default: vulkan
#           --limit SECONDS   no section begins later than that        default: 480
#           --only NAMES      sections, with commas between them       default: all, in the order below
#           --python PROGRAM  a Python with PyTorch                    default: python3; without PyTorch that section is skipped
#           --output FOLDER   where logs and tables are kept           default: gpu-check-<date>
#           --dry             a rehearsal on the CPU with tiny models
#
# sections  devices products steps torch equal train resume without check profile
#
# A section that fails or takes too long is reported, and the next one begins. KILN_MIRROR names a folder or an address to take
# downloads from, for a machine without the internet. The table at the end is also in <output>/table.md.
set -uo pipefail
repository="$(cd "$(dirname "$0")/.." && pwd)"

binary="" device=vulkan limit=480 python=python3 output="gpu-check-$(date +%Y%m%d-%H%M%S)" dry=false
only=devices,products,steps,torch,equal,train,resume,without,check,profile
while (($# > 0)); do
  case "$1" in
    --binary | --device | --limit | --only | --python | --output)
      if (($# < 2)); then
        echo "$1 needs a value" >&2
        exit 2
      fi
      case "$1" in
        --binary) binary="$(realpath "$2")" ;;
        --device) device="$2" ;;
        --limit) limit="$2" ;;
        --only) only="$2" ;;
        --python) python="$2" ;;
        --output) output="$2" ;;
      esac
      shift 2
      ;;
    --dry)
      dry=true device=cpu
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

if [[ -z $binary ]]; then
  (cd "$repository" && cargo build --release) || exit 1
  binary="${CARGO_TARGET_DIR:-$repository/target}/release/kiln"
fi
if [[ ! -f $binary ]]; then
  echo "no program at $binary" >&2
  exit 2
fi
mkdir -p "$output"
cd "$output" || exit 1
if [[ $binary == *.xz ]]; then
  unpacked="$(mktemp)"
  xz -dc "$binary" >"$unpacked" && chmod +x "$unpacked"
  binary="$unpacked"
fi
# Some drivers' window-system libraries expect this folder and complain without it.
if [[ -z ${XDG_RUNTIME_DIR:-} ]]; then
  XDG_RUNTIME_DIR="$(mktemp -d)"
  export XDG_RUNTIME_DIR
fi

begun=$SECONDS
tiny="$repository/configs/tiny"
nanogpt=("$repository/configs/shakespeare/nanogpt-gpu.toml" --set model.transformer.dropout=0)
gpt2=("$repository/configs/gpu/gpt-2-small.toml")
lstm=("$repository/configs/gpu/lstm-1024.toml")
step_options=(--rounds 3 --steps 10 --warmup 10)
precisions=(f32 mixed)
sizes=()
train_steps=200
if $dry; then
  nanogpt=("$tiny/transformer.toml") gpt2=("$tiny/transformer.toml") lstm=("$tiny/lstm.toml")
  step_options=(--rounds 1 --steps 2 --warmup 1) precisions=(f32) sizes=(--size 64x64x64) train_steps=20
fi

wanted() { [[ ",$only," == *",$1,"* ]] && ((SECONDS - begun < limit)); }

# logged NAME SECONDS COMMAND...: its output in NAME.log; says how it ended, and for how long it ran.
logged() {
  local name="$1" most="$2" from=$SECONDS
  shift 2
  timeout --kill-after=5 "$most" "$@" >"$name.log" 2>&1
  local status=$?
  echo "| $name | $((SECONDS - from)) s | $( ((status == 0)) && echo works || echo "ends with $status: $(tail -n 1 "$name.log" | cut -c 1-120)") |" |
    tee -a sections.md
  return $status
}

# value FILE KEY: the first number under a key in JSON.
value() { grep -o "\"$2\": *-\{0,1\}[0-9][0-9.eE+-]*" "$1" 2>/dev/null | head -n 1 | sed 's/.*: *//'; }

# The most memory that the cards held, in MiB, while a command ran; nothing without the NVIDIA tool.
watch_memory() {
  while sleep 0.2; do nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null; done >"$1.memory"
}

echo "$(date +%Y-%m-%d), $(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || uname -sm)" | tee about.txt
if wanted devices; then logged devices 90 "$binary" devices; fi
if wanted products; then
  logged products 60 "$binary" bench products --device "$device" --without-burn --rounds 3 ${sizes[@]+"${sizes[@]}"}
fi

# step NAME SECONDS OPTIONS...: the time of an update.
step() {
  local name="$1" most="$2" watcher
  shift 2
  watch_memory "$name" &
  watcher=$!
  logged "$name" "$most" "$binary" bench train "$@" --device "$device" --no-limits --json "${step_options[@]}"
  kill "$watcher" 2>/dev/null
  wait "$watcher" 2>/dev/null
  echo "| ${name#step-} | $(value "$name.log" median_milliseconds) | $(value "$name.log" tokens_per_second) \
| $(sort -n "$name.memory" | tail -n 1) |" >>steps.md
}

if wanted steps; then
  printf '| update | ms | tokens/s | memory MiB |\n|---|---|---|---|\n' >steps.md
  for precision in "${precisions[@]}"; do
    step "step-nanogpt-gpu-$precision" 60 "${nanogpt[@]}" --set "run.precision=$precision"
    step "step-gpt-2-small-$precision" 60 "${gpt2[@]}" --set "run.precision=$precision"
    step "step-lstm-1024-$precision" 60 "${lstm[@]}" --set "run.precision=$precision"
  done
fi
if wanted torch; then
  if "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    logged torch-transformers 90 "$python" "$repository/scripts/reference/step_time.py" --model nanogpt-gpu gpt-2-small \
      --device cuda --dtype float32 tfloat32 bfloat16 --rounds 3
    logged torch-lstm 60 "$python" "$repository/scripts/reference/step_time.py" --model lstm-1024 --device cuda --rounds 3
  else
    echo "| torch | | no PyTorch with CUDA for $python |" | tee -a sections.md
  fi
fi
if wanted equal; then
  for config in "$tiny"/*.toml; do
    name="$(basename "$config" .toml)"
    for side in cpu checked; do
      candidate="$device"
      if [[ $side == cpu ]]; then candidate=cpu; fi
      logged "equal-$name-$side" 60 "$binary" train "$config" --device "$candidate" --run "equal-$name-$side" \
        --set run.steps=20 --set run.log-every=1
    done
    losses() { grep -o '"train_loss": *[0-9.]*' "runs/equal-$name-$1/metrics.jsonl" 2>/dev/null | sed 's/.*: *//'; }
    paste <(losses cpu) <(losses checked) | awk -v name="$name" '
      NF != 2 { broken = 1 }
      { d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d }
      END { print "| " name " | " ((broken || NR < 20) ? "missing" : sprintf("%.2e", most)) " |" }' >>equal.md
  done
fi
if wanted train; then
  for precision in "${precisions[@]}"; do
    logged "train-$precision" 90 "$binary" train "${nanogpt[@]}" --device "$device" --run "train-$precision" \
      --set "run.precision=$precision" --set "run.steps=$train_steps" --set run.log-every=10
  done
fi
if wanted resume; then
  for model in lstm transformer; do
    logged "resume-$model" 90 "$binary" verify-resume "$tiny/$model.toml" --device "$device"
  done
fi
if wanted without; then
  for kernel in cross-entropy norm attention embedding product recurrent; do
    step "step-nanogpt-gpu-without-$kernel" 90 "${nanogpt[@]}" --without-kernel "$kernel"
  done
fi
if wanted check; then
  # A GPU compiles each case anew: side by side they take as long as the slowest.
  for operations in affine GELU norm embedding attention sequence entropy; do
    logged "check-$operations" 150 "$binary" bench kernels --check --only "$operations" --device "$device" &
  done
  $dry || for operations in affine attention; do
    logged "check-mixed-$operations" 150 "$binary" bench kernels --check --mixed --only "$operations" --device "$device" &
  done
  wait
fi
if wanted profile; then
  mkdir -p profile
  # CubeCL writes the time of every kernel down if this file is where it is started.
  printf '[profiling]\nlogger = { level = "basic", file = "kernels.txt" }\n' >profile/cubecl.toml
  (cd profile && timeout 60 "$binary" bench train "${gpt2[@]}" --device "$device" --no-limits --json --rounds 1 --steps 2 \
    --warmup 2 >run.log 2>&1)
fi

{
  cat about.txt
  for part in devices.log products.log steps.md equal.md sections.md; do
    if [[ -f $part ]]; then
      echo
      cat "$part"
    fi
  done
} >table.md
rm -rf runs/*/checkpoints
echo "done after $((SECONDS - begun)) s: $output/table.md"
