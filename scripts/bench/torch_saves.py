"""Checkpoints of a training by recon-train, in the background and in the foreground, beside torch.save and safetensors.

    torch_saves.py BIN CONFIG ROUNDS        (BIN: the folder of `recon` and `recon-train`)

In turns: a run of CONFIG of nine steps that saves after every third, in each way, and the same tensors written by
torch.save and by safetensors' save_file, flushed to the disk as recon's are. Prints the medians as a table. The stall is
what the training waits, the total what passes until the checkpoint counts. recon's total holds a SHA-256 of each file and
an fsync of each file and its folder; theirs one fsync.
"""
import collections
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import torch
from safetensors.torch import save_file

binaries, config, rounds = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
root = pathlib.Path(__file__).resolve().parents[2]


def train(out, background):
    settings = [f"data={work / 'rows'}", "train.duration={ steps = 9 }", "train.save={ every_steps = 3 }",
                f"train.save_in_background={background}"]
    command = [binaries / "recon-train", "--config", config, "--out", out]
    for setting in settings:
        command += ["--set", setting]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # The first copy asks for its memory, the later ones have it.
    saves = [json.loads(line) for line in (out / "saves.jsonl").open()]
    return saves[0]["stall_s"], [save["stall_s"] for save in saves[1:]], [save["total_s"] for save in saves]


def tensors(checkpoint):
    entries = json.loads((checkpoint / "state.json").read_text())["tensors"]
    assert all(entry["dtype"] == "f32" for entry in entries)
    return {entry["name"]: torch.from_numpy(numpy.fromfile(checkpoint / entry["file"], numpy.float32)) for entry in entries}


def seconds(write, values, path):
    start = time.perf_counter()
    write(values, path)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    taken = time.perf_counter() - start
    path.unlink()
    return taken


stalls, firsts, totals = (collections.defaultdict(list) for _ in range(3))
with tempfile.TemporaryDirectory() as folder:
    work = pathlib.Path(folder)
    texts = [json.dumps({"text": path.read_text()}) for path in sorted(root.glob("docs/*.md"))]
    (work / "texts.jsonl").write_text("\n".join(texts))
    pack = ["pack", "--text", work / "texts.jsonl", "--out", work / "rows", "--config", config]
    subprocess.run([binaries / "recon", *pack], check=True, stdout=subprocess.DEVNULL)
    for at in range(rounds):
        for way, background in (("background", "true"), ("foreground", "false")):
            first, stall, total = train(work / f"{way}-{at}", background)
            firsts[way].append(first), stalls[way].extend(stall), totals[way].extend(total)
        values = tensors(work / f"background-{at}/checkpoints/step-9")
        size = sum(value.numel() * 4 for value in values.values())
        for name, write in (("torch.save", torch.save), ("safetensors", save_file)):
            totals[name] += [seconds(write, values, work / "peer") for _ in range(3)]

print(f"{size / 1e6:.0f} MB, PyTorch {torch.__version__}\n\n| | stall, s | first stall, s | total, s | GB/s |\n|---|---:|---:|---:|---:|")
for name, taken in totals.items():
    cells = [f"{statistics.median(times[name]):.3f}" if times[name] else "–" for times in (stalls, firsts)]
    total = statistics.median(taken)
    print(f"| {name} | {' | '.join(cells)} | {total:.3f} | {size / total / 1e9:.2f} |")
