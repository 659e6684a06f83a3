#!/usr/bin/env python3
"""Small random models in the form in which Hugging Face's `transformers` saves them, with the logits that it computes.

    python3 scripts/reference/hugging_face.py        # writes crates/models/fixtures/hugging-face/NAME/

Each folder has config.json, model.safetensors (in one case in shards) and expected.json: token ids of two rows, the logits of some places, and a greedy
continuation. Made with transformers 5.24 and PyTorch 2.15 in single precision on a processor.
"""

import json
import shutil
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

FOLDER = Path(__file__).resolve().parents[2] / "crates/models/fixtures/hugging-face"
VOCABULARY, STEPS, GREEDY = 61, 24, 40

LLAMA = dict(
    vocab_size=VOCABULARY, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=6,
    num_key_value_heads=2, max_position_embeddings=128, rope_theta=5000.0, rms_norm_eps=1e-5,
    bos_token_id=1, eos_token_id=2, pad_token_id=None,
)


def rope(**scaling):
    return {"rope_theta": 5000.0, **scaling}


MODELS = {
    "gpt2": ("GPT2Config", dict(
        vocab_size=VOCABULARY, n_positions=80, n_embd=24, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=2,
    )),
    "llama": ("LlamaConfig", dict(LLAMA, tie_word_embeddings=False)),
    "llama-tied-biased": ("LlamaConfig", dict(LLAMA, tie_word_embeddings=True, attention_bias=True, num_key_value_heads=6)),
    "llama-head-width": ("LlamaConfig", dict(LLAMA, head_dim=8, tie_word_embeddings=False, mlp_bias=False)),
    "llama-linear": ("LlamaConfig", dict(LLAMA, rope_parameters=rope(rope_type="linear", factor=4.0))),
    "llama3": ("LlamaConfig", dict(LLAMA, rope_parameters=rope(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16,
    ))),
    "llama-yarn": ("LlamaConfig", dict(LLAMA, rope_parameters=rope(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=32,
    ))),
    "mistral": ("MistralConfig", dict(LLAMA, sliding_window=None)),
    "qwen2": ("Qwen2Config", dict(LLAMA, tie_word_embeddings=True)),
    "qwen3": ("Qwen3Config", dict(LLAMA, head_dim=8, tie_word_embeddings=True)),
}


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    for number, (name, (config_class, settings)) in enumerate(MODELS.items()):
        torch.manual_seed(number + 1)
        config = getattr(transformers, config_class)(**settings)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().float()
        with torch.no_grad():
            for parameter in model.parameters():
                # Large enough that a mistake anywhere moves the logits.
                if parameter.dim() > 1:
                    parameter.normal_(0.0, 0.15)
                else:
                    parameter.add_(torch.randn_like(parameter) * 0.1)
        folder = FOLDER / name
        shards = {"max_shard_size": "12KB"} if name == "llama" else {}
        model.save_pretrained(folder, **shards)
        (folder / "generation_config.json").unlink(missing_ok=True)
        ids = torch.randint(3, VOCABULARY, (2, STEPS))
        with torch.no_grad():
            logits = model(ids).logits
            greedy = model.generate(
                ids[:1, :8], max_new_tokens=GREEDY, do_sample=False, eos_token_id=None, pad_token_id=0,
                attention_mask=torch.ones(1, 8, dtype=torch.long),
            )[0, 8:]
        places = [0, 1, STEPS // 2, STEPS - 1]
        expected = {
            "ids": ids.tolist(),
            "places": places,
            "logits": [[[round(x, 6) for x in row[place].tolist()] for place in places] for row in logits],
            "prompt": ids[0, :8].tolist(),
            "greedy": greedy.tolist(),
            "parameters": model.num_parameters(),
        }
        (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")))
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{name}: {model.num_parameters()} parameters, {size} bytes, largest logit {logits.abs().max():.2f}")


main()
