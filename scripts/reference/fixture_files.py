"""Writes the JSON files of numbers that tests read, and compares them with what is there already.

A module that `cells.py` and `optimizers.py` import; it is not run by itself.
"""

import argparse
import json
import math
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# More than single precision holds, fewer than where two machines' double precision arithmetic begins to differ.
DIGITS = 12


def command_line(description):
    """`--check`, which every script of fixtures has."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file differs from what would be written")
    return parser.parse_args()


def number(value):
    """A finite float rounded to `DIGITS` significant digits; integers as they are."""
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        raise ValueError(f"{value} has no place in a fixture")
    return float(f"{value:.{DIGITS}g}") + 0.0  # adding 0.0 turns -0.0 into 0.0


def tensor(value):
    """A tensor as `{"shape", "data"}`, row-major."""
    value = value.detach()
    return {"shape": list(value.shape), "data": [number(entry) for entry in value.reshape(-1).tolist()]}


def render(value, indent=0):
    """JSON with one line for every list of numbers, so that a changed number is one changed line."""
    inner, outer = "  " * (indent + 1), "  " * indent
    if isinstance(value, dict) and set(value) != {"shape", "data"}:
        entries = [f"{inner}{json.dumps(key)}: {render(entry, indent + 1)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(entries) + "\n" + outer + "}"
    if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
        return "[\n" + ",\n".join(inner + render(entry, indent + 1) for entry in value) + "\n" + outer + "]"
    return json.dumps(value)


def store(path, content, check):
    """Writes `content` to `path` (relative to the repository), or compares it with the file there; true where they agree."""
    target = REPOSITORY / path
    if not check:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render(content) + "\n", encoding="utf-8")
        return True
    if not target.exists():
        print(f"{path}: missing")
        return False
    difference = first_difference(json.loads(target.read_text(encoding="utf-8")), content)
    if difference:
        print(f"{path}: {difference}")
    return difference is None


def first_difference(stored, computed, where=""):
    """Where two fixtures part by more than rounding, or `None`. The line that names PyTorch's version may differ."""
    if isinstance(computed, dict):
        if not isinstance(stored, dict) or set(stored) != set(computed):
            return f"{where or 'the file'} has other keys"
        pairs = [(key, stored[key], computed[key]) for key in computed if key != "source"]
    elif isinstance(computed, list):
        if not isinstance(stored, list) or len(stored) != len(computed):
            return f"{where} has another length"
        pairs = [(position, *both) for position, both in enumerate(zip(stored, computed))]
    elif isinstance(computed, float) and isinstance(stored, (int, float)):
        close = math.isclose(stored, computed, rel_tol=1e-9, abs_tol=1e-12)
        return None if close else f"{where} is {stored}, should be {computed}"
    else:
        return None if stored == computed else f"{where} is {stored!r}, should be {computed!r}"
    for key, left, right in pairs:
        difference = first_difference(left, right, f"{where}.{key}" if where else str(key))
        if difference:
            return difference
    return None


def source(script):
    """What a fixture of PyTorch's numbers says about where it comes from."""
    import torch  # not needed by the others

    return f"scripts/reference/{script}, PyTorch {torch.__version__.split('+')[0]}"
