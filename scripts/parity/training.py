"""Holds recon-train against a torch loop: the losses of 20 AdamW steps on mixed rows that Python wrote.

usage: training.py FOLDER RECON_TRAIN

The rows are as ProLong publishes them, in shards of different columns: with `mask`, with `indices` alone, with neither,
compressed. The model and the loop are transformers' and torch's, in float64, one document at a time. A step takes in
every row once, so the order of rows does not matter. The largest difference of any step's loss must not exceed 1e-4
nats, and loops that ignore masks or document borders must exceed it.
"""

import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import torch
from streaming import MDSWriter
from transformers import LlamaConfig, LlamaForCausalLM

STEPS, BOUND, VOCABULARY = 20, 1e-4, 211
LR, MIN_LR, WARMUP, DECAY, BETAS, EPS, CLIP = 5e-3, 5e-4, 3, 0.1, (0.9, 0.95), 1e-8, 1.0
SCHEMAS = [  # (folder, compression, has spans, has mask, documents of each row)
    ("masked", None, True, True, [[13, 1, 22], [40], [9, 30, 2, 7]]),
    ("spans", "zstd", True, False, [[17, 28], [5, 5, 5, 50]]),
    ("bare", None, False, False, [[33], [61], [48]]),
]


def write_rows(folder):
    """The rows as (ids, mask, spans), and as one MDS dataset of several schemas."""
    random = np.random.default_rng(7)
    rows, shards = [], []
    for name, compression, has_spans, has_mask, lengths in SCHEMAS:
        columns = {"input_ids": "ndarray:uint32", "length": "int", "domain": "str"}
        columns |= {"indices": "ndarray:uint32"} if has_spans else {}
        columns |= {"mask": "ndarray:uint8"} if has_mask else {}
        with MDSWriter(out=str(folder / name), columns=columns, compression=compression, hashes=["sha1", "xxh64"],
                       size_limit=700) as out:
            for documents in lengths:
                total = sum(documents)
                ids = random.integers(0, VOCABULARY, total).astype(np.uint32)
                ends = np.cumsum(documents)
                spans = np.stack([ends - documents, ends], axis=1).astype(np.uint32)
                mask = (random.random(total) < 0.7).astype(np.uint8) if has_mask else np.ones(total, dtype=np.uint8)
                sample = {"input_ids": ids, "length": total, "domain": name, "indices": spans, "mask": mask}
                out.write({column: sample[column] for column in columns})
                rows.append((torch.tensor(ids.astype(np.int64)), torch.tensor(mask.astype(np.float64)), spans.tolist()))
        for shard in json.loads((folder / name / "index.json").read_text())["shards"]:
            for data in filter(None, [shard["raw_data"], shard["zip_data"]]):
                data["basename"] = f"{name}/{data['basename']}"
            shards.append(shard)
    (folder / "index.json").write_text(json.dumps({"version": 2, "shards": shards}))
    assert len(shards) > len(SCHEMAS), "a schema has several shards"
    return rows


def learning_rate(step):
    if step <= WARMUP:
        return LR * step / WARMUP
    return MIN_LR + (LR - MIN_LR) * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def series(directory, rows):
    model = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float64, attn_implementation="eager").train()
    matrices = [p for p in model.parameters() if p.ndim == 2]
    norms = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": norms, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    losses = []
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        nats, trained = torch.zeros((), dtype=torch.float64), 0.0
        for ids, mask, spans in rows:
            for start, end in spans:
                logits = model(ids[None, start:end]).logits[0]
                each = torch.nn.functional.cross_entropy(logits[:-1], ids[start + 1:end], reduction="none")
                nats = nats + (each * mask[start + 1:end]).sum()
                trained += mask[start + 1:end].sum().item()
        loss = nats / trained
        loss.backward()
        norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in model.parameters()]))
        for parameter in model.parameters():
            parameter.grad *= min(1.0, CLIP / norm.item())
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    folder, recon_train = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    torch.manual_seed(5)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=48, intermediate_size=80, num_hidden_layers=3,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5)
    model = LlamaForCausalLM(config)
    for parameter in model.parameters():  # larger than at initialisation: attention must matter
        parameter.data = torch.randn_like(parameter) * 0.15 + (1.0 if parameter.ndim == 1 else 0.0)
    model.save_pretrained(folder / "model")
    (folder / "model/tokenizer.json").write_text("{}")  # is copied, not read
    (folder / "rows").mkdir()
    rows = write_rows(folder / "rows")

    assert len(rows) == 8
    settings = [f"data={folder / 'rows'}", f"model.name={folder / 'model'}", f"train.duration={{steps={STEPS}}}",
                "train.micro_batch_rows=2", "train.accumulation=4", f"train.lr={LR}", f"train.min_lr={MIN_LR}",
                f"train.warmup={{steps={WARMUP}}}", f"train.weight_decay={DECAY}", f"train.clip_norm={CLIP}"]
    command = [recon_train, "--out", str(folder / "out")] + [part for it in settings for part in ("--set", it)]
    subprocess.run(command, check=True)
    lines = (folder / "out/metrics.jsonl").read_text().splitlines()
    ours = [json.loads(line)["loss_nats"] for line in lines]
    assert len(ours) == STEPS

    def difference(rows):
        return max(abs(a - b) for a, b in zip(ours, series(folder / "model", rows)))

    largest = difference(rows)
    print(f"losses of {STEPS} steps on {len(rows)} rows of {len(SCHEMAS)} schemas, {ours[0]:.4f} to {ours[-1]:.4f}: "
          f"largest difference {largest:.1e} nats, bound {BOUND:.0e}")
    if not largest <= BOUND:
        sys.exit("the losses differ")
    controls = {
        "masks": [(ids, torch.ones_like(mask), spans) for ids, mask, spans in rows],
        "borders": [(ids, mask, [[0, len(ids)]]) for ids, mask, _ in rows],
    }
    for what, changed in controls.items():
        if difference(changed) <= BOUND:
            sys.exit(f"the control passed: a loop that ignores {what} gives the same losses")


if __name__ == "__main__":
    main()
