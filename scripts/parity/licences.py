"""Holds the licences that cleaning finds against what the registries say of the packages.

usage: licences.py PROGRAM [SDIST.tar.gz | NODE_MODULES]...

PROGRAM is the example `cleaned` of recon-corpus. The crates of Cargo.lock are compared as cargo has
unpacked them (`cargo fetch`), packages of npm as a lock file in NODE_MODULES tells their licences
(`npm install --ignore-scripts express eslint webpack`), those of Python by the metadata of their
source distributions (`pip download --no-deps --no-binary :all: requests paramiko redis django`).
Twice: with the manifests, and by the texts of licence files alone, where a package has any.
Prints every difference, then what share agrees. A licence agrees when it names the same ids; by
texts alone also when it names some of those between which the registry leaves a choice.
"""

import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tomllib

CLASSES = {"MIT": "MIT", "Apache Software": "Apache-2.0", "BSD": "BSD", "ISC": "ISC", "Mozilla Public License 2.0": "MPL-2.0",
           "GNU Library or Lesser General Public": "LGPL"}


def crates():
    for package in tomllib.loads(pathlib.Path("Cargo.lock").read_text())["package"]:
        for folder in pathlib.Path.home().glob(f".cargo/registry/src/*/{package['name']}-{package['version']}"):
            yield folder, tomllib.loads((folder / "Cargo.toml").read_text())["package"].get("license", "")


def npm(modules):
    for path, package in json.loads((modules / ".package-lock.json").read_text())["packages"].items():
        yield modules.parent / path, package.get("license", "")


def python(archive):
    with tarfile.open(archive) as tar:
        member = min((it for it in tar.getnames() if it.endswith("/PKG-INFO")), key=len)
        info = tar.extractfile(member).read().decode()
    said = re.search(r"^License-Expression: (.*)", info, re.M) or re.search(r"^License: (\S+(?: \S+)?)$", info, re.M)
    classes = re.findall(r"^Classifier: License :: OSI Approved :: (.*)", info, re.M)
    named = [CLASSES[key] for line in classes for key in CLASSES if line.startswith(key)]
    yield archive, " OR ".join(named) if named and not info.count("License-Expression") else said[1] if said else ""


def ids(expression):
    words = re.findall(r"[\w.+-]+", re.sub(r"WITH [\w.-]+", "", expression.replace("/", " ")))
    return {re.sub(r"-(only|or-later)$|\+$", "", word) for word in words} - {"AND", "OR"}


def agrees(found, said, texts):
    left, right = ids(found), ids(said)
    family = len(right) == 1 and len(left) == 1 and left.pop().startswith(next(iter(right)))
    return family or ids(found) == right or texts and bool(found) and ids(found) < right and "OR" in said.replace("/", " OR ")


def main():
    program, *places = sys.argv[1:]
    packages = dict(crates())
    for place in map(pathlib.Path, places):
        packages.update(npm(place) if place.is_dir() else python(place))
    for texts in [[], ["--texts"]]:
        output = subprocess.run([program, *texts, *map(str, packages)], capture_output=True, text=True, check=True).stdout
        found = {row[0]: row[3] for row in (line.split("\t") for line in output.splitlines()) if row[1] == "licence"}
        compared = {path: said for path, said in packages.items() if said and (found.get(str(path)) or not texts)}
        apart = [(path.name, found.get(str(path)), said) for path, said in compared.items() if not agrees(found.get(str(path)) or "", said, texts)]
        for name, ours, theirs in apart:
            print(f"{' '.join(texts) or '--manifests'}\t{name}\tfound {ours or 'none'}\tthe registry says {theirs}")
        print(f"{' '.join(texts) or '--manifests'}: {len(compared) - len(apart)} of {len(compared)} agree")


main()
