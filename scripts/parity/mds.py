"""Holds crates/mds against MosaicML Streaming (pip install mosaicml-streaming), both ways.

    mds.py write DIR    writes the samples below with MDSWriter; crates/mds/tests/golden was made so
    mds.py read DIR     reads DIR (written by `cargo run -p recon-mds --example write_samples -- DIR`)
                        with StreamingDataset and compares every value
    mds.py pack DIR     reads a packed dataset with StreamingDataset and prints what it holds
"""

import sys

import numpy as np
from streaming import MDSWriter, StreamingDataset

SCALARS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]
COLUMNS = {"bytes": "bytes", "str": "str", "int": "int", "zz é": "str", "array": "ndarray",
           "ids": "ndarray:uint32", "grid": "ndarray:float32:2,3", "wide": "ndarray:uint8",
           **{name: name for name in SCALARS}}
SAMPLES = 7


def sample(i):
    """The same formula stands in crates/mds/tests/samples/mod.rs."""
    return {
        "bytes": bytes((i * 31 + k) % 256 for k in range(3 * i)),
        "str": "é東\x00" * i + str(i),
        "int": (-1) ** i * i * 1_000_000_007,
        "zz é": "",
        "array": np.arange(i + 1, dtype=SCALARS[i]).reshape(1, i + 1, 1),
        "ids": np.arange(2 * (i + 1), dtype=np.uint32).reshape(i + 1, 2) * 65_537,
        "grid": (np.arange(6, dtype=np.float32).reshape(2, 3) - i) / 8,
        "wide": np.full(254 + i, i, dtype=np.uint8),
        **{name: getattr(np, name)((100 + i) / 2 if "float" in name else 100 + i) for name in SCALARS},
    }


def write(directory):
    options = {"compression": None, "hashes": ["sha1", "xxh64"], "size_limit": 2000}
    with MDSWriter(out=directory, columns=COLUMNS, **options) as out:
        for i in range(SAMPLES):
            out.write(sample(i))


def read(directory):
    dataset = StreamingDataset(local=directory, shuffle=False, batch_size=1, validate_hash="xxh64")
    assert len(dataset) == SAMPLES, len(dataset)
    for i in range(SAMPLES):
        found, expected = dataset[i], sample(i)
        assert found.keys() == expected.keys(), found.keys()
        for name, value in expected.items():
            assert np.array_equal(found[name], value), (i, name, found[name], value)
            if isinstance(value, np.ndarray):
                assert found[name].dtype == value.dtype and found[name].shape == value.shape, (i, name)
    print(f"{SAMPLES} samples agree")


def pack(directory):
    dataset = StreamingDataset(local=directory, shuffle=False, batch_size=1, validate_hash="xxh64")
    for row in (dataset[i] for i in range(len(dataset))):
        ids, mask, spans = row["input_ids"], row["mask"], row["indices"]
        assert ids.dtype == np.uint32 and mask.dtype == np.uint8 and len(ids) == len(mask) == int(row["length"])
        assert spans.dtype == np.uint32 and spans.shape[1] == 2 and spans[0, 0] == 0
        assert (spans[1:, 0] == spans[:-1, 1]).all() and spans[-1, 1] <= len(ids), spans
    print(f"{len(dataset)} rows are well-formed")


if __name__ == "__main__":
    {"write": write, "read": read, "pack": pack}[sys.argv[1]](sys.argv[2])
