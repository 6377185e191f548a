"""Holds crates/mds and crates/pack against MosaicML Streaming, both ways.

usage: mds.py FOLDER          writes into FOLDER with Python and with ours, compares, reads
       mds.py --golden DIR    writes the samples with MDSWriter; crates/mds/tests/golden was made so
"""

import pathlib
import subprocess
import sys

import numpy as np
from streaming import MDSWriter, StreamingDataset

ROOT = pathlib.Path(__file__).parents[2]
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
    with MDSWriter(out=str(directory), columns=COLUMNS, **options) as out:
        for i in range(SAMPLES):
            out.write(sample(i))


def example(name, directory):
    # Without a package, so that what the workspace has built is used as it is.
    command = ["cargo", "run", "--quiet", "--example", name, "--", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True)


def compare(ours, theirs):
    names = {path.name for path in theirs.iterdir()}
    assert names == {path.name for path in ours.iterdir()}, f"{ours} and {theirs} hold other files"
    for name in names:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), f"{name} of {ours} differs"


def open_dataset(directory):
    return StreamingDataset(local=str(directory), shuffle=False, batch_size=1, validate_hash="xxh64")


def read(directory):
    dataset = open_dataset(directory)
    assert len(dataset) == SAMPLES, len(dataset)
    for i in range(SAMPLES):
        found, expected = dataset[i], sample(i)
        assert found.keys() == expected.keys(), found.keys()
        for name, value in expected.items():
            assert np.array_equal(found[name], value), (i, name, found[name], value)
            if isinstance(value, np.ndarray):
                assert found[name].dtype == value.dtype and found[name].shape == value.shape, (i, name)


def read_pack(directory):
    """Spans tile each row, each is a run of one document, and `mask` is that of the documents."""
    dataset = open_dataset(directory)
    trained = {number * 1000 + at for number in range(120) for at in range(10 + number * 53 % 700)}
    trained = {token for token in trained if token % 3 and token % 1000}
    for row in (dataset[i] for i in range(len(dataset))):
        ids, mask, spans = row["input_ids"], row["mask"], row["indices"]
        assert ids.dtype == spans.dtype == np.uint32 and mask.dtype == np.uint8 and row["domain"] == "recon"
        assert len(ids) == len(mask) == int(row["length"]) <= 512
        assert spans[0, 0] == 0 and spans[-1, 1] == len(ids) and (spans[1:, 0] == spans[:-1, 1]).all(), spans
        for start, end in spans:
            assert (np.diff(ids[start:end].astype(int)) == 1).all() and mask[start] == 0
            trained.discard(int(ids[start]))
        assert (mask.astype(bool) <= (ids % 3 != 0)).all()
        seen = {int(token) for token in ids[mask == 1]}
        assert seen <= trained, "a token is trained twice, or was not to be trained"
        trained -= seen
    assert not trained, f"{len(trained)} tokens are missing"
    return len(dataset)


def main():
    if sys.argv[1] == "--golden":
        return write(sys.argv[2])
    folder = pathlib.Path(sys.argv[1]).resolve()
    write(folder / "python")
    compare(ROOT / "crates/mds/tests/golden", folder / "python")
    example("write_samples", folder / "rust")
    compare(folder / "rust", folder / "python")
    read(folder / "rust")
    example("pack_counted", folder / "pack")
    rows = read_pack(folder / "pack")
    print(f"{SAMPLES} samples and {rows} packed rows agree")


if __name__ == "__main__":
    main()
