"""Holds the licences that cleaning finds against what the registries say of the packages.

usage: licences.py PROGRAM [SDIST.tar.gz | NODE_MODULES]...

PROGRAM is the example `cleaned` of recon-corpus. Compared are the crates of Cargo.lock (`cargo fetch`),
packages of npm by the lock file in NODE_MODULES (`npm install --ignore-scripts express eslint webpack mocha jest gulp`),
and source distributions of Python by their metadata (`pip download --no-deps --no-binary :all:` of those in
tools/nano/packages.toml); first with the manifests, then by the texts
of licence files alone, of the packages that have any. Two licences agree when they name the same ids; a
text may also name some of those between which the registry leaves a choice.
"""

import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tomllib

CLASSES = {"MIT": "MIT", "Apache": "Apache-2.0", "BSD": "BSD", "ISC": "ISC", "Mozilla Public License 2.0": "MPL-2.0"}


def packages(places):
    for package in tomllib.loads(pathlib.Path("Cargo.lock").read_text())["package"]:
        for folder in pathlib.Path.home().glob(f".cargo/registry/src/*/{package['name']}-{package['version']}"):
            yield folder, tomllib.loads((folder / "Cargo.toml").read_text())["package"].get("license", "")
    for place in map(pathlib.Path, places):
        if place.is_dir():
            for path, package in json.loads((place / ".package-lock.json").read_text())["packages"].items():
                yield place.parent / path, package.get("license", "")
            continue
        with tarfile.open(place) as tar:
            info = tar.extractfile(min((it for it in tar.getnames() if it.endswith("/PKG-INFO")), key=len)).read().decode()
        said = re.search(r"^License-Expression: (.*)", info, re.M) or re.search(r"^License: (\S+)$", info, re.M)
        named = [CLASSES.get(line.split()[0], line) for line in re.findall(r"^Classifier: License :: OSI Approved :: (.*)", info, re.M)]
        yield place, said[1] if said else " OR ".join(named)


def ids(expression):
    words = re.findall(r"[\w.+-]+", re.sub(r"WITH [\w.-]+", "", expression.replace("/", " ")))
    return {re.sub(r"-(only|or-later)$|\+$", "", word) for word in words} - {"AND", "OR"}


def agrees(found, said, texts):
    ours, theirs = ids(found), ids(said)
    # `BSD` and `LGPL` are families: any of their licences is one.
    family = len(ours) == len(theirs) == 1 and "-" not in said and min(ours).startswith(min(theirs) + "-")
    return ours == theirs or family or bool(texts and ours and ours < theirs and re.search(r" OR |/", said))


program, *places = sys.argv[1:]
said = {str(path): licence for path, licence in packages(places) if licence}
for texts in [[], ["--texts"]]:
    output = subprocess.run([program, *texts, *said], capture_output=True, text=True, check=True).stdout
    found = {row[0]: row[3] for row in (line.split("\t") for line in output.splitlines()) if row[1] == "licence" and (row[3] or not texts)}
    apart = [path for path in found if not agrees(found[path], said[path], texts)]
    for path in apart:
        print(f"{texts}\t{pathlib.Path(path).name}\tfound {found[path] or 'none'}\tthe registry says {said[path]}")
    print(f"{texts}: {len(found) - len(apart)} of {len(found)} agree")
