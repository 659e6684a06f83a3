#!/usr/bin/env python3
"""Small random models in the form in which Hugging Face's `transformers` saves them, with the logits that it computes.

    python3 scripts/reference/hugging_face.py [NAME]...       # writes crates/models/fixtures/hugging-face/NAME/, all without a name

Each folder has config.json, model.safetensors (in one case in shards) and expected.json: token ids of two rows, the logits of some places, a greedy
continuation, and the loss of both rows with the norms of its gradients over all matrices and over all vectors. Made with transformers 5.24 and PyTorch 2.15 in single precision on a processor.
"""

import json
import shutil
import sys
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


# A window that is shorter than the text, and odd heads.
LOCAL = dict(sliding_window=5)
NEOX = dict(
    vocab_size=VOCABULARY, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=128,
    bos_token_id=1, eos_token_id=2,
)
GEMMA = dict(LLAMA, head_dim=6, num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True, pad_token_id=0)
GEMMA.pop("rope_theta")

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
    "llama-dynamic": ("LlamaConfig", dict(LLAMA, rope_parameters=rope(rope_type="dynamic", factor=4.0))),
    "gpt-neox": ("GPTNeoXConfig", dict(NEOX)),
    "gpt-neox-serial": ("GPTNeoXConfig", dict(
        NEOX, use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new",
        rope_parameters={"rope_theta": 5000.0, "partial_rotary_factor": 0.5, "rope_type": "linear", "factor": 2.0},
    )),
    "mistral-local": ("MistralConfig", dict(LLAMA, **LOCAL)),
    "qwen2-local": ("Qwen2Config", dict(LLAMA, num_hidden_layers=3, use_sliding_window=True, max_window_layers=1, **LOCAL)),
    "gemma": ("GemmaConfig", dict(GEMMA)),
    "gemma2": ("Gemma2Config", dict(
        GEMMA, num_hidden_layers=3, query_pre_attn_scalar=10, attn_logit_softcapping=3.0, final_logit_softcapping=0.6, **LOCAL,
    )),
    "gemma3": ("Gemma3TextConfig", dict(
        GEMMA, num_hidden_layers=5, sliding_window_pattern=3, query_pre_attn_scalar=10, **LOCAL,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 20000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
        },
    )),
    # The part that reads pictures is as small as can be.
    "gemma3-with-pictures": ("Gemma3Config", dict(
        text_config=dict(GEMMA, sliding_window_pattern=2, **LOCAL),
        vision_config=dict(
            model_type="siglip_vision_model", hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1, image_size=4, patch_size=2,
        ),
        mm_tokens_per_image=4,
    )),
    "olmo2": ("Olmo2Config", dict(LLAMA)),
    "smollm3": ("SmolLM3Config", dict(LLAMA, num_hidden_layers=5, no_rope_layers=[1, 0, 1, 1, 0], use_sliding_window=False)),
    "phi3": ("Phi3Config", dict(
        LLAMA, head_dim=4, rope_parameters={"rope_theta": 5000.0, "partial_rotary_factor": 0.5, "rope_type": "default"}, pad_token_id=0, **LOCAL,
    )),
    "stablelm": ("StableLmConfig", dict(LLAMA, num_attention_heads=3, num_key_value_heads=1, use_qkv_bias=True)),
    # Texts within the original context, which have the short factors.
    "phi3-long": ("Phi3Config", dict(
        LLAMA, head_dim=4, pad_token_id=0, original_max_position_embeddings=64,
        rope_parameters={
            "rope_theta": 5000.0, "rope_type": "longrope", "short_factor": [1.25, 3.0], "long_factor": [2.0, 40.0],
        },
    )),
}


# A tied head repeats the token that it reads where the layers add little to the stream.
DEVIATIONS = {name: 0.5 for name in ("gemma", "gemma2", "gemma3", "smollm3", "phi3", "phi3-long", "olmo2", "gemma3-with-pictures")}
SMALL_EMBEDDINGS = ("gemma2", "gemma3", "gemma3-with-pictures")


def made(number, name, config_class, settings):
    """A random model whose weights are large enough that a mistake anywhere moves the logits."""
    torch.manual_seed(number + 1)
    config = getattr(transformers, config_class)(**settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().float()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                is_small = name in SMALL_EMBEDDINGS and "embed" in parameter_name
                parameter.normal_(0.0, 0.05 if is_small else DEVIATIONS.get(name, 0.15))
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def expectation(model, vocabulary):
    """What the model makes of two rows of random tokens."""
    ids = torch.randint(3, vocabulary, (2, STEPS))
    with torch.no_grad():
        logits = model(ids).logits
        greedy = model.generate(
            ids[:1, :8], max_new_tokens=GREEDY, do_sample=False, eos_token_id=None, pad_token_id=0,
            attention_mask=torch.ones(1, 8, dtype=torch.long),
        )[0, 8:]
    loss = torch.nn.functional.cross_entropy(model(ids).logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    squares = [0.0, 0.0]
    for parameter in model.parameters():
        if parameter.grad is not None:
            squares[parameter.dim() == 1] += parameter.grad.double().square().sum().item()
    places = [0, 1, STEPS // 2, STEPS - 1]
    return {
        "ids": ids.tolist(),
        "places": places,
        "logits": [[[round(x, 6) for x in row[place].tolist()] for place in places] for row in logits],
        "prompt": ids[0, :8].tolist(),
        "greedy": greedy.tolist(),
        "loss": loss.item(),
        "gradient_norms": [square**0.5 for square in squares],
        "parameters": sum(p.numel() for n, p in model.named_parameters() if "vision" not in n and "multi_modal" not in n),
    }


def main():
    only = sys.argv[1:]
    for number, (name, (config_class, settings)) in enumerate(MODELS.items()):
        if only and name not in only:
            continue
        folder = FOLDER / name
        shutil.rmtree(folder, ignore_errors=True)
        model = made(number, name, config_class, settings)
        shards = {"max_shard_size": "12KB"} if name == "llama" else {}
        model.save_pretrained(folder, **shards)
        (folder / "generation_config.json").unlink(missing_ok=True)
        expected = expectation(model, VOCABULARY)
        (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")))
        size = sum(file.stat().st_size for file in folder.iterdir())
        largest = max(abs(logit) for row in expected["logits"] for place in row for logit in place)
        print(f"{name}: {model.num_parameters()} parameters, {size} bytes, largest logit {largest:.2f}")


if __name__ == "__main__":
    main()
