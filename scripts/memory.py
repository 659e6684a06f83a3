#!/usr/bin/env python3
"""Compares the memory that `kiln check` expects with the peak of a process that trains, on the CPU, for many configurations.

    scripts/memory.py [KILN]

Takes two minutes and downloads the text of configs/shakespeare once. Linux only, as `kiln bench train` says no peak elsewhere.
"""

import json
import pathlib
import subprocess
import sys

KILN = sys.argv[1] if len(sys.argv) > 1 else "kiln"
CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs" / "shakespeare"


def report(command, configuration, settings):
    flags = [flag for setting in settings for flag in ("--set", setting)]
    words = [KILN, *command, str(CONFIGS / configuration), "--device", "cpu", "--json", *flags]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def compare(configuration, settings):
    bench = ["bench", "train", "--no-limits", "--rounds", "1", "--steps", "2", "--warmup", "2"]
    timed = report(bench, configuration, settings)
    peak = timed.get("peak_resident_bytes") or timed["configurations"][0]["peak_resident_bytes"]
    memory = report(["check"], configuration, settings)["needs"]["memory"]
    memory.pop("activations_recomputed")
    expected = sum(memory.values())
    name = f"{configuration.removesuffix('.toml')} {' '.join(settings)}".replace("model.transformer.", "")
    print(f"{expected / 2**20:8.1f} MiB expected {peak / 2**20:8.1f} MiB taken {100 * (expected / peak - 1):+4.0f} %  {name}", flush=True)


def transformer(layers, heads, width, batch, context, *more):
    sizes = {"layers": layers, "heads": heads, "width": width}
    model = [f"model.transformer.{key}={value}" for key, value in sizes.items()]
    return "nanogpt-cpu.toml", [*model, f"run.batch={batch}", f"run.context={context}", *more]


AGAIN = "run.recompute=true"
LARGE, WIDE = (6, 6, 384, 8, 256), (4, 4, 256, 8, 512)
OPTIONS = [
    ["norm=rms", "position=rotary", "query-key-norm=true"],
    ["feed-forward=256"],
    ["feed-forward=4096"],
    ["key-value-heads=1"],
    ["attention-window=64"],
]
CASES = [
    ("nanogpt-cpu.toml", []),
    *[transformer(*sizes, *more) for sizes in [LARGE, (6, 6, 384, 16, 256), (12, 6, 384, 8, 256), (6, 6, 384, 2, 1024)] for more in ([], [AGAIN])],
    transformer(6, 3, 192, 8, 256),
    transformer(*LARGE, "run.accumulate=2"),
    transformer(*LARGE, "model.transformer.activation=swiglu"),
    *[transformer(*LARGE, "train-only.last-layers=2", *more) for more in ([], [AGAIN])],
    *[transformer(*WIDE, *more) for more in ([], [AGAIN], ["optimizer.sgd.momentum=0.9"], ["averaging.exponential.decay=0.99"])],
    *[transformer(*WIDE, *(f"model.transformer.{option}" for option in options)) for options in OPTIONS],
    *[transformer(2, 4, 256, 8, 512, "tokenizer.byte-pair.vocabulary-size=8192", *more) for more in ([], [AGAIN])],
    transformer(2, 4, 256, 8, 512, "tokenizer.byte-pair.vocabulary-size=4096"),
    *[
        (f"{family}.toml", settings)
        for family in ("lstm", "gru", "rnn")
        for settings in (
            [],
            ["run.batch=128"],
            ["run.batch=128", "run.context=256"],
            ["run.batch=128", "run.context=256", f"model.{family}.layers=4"],
        )
    ],
    ("lstm.toml", ["run.batch=64", "model.lstm.hidden=1024"]),
]

for case in CASES:
    compare(*case)
