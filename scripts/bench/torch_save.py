"""One checkpoint's tensors written by torch.save and by safetensors: one JSON line with the seconds of each.

    torch_save.py CHECKPOINT FOLDER ROUNDS

CHECKPOINT is a `step-N` folder of recon. Each round writes the same bytes to FOLDER and flushes them to the disk, as recon
does; neither computes a digest of what it wrote, recon one in SHA-256.
"""
import json
import os
import pathlib
import statistics
import sys
import time

import numpy
import torch
from safetensors.torch import save_file

checkpoint, folder, rounds = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
entries = json.loads((checkpoint / "state.json").read_text())["tensors"]
assert all(entry["dtype"] == "f32" for entry in entries)
tensors = {
    entry["name"]: torch.from_numpy(numpy.fromfile(checkpoint / entry["file"], numpy.float32)).reshape(entry["shape"])
    for entry in entries
}


def seconds(write, path):
    path.unlink(missing_ok=True)
    start = time.perf_counter()
    write(tensors, path)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    taken = time.perf_counter() - start
    path.unlink()
    return taken


writers = {"torch.save": torch.save, "safetensors": save_file}
taken = {name: [seconds(write, folder / "peer.tmp") for _ in range(rounds)] for name, write in writers.items()}
size = sum(tensor.numel() * 4 for tensor in tensors.values())
print(json.dumps({"bytes": size, **{name: statistics.median(times) for name, times in taken.items()}}))
