#!/usr/bin/env python3
"""Random adapters in the form of Hugging Face's `peft`, with the logits that it computes with them.

    python3 scripts/reference/peft_adapters.py       # writes crates/models/fixtures/peft/NAME/
    python3 scripts/reference/peft_adapters.py --read FOLDER BASE   # opens an exported adapter, prints its logits of tokens 3 .. 10

The bases are the models of `hugging_face.py`. Each folder has adapter_config.json, adapter_model.safetensors and expected.json: the name of the base,
token ids of two rows, the logits of some places. Made with peft 0.21.2, transformers 5.24 and PyTorch 2.15 in single precision on a processor.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

FIXTURES = Path(__file__).resolve().parents[2] / "crates/models/fixtures"
VOCABULARY, STEPS = 61, 12
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

ADAPTERS = {
    # Some modules of a matrix that is one here, of other ranks and scales than the rest.
    "llama-some": ("llama", dict(
        r=2, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"], rank_pattern={"down_proj": 3}, alpha_pattern={"layers.1.self_attn.v_proj": 9},
    )),
    "llama-dora": ("llama", dict(r=2, lora_alpha=4, target_modules=["k_proj", "up_proj", "o_proj"], use_dora=True, use_rslora=True)),
    "qwen3-all": ("qwen3", dict(r=3, lora_alpha=3, target_modules=ALL)),
    "gpt2-dora": ("gpt2", dict(r=2, lora_alpha=8, target_modules=["c_attn", "c_fc", "c_proj"], fan_in_fan_out=True, use_dora=True)),
    "gpt-neox-dora": ("gpt-neox", dict(r=2, lora_alpha=8, target_modules=["query_key_value", "dense"], use_dora=True)),
    "phi3-some": ("phi3", dict(r=4, lora_alpha=8, target_modules=["qkv_proj", "gate_up_proj"])),
}


def base(name):
    return AutoModelForCausalLM.from_pretrained(FIXTURES / "hugging-face" / name, attn_implementation="eager", dtype=torch.float32).eval()


def main():
    if sys.argv[1:2] == ["--read"]:
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(sys.argv[3], dtype=torch.float32), sys.argv[2]).eval()
        with torch.no_grad():
            print(json.dumps(model(torch.arange(3, 11)[None]).logits[0].tolist()))
        return
    for number, (name, (of, settings)) in enumerate(ADAPTERS.items()):
        torch.manual_seed(number + 1)
        model = get_peft_model(base(of), LoraConfig(**settings, bias="none", task_type="CAUSAL_LM")).eval()
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if "lora_B" in parameter_name:
                    parameter.normal_(0.0, 0.2)
                elif "magnitude" in parameter_name:
                    parameter.mul_(1 + 0.3 * torch.randn_like(parameter))
        folder = FIXTURES / "peft" / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        # Its path is that of this machine.
        config = json.loads((folder / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = f"../../hugging-face/{of}"
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
        ids = torch.randint(3, VOCABULARY, (2, STEPS))
        places = [0, 1, STEPS - 1]
        with torch.no_grad():
            logits, before = model(ids).logits, base(of)(ids).logits
        rows = [[[round(x, 6) for x in row[place].tolist()] for place in places] for row in logits]
        expected = {"base": of, "ids": ids.tolist(), "places": places, "logits": rows}
        (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
        print(f"{name}: largest logit {logits.abs().max():.2f}, moved by up to {(logits - before).abs().max():.2f}")


if __name__ == "__main__":
    main()
