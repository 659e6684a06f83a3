#!/usr/bin/env python3
"""Beam search by `transformers` with two of the small models of crates/models/fixtures/hugging-face: crates/inference/fixtures/beams.json.

    python3 scripts/reference/beams.py

With `early_stopping="never"`, under which a search ends only where nothing better can come.
"""

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).parents[2] / "crates"
MODELS = ROOT / "models/fixtures/hugging-face"
TARGET = ROOT / "inference/fixtures/beams.json"
TOKENS = 12


def main():
    cases = []
    for name in ("gpt2", "llama"):
        model = AutoModelForCausalLM.from_pretrained(MODELS / name, attn_implementation="eager").eval().float()
        prompt = json.loads((MODELS / name / "expected.json").read_text())["prompt"]
        with torch.no_grad():
            greedy = model.generate(
                torch.tensor([prompt]), max_new_tokens=TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0,
            )[0, len(prompt):].tolist()
        for beams, penalty, end in [(2, 1.0, None), (4, 0.0, greedy[2]), (4, 1.0, greedy[2]), (4, 2.0, greedy[2]), (5, -1.0, greedy[1])]:
            with torch.no_grad():
                found = model.generate(
                    torch.tensor([prompt]), max_new_tokens=TOKENS, do_sample=False, num_beams=beams, length_penalty=penalty,
                    early_stopping="never", eos_token_id=end, pad_token_id=0, return_dict_in_generate=True, output_scores=True,
                )
            tokens = found.sequences[0, len(prompt):].tolist()
            if end in tokens:
                tokens = tokens[: tokens.index(end) + 1]
            cases.append({
                "model": name, "prompt": prompt, "tokens": TOKENS, "beams": beams, "length_penalty": penalty, "end": end,
                "written": tokens, "score": round(found.sequences_scores[0].item(), 6),
            })
    TARGET.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
