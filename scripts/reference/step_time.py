#!/usr/bin/env python3
"""Time of a training step of the recipes in PyTorch, to put beside Kiln's on the same machine.

    python3 scripts/reference/step_time.py                                          # the recipes of configs/bench, 2 threads
    python3 scripts/reference/step_time.py --model nanogpt-gpu --device cuda --dtype float32 bfloat16 --data FILE

A step is batch, forward, loss, backward, clipping and update. The recipes (and types) take turns, round after round, and
the median over the rounds is what counts; its spread is given as the quickest and the slowest round. Writes no file;
prints one JSON object on the standard output. Without `--data` the tokens are random, which changes the loss but not the time.
On a GPU the types are float32, tfloat32 (float32 whose products round their inputs) and bfloat16 (autocast over float32
weights); the peak memory is what PyTorch had allocated during that recipe's rounds, weights and optimizer included.
"""

import argparse
import gc
import json
import platform
import statistics
import sys
import time

import torch

from recipes import BENCH, DTYPES, RECIPES, build, read_splits, set_precision, train_step


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", choices=list(RECIPES), default=list(BENCH))
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=["float32"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="steps in a round")
    parser.add_argument("--warmup", type=int, default=5, help="steps before the first round, not timed")
    parser.add_argument("--compile", action="store_true", help="torch.compile the transformers")
    parser.add_argument("--data", help="a UTF-8 text; default: random tokens")
    options = parser.parse_args()
    if options.device == "cpu" and options.dtype != ["float32"]:
        parser.error("--dtype other than float32 needs --device cuda")
    return options


def tokens(path):
    if path:
        train, _, vocabulary = read_splits(path)
        return train, vocabulary
    return torch.randint(65, (1_000_000,), generator=torch.Generator().manual_seed(1)), 65


class Contestant:
    """One recipe in one type, with its times."""

    def __init__(self, model, dtype, options, text):
        self.model, self.dtype, self.on_gpu, self.step = model, dtype, options.device != "cpu", 0
        self.seconds, self.peak, self.loss = [], 0, None
        # The fused optimizer is PyTorch's quickest on both kinds of device.
        self.training = build(model, *text, 1, None, options.device, dtype, options.compile, fused=True)

    def run(self, steps):
        """Trains `steps` steps; returns the seconds that one took."""
        set_precision(self.dtype)  # the turn before may have been another type's
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated() - self.resident()
            torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(steps):
            loss = train_step(self.training, self.step)
            self.step += 1
        self.loss = loss.item()  # waits for the device
        seconds = (time.perf_counter() - begun) / steps
        if self.on_gpu:
            self.peak = max(self.peak, torch.cuda.max_memory_allocated() - before)
        return seconds

    def resident(self):
        """Bytes that this recipe holds between steps: weights and optimizer state (other recipes' are not its own)."""
        held = list(self.training.model.parameters())
        held += [entry for state in self.training.optimizer.state.values() for entry in state.values()]
        held += [parameter.grad for parameter in self.training.model.parameters() if parameter.grad is not None]
        return sum(value.numel() * value.element_size() for value in held if torch.is_tensor(value) and value.is_cuda)

    def result(self):
        median = statistics.median(self.seconds)
        result = {
            "model": self.model,
            "dtype": self.dtype,
            "parameters": sum(parameter.numel() for parameter in self.training.model.parameters()),
            "step_milliseconds": round(1000 * median, 3),
            "fastest_milliseconds": round(1000 * min(self.seconds), 3),
            "slowest_milliseconds": round(1000 * max(self.seconds), 3),
            "tokens_per_second": round(self.training.tokens_per_step / median),
            "steps": self.step,
            "loss": round(self.loss, 4),
        }
        if self.on_gpu:
            result["peak_memory_mib"] = round(self.peak / 2**20, 1)
        return result


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    text = tokens(options.data)
    contestants = [Contestant(model, dtype, options, text) for model in options.model for dtype in options.dtype]
    for contestant in contestants if options.warmup else ():
        contestant.run(options.warmup)
    gc.disable()
    for number in range(options.rounds):
        for contestant in contestants:
            contestant.seconds.append(contestant.run(options.steps))
        print(f"round {number + 1}/{options.rounds}", file=sys.stderr)
    device = torch.cuda.get_device_name() if options.device != "cpu" else platform.processor() or platform.machine()
    setup = {"torch": torch.__version__, "device": device, "threads": options.threads, "compiled": options.compile}
    setup |= {"rounds": options.rounds, "steps_a_round": options.steps, "data": "text" if options.data else "random"}
    print(json.dumps(setup | {"results": [contestant.result() for contestant in contestants]}, indent=2))


if __name__ == "__main__":
    main()
