"""Holds greedy generation under a model's own chat template against transformers, token for token.

usage: greedy.py MODEL_DIR MESSAGES.json GENERATION.json ITEMS.json

GENERATION.json is what `recon generate --messages MESSAGES.json --format json` printed. ITEMS.json is
written for `recon score`: the conversation with its answer. A prompt one token shorter must give
another text, or the comparison could not fail.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def greedy(model, ids, tokens):
    with torch.no_grad():
        whole = model.generate(ids, max_new_tokens=tokens, do_sample=False, use_cache=True)
    return whole[0, ids.shape[1] :].tolist()


def main():
    directory, messages, generation, items = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    asked = tokenizer.apply_chat_template(
        json.load(open(messages)), add_generation_prompt=True, return_tensors="pt", return_dict=False
    )
    ours = json.load(open(generation))
    if ours["stats"]["prompt_tokens"] != asked.shape[1]:
        sys.exit(f"the prompt has {ours['stats']['prompt_tokens']} tokens, transformers says {asked.shape[1]}")
    theirs = greedy(model, asked, 200)
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    if theirs and theirs[-1] in ends:
        theirs.pop()
    differing = [at for at, (a, b) in enumerate(zip(theirs, ours["ids"])) if a != b]
    if differing or len(theirs) != len(ours["ids"]):
        at = differing[0] if differing else min(len(theirs), len(ours["ids"]))
        sys.exit(f"token {at} of {len(theirs)} differs; transformers: {tokenizer.decode(theirs[at:at + 8])!r}")
    print(f"greedy: {len(theirs)} tokens after {asked.shape[1]}, all the same: {ours['text'][:60]!r}")
    if greedy(model, asked[:, :-4], 20) == theirs[:20]:
        sys.exit("the control passed: the comparison cannot fail")
    ids = asked[0].tolist() + theirs
    json.dump([{"context": ids[:1], "target": ids[1:]}], open(items, "w"))


if __name__ == "__main__":
    main()
