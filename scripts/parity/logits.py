"""Holds an exported checkpoint against transformers: f32 logits of one document.

usage: logits.py EXPORT_DIR LOGITS.safetensors

LOGITS.safetensors holds `ids` [T] (u32 as i64) and `logits` [T, V] (f32), written by
`recon score --logits`. The largest absolute difference must not exceed 1e-4, and a model
with one weight changed must exceed it, or the comparison could not fail.
"""

import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

BOUND = 1e-4


def largest_difference(model, ids, logits):
    with torch.no_grad():
        theirs = model(ids[None]).logits[0].float()
    return (theirs - logits).abs().max().item()


def main():
    directory, file = sys.argv[1:]
    held = load_file(file)
    ids, logits = held["ids"].long(), held["logits"]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    difference = largest_difference(model, ids, logits)
    print(f"logits of {len(ids)} tokens x {logits.shape[1]}: largest difference {difference:.2e}, bound {BOUND:.0e}")
    if not difference <= BOUND:
        sys.exit("the logits differ")

    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight[0, 0] += 1.0
    if largest_difference(model, ids, logits) <= BOUND:
        sys.exit("the control passed: the comparison cannot fail")

    tokenizer = AutoTokenizer.from_pretrained(directory)
    text = "def f(x):\n    return x  # \u00e9\u4e16\n"
    if tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) != text:
        sys.exit("the exported tokenizer does not give text back")


if __name__ == "__main__":
    main()
