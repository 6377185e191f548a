"""Holds an exported checkpoint against vLLM: log-probabilities of one document's tokens in f32.

usage: vllm_logprobs.py EXPORT_DIR ITEMS.json SCORES.json

ITEMS.json is what `recon score --tokens` read, SCORES.json what it printed. The largest absolute
difference must not exceed 1e-4 nats, and scores shifted by one token must, or the comparison
could not fail.
"""

import json
import os
import sys

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")

BOUND = 1e-4


def main():
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt

    directory, items, scores = sys.argv[1:]
    item = json.load(open(items))[0]
    ids, first = item["context"] + item["target"], len(item["context"])
    model = LLM(model=directory, dtype="float32", enforce_eager=True, max_model_len=1024)
    sampling = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
    answer = model.generate(TokensPrompt(prompt_token_ids=ids), sampling, use_tqdm=False)[0]
    theirs = [answer.prompt_logprobs[at][ids[at]].logprob for at in range(first, len(ids))]
    ours = json.load(open(scores))["results"][0]["logprobs"]

    difference = max(abs(a - b) for a, b in zip(theirs, ours, strict=True))
    print(f"log-probabilities of {len(ours)} tokens in vLLM: largest difference {difference:.2e}, bound {BOUND:.0e}")
    if not difference <= BOUND:
        sys.exit("the log-probabilities differ")
    if max(abs(a - b) for a, b in zip(theirs[1:], ours)) <= BOUND:
        sys.exit("the control passed: the comparison cannot fail")


if __name__ == "__main__":
    main()
