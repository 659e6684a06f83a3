#!/usr/bin/env python3
"""Every family that Kiln writes, opened by `transformers` and by `llama.cpp`.

    python3 scripts/reference/exported.py KILN [NAME]...     # KILN is the binary

Makes the small random models of `gguf_models.py` and of `hugging_face.py`, with a tokenizer of byte pairs, lets `kiln export` write each as a
folder and as a GGUF file, and prints the largest difference of a logit of a text between `transformers`' model before and after, in parts of the
largest logit, and that of the log-probabilities of the text's tokens between `llama.cpp` and Kiln. Needs `xllamacpp` for the latter. Ends with 1
where the first is too large.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

import gguf_models
import hugging_face
from gguf_models import VOCABULARY, save_tokenizer
from llama_cpp import server_of
from llama_cpp_perplexity import by_llama_cpp

TEXT = gguf_models.TEXT[:80]


def scored(kiln, path):
    """Numbers of the text's tokens, and their nats, by Kiln."""
    run = [kiln, "score", path, "--text", TEXT, "--device", "cpu", "--json"]
    tokens = json.loads(subprocess.run(run, check=True, capture_output=True).stdout)["tokens"]
    return [token["id"] for token in tokens], [-token["log_probability"] for token in tokens[1:]]


def main():
    kiln, only = str(Path(sys.argv[1]).resolve()), sys.argv[2:]
    models = {f"{name} (options of GGUF)": model for name, model in gguf_models.MODELS.items()}
    models |= {name: model for name, model in hugging_face.MODELS.items() if "pictures" not in name}
    failed = False
    for number, (name, (config_class, settings)) in enumerate(models.items()):
        if only and name.split()[0] not in only:
            continue
        model = hugging_face.made(number, name.split()[0], config_class, dict(settings, vocab_size=VOCABULARY))
        with tempfile.TemporaryDirectory() as temporary:
            source, folder, file = (Path(temporary) / part for part in ("source", "folder", "model.gguf"))
            model.save_pretrained(source)
            save_tokenizer(source, "byte pairs")
            export = lambda form, path: subprocess.run(
                [kiln, "export", str(source), "--format", form, "--output", str(path)], capture_output=True, text=True)
            done = export("hf", folder)
            if done.returncode:
                print(f"{name}: no folder: {done.stderr.strip()}")
                failed = True
                continue
            family = json.loads((folder / "config.json").read_text())["model_type"]
            written = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval().float()
            tokens = PreTrainedTokenizerFast.from_pretrained(folder)(TEXT)["input_ids"]
            automatic = AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"]
            with torch.no_grad():
                before, after = (part(torch.tensor([tokens])).logits for part in (model, written))
            off = ((before - after).abs().max() / before.abs().max()).item()
            failed |= off > 1e-5
            line = f"{name} as {family}: transformers {off:.1e}{'' if automatic == tokens else ', AutoTokenizer gives other tokens'}"
            done = export("gguf", file)
            if done.returncode:
                print(f"{line}; no GGUF: {done.stderr.strip().splitlines()[0]}")
                continue
            ids, ours = scored(kiln, str(file))
            theirs = by_llama_cpp(server_of(str(file), 512), ids, len(ids))
            largest = max(abs(left - right) for left, right in zip(ours, theirs))
            notes = "".join(f" ({note})" for note in done.stderr.splitlines() if note.startswith("note"))
            print(f"{line}; llama.cpp {largest:.4f} nats in {len(theirs)} tokens of up to {max(theirs):.0f}{notes}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
