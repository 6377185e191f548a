"""What `cargo bench -p recon-mds --bench read` wrote, read by MosaicML Streaming in the same order: one JSON line.

    streaming_read.py FOLDER

GB/s of the best of five passes, with hashes checked as each shard is prepared, and without.
"""
import json
import sys
import time

from streaming import StreamingDataset
from streaming.base.util import clean_stale_shared_memory


def rate(hashed):
    best = float("inf")
    for _ in range(5):
        clean_stale_shared_memory()
        started = time.perf_counter()
        options = {"shuffle": False, "batch_size": 1, "validate_hash": "xxh64" if hashed else None}
        rows = StreamingDataset(local=sys.argv[1], **options)
        ids = sum(len(rows[at * 1_009 % len(rows)]["input_ids"]) for at in range(len(rows)))
        best = min(best, time.perf_counter() - started)
    return ids * 5 / best / 1e9


print(json.dumps({"both_gb_s": rate(True), "without_hashes_gb_s": rate(False)}))
