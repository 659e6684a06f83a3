#!/usr/bin/env python3
"""Kiln and PyTorch at the same updates, in turns: what `scripts/compare-pytorch.sh` runs.

    python3 scripts/reference/compare.py --kiln target/release/kiln --out comparison.json

In each round and for each recipe of configs/bench there is one process for Kiln (`kiln bench train`), one for PyTorch as it is
(eager) and, for transformers, one for PyTorch with `torch.compile`, in an order that turns from round to round. Each makes some
updates that are not timed, then those that are, one by one, and gives their median; what counts is the median of the rounds.
The memory is the most that a process had in RAM at once, as the system counts it when the process ends (ru_maxrss). Needs no
PyTorch itself; the program given by --python does.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = REPOSITORY / "configs" / "bench"
STEP_TIME = REPOSITORY / "scripts" / "reference" / "step_time.py"
RECIPES = ("nanogpt-cpu", "gpt-10m", "lstm-256", "gru-256", "rnn-256", "lstm-128", "gru-128", "rnn-128")
TRANSFORMERS = ("nanogpt-cpu", "gpt-10m")
# The system counts in KiB, macOS in bytes.
BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024
MEBIBYTE = 2**20


def arguments():
    parser = argparse.ArgumentParser(prog="compare-pytorch.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="updates timed in a process (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=5, help="updates before them, not timed (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each program (default: %(default)s)")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="RECIPE",
                        help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes a minute to compile")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all numbers as JSON")
    parser.add_argument("--kiln", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--python", default=sys.executable, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in ("rounds", "steps", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if options.warmup < 0:
        parser.error("--warmup must be at least 0")
    if options.out and not options.out.parent.is_dir():
        parser.error(f"--out {options.out}: there is no folder {options.out.parent}")
    return options


def run(command, threads):
    """Runs a program to its end: what it wrote on its standard output, and the most bytes that it had in RAM."""
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as talk:
        try:
            process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=talk, env=environment)
        except OSError as error:
            raise SystemExit(f"cannot start {command[0]}: {error.strerror}") from None
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            talk.seek(0)
            sys.stderr.write(talk.read().decode(errors="replace"))
            raise SystemExit(f"failed with {process.returncode}: {' '.join(str(word) for word in command)}")
        output.seek(0)
        return output.read().decode(), usage.ru_maxrss * BYTES_PER_UNIT


def config_of(recipe):
    return CONFIGS / f"{recipe}.toml"


def text_of(options):
    """The text that both train on; Kiln fetches it when it needs it for the first time."""
    config = config_of(options.recipes[0])
    once = ["--warmup", 0, "--rounds", 1, "--steps", 1, "--no-limits", "--json", "--device", "cpu"]
    run([options.kiln, "bench", "train", config, *once], options.threads)
    return json.loads(run([options.kiln, "check", config, "--json"], options.threads)[0])["text"]["files"][0]


class Program:
    """One of the programs that are compared at one recipe, with what its processes gave."""

    def __init__(self, name, recipe, command):
        self.name, self.recipe, self.command = name, recipe, command
        self.milliseconds, self.peaks, self.last = [], [], None

    def round(self, threads):
        output, peak = run(self.command, threads)
        result = json.loads(output)
        self.last = {key: value for key, value in result.items() if key != "results"} | result["results"][0]
        # Each program has its own word for it.
        self.milliseconds.append(self.last.get("median_milliseconds") or self.last["step_milliseconds"])
        self.peaks.append(peak)

    def result(self):
        return {
            "median_milliseconds": statistics.median(self.milliseconds),
            "fastest_milliseconds": min(self.milliseconds),
            "slowest_milliseconds": max(self.milliseconds),
            "round_milliseconds": self.milliseconds,
            "peak_resident_bytes": statistics.median(self.peaks),
            "parameters": self.last["parameters"],
            "loss": self.last["loss"],
        }


def programs_of(recipe, options, text):
    counts = ["--warmup", options.warmup, "--rounds", options.steps]
    kiln = [options.kiln, "bench", "train", config_of(recipe), *counts, "--steps", 1, "--no-limits", "--json"]
    torch = [options.python, STEP_TIME, "--model", recipe, *counts, "--steps", 1]
    torch += ["--threads", options.threads, "--data", text]
    programs = [Program("kiln", recipe, [*kiln, "--device", "cpu"]), Program("eager", recipe, torch)]
    if recipe in TRANSFORMERS and not options.no_compile:
        programs.append(Program("compiled", recipe, [*torch, "--compile"]))
    return programs


def measure(options):
    """All rounds: a list of programs for each recipe, and the bytes that importing PyTorch alone takes, by rounds."""
    text = text_of(options)
    contests = {recipe: programs_of(recipe, options, text) for recipe in options.recipes}
    imports = []
    for number in range(options.rounds):
        imports.append(run([options.python, "-c", "import torch"], options.threads)[1])
        for recipe, programs in contests.items():
            first = number % len(programs)
            for program in programs[first:] + programs[:first]:
                print(f"round {number + 1}/{options.rounds}: {recipe}, {program.name}", file=sys.stderr)
                program.round(options.threads)
    return contests, imports


def processor():
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def report(options, contests, imports):
    """Everything as one object for programs."""
    results = []
    for recipe, programs in contests.items():
        result = {"recipe": recipe} | {program.name: program.result() for program in programs}
        for other in programs[1:]:
            # The two of one round ran one after the other, so that their ratio says most; the median of the rounds counts.
            pairs = zip(other.milliseconds, programs[0].milliseconds)
            ratios = [theirs / ours for theirs, ours in pairs]
            result[other.name] |= {
                "time_over_kiln": statistics.median(ratios),
                "least_time_over_kiln": min(ratios),
                "most_time_over_kiln": max(ratios),
                "memory_over_kiln": result[other.name]["peak_resident_bytes"] / result["kiln"]["peak_resident_bytes"],
            }
        results.append(result)
    kiln, eager = next(iter(contests.values()))[:2]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "processors": os.cpu_count(),
        "threads": options.threads,
        "rounds": options.rounds,
        "steps": options.steps,
        "warmup": options.warmup,
        "kiln": kiln.last["kiln"],
        "torch": eager.last["torch"],
        "import_torch_peak_bytes": statistics.median(imports),
        "results": results,
    }


HEADINGS = ("recipe", "Kiln ms", "eager ms", "ratio", "compiled ms", "ratio", "Kiln MiB", "eager MiB", "compiled MiB")


def cells(result):
    """A row of the table."""

    def times(name):
        program = result.get(name)
        if program is None:
            return "-", "-"
        ratio = "{time_over_kiln:.2f} ({least_time_over_kiln:.2f} to {most_time_over_kiln:.2f})".format_map(program)
        return f"{program['median_milliseconds']:.1f}", ratio

    def memory(name):
        return f"{result[name]['peak_resident_bytes'] / MEBIBYTE:.0f}" if name in result else "-"

    kiln = f"{result['kiln']['median_milliseconds']:.1f}"
    memories = [memory(name) for name in ("kiln", "eager", "compiled")]
    return (result["recipe"], kiln, *times("eager"), *times("compiled"), *memories)


def table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *others = (cell.ljust(width) if not column else cell.rjust(width)
                          for column, (cell, width) in enumerate(zip(row, widths)))
        yield "  ".join([first, *others]).rstrip()


def words(everything):
    """The same for people."""
    lines = list(table([HEADINGS, *map(cells, everything["results"])]))
    lines += [
        "",
        "ms of an update (batch, forward, loss, backward, clipping, AdamW); ratio: PyTorch's time over Kiln's, the median of the",
        "rounds (and the least and the most). torch.compile is tried on the transformers only: it does nothing for nn.LSTM, nn.GRU",
        "and nn.RNN. MiB: the most memory in RAM at once of the whole process; "
        f"`import torch` alone takes {everything['import_torch_peak_bytes'] / MEBIBYTE:.0f} of PyTorch's.",
        "Kiln {kiln}, PyTorch {torch}; {processor}, {threads} threads; {rounds} rounds of {steps} updates after {warmup}; {date}"
        .format_map(everything),
    ]
    return "\n".join(lines)


def main():
    options = arguments()
    everything = report(options, *measure(options))
    if options.out:
        options.out.write_text(json.dumps(everything, indent=2) + "\n")
    print(words(everything))


if __name__ == "__main__":
    main()
