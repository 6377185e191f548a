"""Writes tests/goldens/llama: what transformers computes for five small random Llamas.

    pip install torch==2.11 transformers==5.17 safetensors
    python scripts/goldens/llama.py [DIR]

A case is a directory: config.json and model.safetensors as transformers saves them, row.json (a
packed row: ids, mask, document spans) and golden.safetensors (`logits`, `nats`, `grad.NAME`),
computed in float64 from the stored float32 weights, one document at a time, eager attention.
The gradients are those of the summed loss divided by the number of trained tokens.
"""
import json, pathlib, sys
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(*sys.argv[1:2] or [pathlib.Path(__file__).parents[2] / "tests/goldens/llama"])
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=16)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=4.0)
PLAIN = dict(rope_type="default", rope_theta=500000.0)
CASES = {  # name: (overrides, document lengths, padding)
    "gqa": (dict(num_key_value_heads=2, rope_parameters=PLAIN), [13, 1, 22], 3),
    "llama3-rope": (dict(num_key_value_heads=1, rope_parameters=LLAMA3), [40, 9], 0),
    "tied": (dict(num_key_value_heads=4, tie_word_embeddings=True, rope_parameters=PLAIN), [17, 8], 0),
    "head-dim": (dict(num_key_value_heads=2, head_dim=24, rope_parameters=LLAMA3), [31], 2),
    "linear-rope": (dict(num_key_value_heads=2, rope_parameters=LINEAR), [26, 11], 1),
}

for seed, (name, (overrides, lengths, padding)) in enumerate(CASES.items()):
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=67, hidden_size=48, intermediate_size=80, num_hidden_layers=2,
                         num_attention_heads=4, max_position_embeddings=64, rms_norm_eps=1e-5,
                         attn_implementation="eager", **overrides)
    model = LlamaForCausalLM(config)
    for parameter in model.parameters():  # larger than at initialisation: attention must matter
        parameter.data = torch.randn_like(parameter) * 0.15 + (1.0 if parameter.ndim == 1 else 0.0)
    model.save_pretrained(OUT / name)
    (OUT / name / "generation_config.json").unlink(missing_ok=True)

    model = model.double()
    model.tie_weights()
    total = sum(lengths) + padding
    ids = torch.randint(0, config.vocab_size, (total,))
    mask = (torch.rand(total) < 0.7).int()
    spans, start = [], 0
    for length in lengths:
        spans.append([start, start + length])
        start += length
    trained = sum(int(mask[a + 1:b].sum()) for a, b in spans)
    nats, logits = torch.zeros((), dtype=torch.float64), []
    for a, b in spans:
        rows = model(ids[None, a:b]).logits[0]
        logits.append(rows)
        each = torch.nn.functional.cross_entropy(rows[:-1], ids[a + 1:b], reduction="none")
        nats = nats + (each * mask[a + 1:b]).sum()
    (nats / trained).backward()
    golden = {f"grad.{name}": p.grad.contiguous() for name, p in model.named_parameters()}
    golden |= {"logits": torch.cat(logits).detach().contiguous(), "nats": nats.detach()[None]}
    save_file(golden, OUT / name / "golden.safetensors")
    row = dict(ids=ids.tolist(), mask=mask.tolist(), spans=spans, trained_tokens=trained)
    (OUT / name / "row.json").write_text(json.dumps(row) + "\n")
