"""Makes the goldens again and holds the committed ones against them.

usage: goldens.py FOLDER

Weights, ids, masks and spans must be the same to the bit; what was computed in float64 agrees to
a relative norm of 1e-9, so that another build of torch may sum in another order.
"""

import json
import pathlib
import subprocess
import sys

from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).parents[2]
COMMITTED = ROOT / "tests/goldens/llama"
BOUND = 1e-9


def main():
    folder = pathlib.Path(sys.argv[1])
    subprocess.run([sys.executable, ROOT / "scripts/goldens/llama.py", folder], check=True)
    cases = sorted(path.name for path in COMMITTED.iterdir())
    assert cases == sorted(path.name for path in folder.iterdir()), cases
    for case in cases:
        old, new = COMMITTED / case, folder / case
        assert json.loads((old / "row.json").read_text()) == json.loads((new / "row.json").read_text()), case
        weights, again = load_file(old / "model.safetensors"), load_file(new / "model.safetensors")
        assert weights.keys() == again.keys() and all(weights[name].equal(again[name]) for name in weights), case
        golden, again = load_file(old / "golden.safetensors"), load_file(new / "golden.safetensors")
        assert golden.keys() == again.keys(), case
        worst = max(((golden[name] - again[name]).norm() / golden[name].norm()).item() for name in golden)
        print(f"{case}: {len(golden)} tensors, largest relative difference {worst:.1e}")
        assert worst <= BOUND, case


if __name__ == "__main__":
    main()
