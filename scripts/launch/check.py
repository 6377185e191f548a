#!/usr/bin/env python3
"""The launch files against the schemas that their tools publish: Kubernetes, JobSet, Kubeflow Trainer, SkyPilot.

Usage: check.py FOLDER     (packages: schemas.txt and schemas-use.txt beside it)
A planted fault, an unknown field in each file, must be found. Exit 1 if a file does not fit or a fault is not found.
"""
import copy, importlib.metadata, importlib.util, pathlib, sys, types

import jsonschema, kubernetes_validate, yaml
from kubeflow_trainer_api import models

# SkyPilot's schemas need little of it; the package itself would load its server and every cloud.
site = pathlib.Path(importlib.util.find_spec("yaml").origin).parents[1]
for package in ["sky", "sky.utils", "sky.skylet", "sky.skylet.autostop_lib", "sky.server", "sky.server.daemons"]:
    module = sys.modules[package] = types.ModuleType(package)
    module.__path__ = [str(site / package.replace(".", "/"))]
sys.modules["sky"].__version__ = importlib.metadata.version("skypilot")
sys.modules["sky.server.daemons"].INTERNAL_REQUEST_DAEMONS = []
sys.modules["sky.skylet.autostop_lib"].AutostopWaitFor = types.SimpleNamespace(supported_modes=list)
from sky.utils import schemas

VERSION = "1.34.0"


def job(spec, name="job"):
    kubernetes_validate.validate(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}, VERSION, strict=True
    )


def round_trip(model, document, path=""):
    """Reads `document` as `model` and refuses what the model does not know."""
    kept = model.from_dict(document).to_dict()

    def lost(was, now, path):
        if isinstance(was, dict) and isinstance(now, dict):
            for key in was:
                if key not in now:
                    raise ValueError(f"unknown field {path}.{key}")
                lost(was[key], now[key], f"{path}.{key}")
        elif isinstance(was, list) and isinstance(now, list):
            for at, pair in enumerate(zip(was, now)):
                lost(*pair, f"{path}[{at}]")

    lost(document, kept, path)


def job_set(document):
    outer = copy.deepcopy(document)
    for replicated in outer["spec"]["replicatedJobs"]:
        job(replicated["template"]["spec"])
    round_trip(models.JobsetV1alpha2JobSet, outer)


def train_job(document):
    round_trip(models.TrainerV1alpha1TrainJob, document)


def sky(document):
    jsonschema.validate(document, schemas.get_task_schema())


CHECKS = {
    "kubernetes-train.yaml": (job_set, lambda it: it["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]),
    "kubernetes-synthesis.yaml": (lambda it: job(it["spec"]), lambda it: it["spec"]["template"]["spec"]["containers"][0]),
    "kubernetes-trainjob.yaml": (train_job, lambda it: it["spec"]["trainer"]),
    "skypilot.yaml": (sky, lambda it: it),
}

folder = pathlib.Path(sys.argv[1])
files = sorted(path.name for path in folder.glob("*.yaml"))
assert files == sorted(CHECKS), f"each file has its check: {files}"
for name, (check, place) in CHECKS.items():
    document = yaml.safe_load((folder / name).read_text())
    check(document)
    place(document)["notAField"] = 1
    try:
        check(document)
    except Exception as error:
        print(f"{name} fits; a planted field is found: {str(error).splitlines()[0]}")
    else:
        sys.exit(f"{name}: a planted field is not found")
