#!/usr/bin/env python3
"""Which tokens samplers keep and with what probability: crates/inference/fixtures/samplers.json.

    python3 scripts/reference/samplers.py [--llama LIBRARY]

What Hugging Face's `generate` has comes from its processors in double precision, in the order in which it builds their list. The penalties
of OpenAI's interface, DRY, top-n-sigma, XTC and Mirostat 2 come from llama.cpp (`--llama libllama.so`, in single precision); without the
library those cases stay as they are.
"""

import argparse
import ctypes
import json
from pathlib import Path

import torch
from transformers import LogitsProcessorList
from transformers.generation import logits_process as processors

TARGET = Path(__file__).parents[2] / "crates/inference/fixtures/samplers.json"
VOCABULARY = 24

# Settings in Kiln's names.
HUGGING_FACE = [
    {"temperature": 0.7},
    {"temperature": 1.0, "logit-bias": {"3": 2.5, "7": -1.25}},
    {"temperature": 1.0, "logit-bias": {"3": 2.5, "5": -3.0}, "repetition-penalty": 1.3},
    {"temperature": 1.3, "top-k": 6},
    {"temperature": 0.9, "top-p": 0.7},
    {"temperature": 1.1, "min-p": 0.2},
    {"temperature": 1.0, "typical-p": 0.2},
    {"temperature": 1.0, "typical-p": 0.6},
    {"temperature": 1.5, "typical-p": 0.95},
    {"temperature": 0.8, "top-k": 9, "top-p": 0.85, "min-p": 0.05, "typical-p": 0.7, "repetition-penalty": 1.2},
]
LLAMA = [
    {"temperature": 1.0, "frequency-penalty": 0.4},
    {"temperature": 1.0, "presence-penalty": -0.75},
    {"temperature": 1.0, "frequency-penalty": 0.3, "presence-penalty": 0.5},
    {"temperature": 1.0, "top-n-sigma": 1.0},
    {"temperature": 1.0, "top-n-sigma": 2.0},
    {"temperature": 1.0, "xtc": {"probability": 1.0, "threshold": 0.1}},
    {"temperature": 1.0, "xtc": {"probability": 1.0, "threshold": 0.03}},
    {"temperature": 1.0, "dry": {"multiplier": 0.8, "base": 1.75, "allowed-length": 2}},
    {"temperature": 1.0, "dry": {"multiplier": 1.5, "base": 1.2, "allowed-length": 1}},
    {"temperature": 1.0, "mirostat": {"surprise": 1.5, "rate": 0.1}},
    {"temperature": 1.0, "mirostat": {"surprise": 0.6, "rate": 0.1}},
]
# Ends in 3 5 9, as it does twice before; 3 and 5 stand behind other copies of its end.
WRITTEN = [4, 3, 5, 9, 11, 9, 3, 2, 5, 9, 3, 5, 9, 6, 6, 3, 5, 9]


def logits():
    generator = torch.Generator().manual_seed(7)
    values = torch.randn(2, VOCABULARY, generator=generator) * torch.tensor([[1.5], [2.5]])
    return values.round(decimals=4)


def by_hugging_face(row, settings):
    chain = LogitsProcessorList()
    if "logit-bias" in settings:
        bias = {(int(token),): value for token, value in settings["logit-bias"].items()}
        chain.append(processors.SequenceBiasLogitsProcessor(bias))
    if "repetition-penalty" in settings:
        chain.append(processors.RepetitionPenaltyLogitsProcessor(settings["repetition-penalty"]))
    chain.append(processors.TemperatureLogitsWarper(settings["temperature"]))
    for key, warper in (
        ("top-k", processors.TopKLogitsWarper), ("top-p", processors.TopPLogitsWarper), ("min-p", processors.MinPLogitsWarper),
        ("typical-p", processors.TypicalLogitsWarper),
    ):
        if key in settings:
            chain.append(warper(settings[key]))
    scores = chain(torch.tensor([WRITTEN]), row[None].double())
    return [[token, p] for token, p in enumerate(scores.softmax(-1)[0].tolist()) if p > 0]


class TokenData(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int32), ("logit", ctypes.c_float), ("p", ctypes.c_float)]


class TokenDataArray(ctypes.Structure):
    _fields_ = [("data", ctypes.POINTER(TokenData)), ("size", ctypes.c_size_t), ("selected", ctypes.c_int64), ("sorted", ctypes.c_bool)]


def sampler(library, settings):
    def made(name, *arguments):
        function = getattr(library, f"llama_sampler_init_{name}")
        function.restype = ctypes.c_void_p
        function.argtypes = [ctypes.c_void_p if argument is None else type(argument) for argument in arguments]
        return ctypes.c_void_p(function(*arguments))

    number, whole = ctypes.c_float, ctypes.c_int32
    if "top-n-sigma" in settings:
        return made("top_n_sigma", number(settings["top-n-sigma"]))
    if "xtc" in settings:
        xtc = settings["xtc"]
        return made("xtc", number(xtc["probability"]), number(xtc["threshold"]), ctypes.c_size_t(1), ctypes.c_uint32(1))
    if "dry" in settings:
        dry = settings["dry"]
        numbers = number(dry["multiplier"]), number(dry["base"]), whole(dry["allowed-length"]), whole(4096)
        return made("dry", None, *numbers, None, ctypes.c_size_t(0))
    if "mirostat" in settings:
        mirostat = settings["mirostat"]
        return made("mirostat_v2", ctypes.c_uint32(1), number(mirostat["surprise"]), number(mirostat["rate"]))
    frequency, presence = settings.get("frequency-penalty", 0.0), settings.get("presence-penalty", 0.0)
    return made("penalties", whole(VOCABULARY), whole(4096), number(1.0), number(frequency), number(presence))


def by_llama(library, row, settings):
    chosen = sampler(library, settings)
    for token in WRITTEN:
        library.llama_sampler_accept(chosen, ctypes.c_int32(token))
    data = (TokenData * VOCABULARY)(*[TokenData(token, value, 0.0) for token, value in enumerate(row.tolist())])
    array = TokenDataArray(data, VOCABULARY, -1, False)
    library.llama_sampler_apply(chosen, ctypes.byref(array))
    kept = {array.data[i].id: array.data[i].logit for i in range(array.size) if array.data[i].logit > -float("inf")}
    tokens = sorted(kept)
    probabilities = torch.tensor([kept[token] for token in tokens], dtype=torch.float64).softmax(-1).tolist()
    return [[token, probability] for token, probability in zip(tokens, probabilities)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llama", help="llama.cpp's library, libllama.so or llama.dll")
    arguments = parser.parse_args()
    before = json.loads(TARGET.read_text())["cases"] if TARGET.exists() else []
    rows = logits()
    cases = [(settings, row, by_hugging_face(rows[row], settings)) for settings in HUGGING_FACE for row in range(len(rows))]
    cases = [{"source": "transformers", "settings": s, "row": row, "kept": kept} for s, row, kept in cases]
    if arguments.llama:
        library = ctypes.CDLL(arguments.llama)
        llama = [(settings, row, by_llama(library, rows[row], settings)) for settings in LLAMA for row in range(len(rows))]
        cases += [{"source": "llama.cpp", "settings": s, "row": row, "kept": kept} for s, row, kept in llama]
    else:
        cases += [case for case in before if case["source"] == "llama.cpp"]
    lines = ",\n".join(json.dumps(case) for case in cases)
    rows = json.dumps([[round(value, 4) for value in row] for row in rows.tolist()])
    TARGET.write_text(f'{{"written": {json.dumps(WRITTEN)},\n"logits": {rows},\n"cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
