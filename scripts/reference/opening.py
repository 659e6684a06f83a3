"""Opens a model with Kiln and with `transformers`, in turns, and writes one token with each: seconds and peaks of memory.

usage: opening.py FOLDER --kiln BINARY [--rounds 3]

Both keep the weights as the file has them, bfloat16 for the model that large_model.py makes. The seconds of `transformers`
are those of `from_pretrained` and of one reading, and beside them those of the whole process, imports included; of Kiln they
are those of the whole process.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path


def read(folder):
    """In a process of its own: the seconds of opening and reading, without the imports."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    start = time.time()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    tokens = Tokenizer.from_file(str(Path(folder) / "tokenizer.json")).encode("A", add_special_tokens=False).ids
    with torch.no_grad():
        token = model(torch.tensor([tokens])).logits[0, -1].argmax().item()
    print(time.time() - start, token)


def run(command):
    """Seconds, peak in MiB and output of a command."""
    start = time.time()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    return time.time() - start, usage.ru_maxrss / 1024, output.decode()


def main():
    if sys.argv[1:2] == ["--read"]:
        return read(sys.argv[2])
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--kiln", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    size = sum(file.stat().st_size for file in Path(arguments.folder).glob("*.safetensors")) / 2**20
    rows = {"kiln": [], "transformers": []}
    for _ in range(arguments.rounds):
        kiln = [arguments.kiln, "sample", arguments.folder, "-p", "A", "-n", "1", "-t", "0", "--device", "cpu"]
        seconds, peak, text = run(kiln)
        rows["kiln"].append((seconds, seconds, peak))
        whole, peak, output = run([sys.executable, __file__, "--read", arguments.folder])
        seconds, token = output.split()
        rows["transformers"].append((float(seconds), whole, peak))
        print(f"kiln wrote {text!r}, transformers token {token}", file=sys.stderr)
    print(f"file: {size:.0f} MiB; medians of {arguments.rounds}")
    for name, values in rows.items():
        seconds, whole, peak = (statistics.median(column) for column in zip(*values))
        print(f"{name}: {seconds:.2f} s, the process {whole:.2f} s, peak {peak:.0f} MiB, {peak / size:.2f} of the file")


main()
