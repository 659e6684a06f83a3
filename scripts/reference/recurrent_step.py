#!/usr/bin/env python3
"""Milliseconds of a step of a recurrent network of two layers of 512 units with its head, by Kiln and by PyTorch in turns.

    python3 scripts/reference/recurrent_step.py KILN [ROUNDS]     # KILN is the binary

One row, one token at a time, without gradients, single precision, as many threads each as the machine has cores.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

HIDDEN, VOCABULARY, STEPS = 512, 65, 400

CONFIG = """
seed = 1
[data.builtin]
[tokenizer.byte]
[model.{family}]
layers = 2
hidden = 512
[optimizer.sgd]
[schedule.constant]
rate = 0.1
[run]
steps = 1
batch = 1
context = 64
"""


class Network(torch.nn.Module):
    def __init__(self, family):
        super().__init__()
        self.embedding = torch.nn.Embedding(256, HIDDEN)
        self.layers = getattr(torch.nn, family.upper())(HIDDEN, HIDDEN, num_layers=2)
        self.head = torch.nn.Linear(HIDDEN, 256)

    def forward(self, token, state):
        hidden, state = self.layers(self.embedding(token), state)
        return self.head(hidden), state


def by_torch(family):
    network = Network(family).eval()
    with torch.inference_mode():
        token, state = torch.zeros(1, 1, dtype=torch.long), None
        for _ in range(50):
            logits, state = network(token, state)
        start = time.perf_counter()
        for _ in range(STEPS):
            logits, state = network(token, state)
            token = logits.argmax(-1)
        return (time.perf_counter() - start) / STEPS * 1e3


def by_kiln(kiln, path):
    run = [kiln, "bench", "generate", path, "--prompt-tokens", "16", "--tokens", str(STEPS), "--rounds", "3", "--no-limits", "--json", "--device", "cpu", "--precision", "f32"]
    answer = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    return 1e3 / answer["decode_tokens_per_second"]


def main():
    kiln, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        for family in ("rnn", "lstm", "gru"):
            path = Path(folder) / f"{family}.toml"
            path.write_text(CONFIG.format(family=family))
            times = [(by_kiln(kiln, path), by_torch(family)) for _ in range(rounds)]
            ours, theirs = (statistics.median(column) for column in zip(*times))
            ratio = statistics.median(torch / own for own, torch in times)
            print(f"{family} 2 x {HIDDEN}: Kiln {ours:.3f} ms, PyTorch {theirs:.3f} ms, {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
