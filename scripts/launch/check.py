#!/usr/bin/env python3
"""The manifests against the schemas that their tools publish: Kubernetes, JobSet, Kubeflow Trainer, SkyPilot.

Usage: check.py FOLDER     (packages: schemas.txt without what it asks for, and schemas-use.txt, beside it)
A planted fault, an unknown field in each file, must be found. Exit 1 if a file does not fit or a fault is not found.
"""
import importlib.metadata, importlib.util, pathlib, sys, types

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


def job(spec):
    document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": spec}
    kubernetes_validate.validate(document, "1.34.0", strict=True)


def lost(was, now, path=""):
    """What a model was given and does not have."""
    pairs = was.items() if isinstance(was, dict) else enumerate(was) if isinstance(was, list) else []
    for key, value in pairs:
        if isinstance(was, dict) and key not in now:
            raise ValueError(f"unknown field {path}.{key}")
        lost(value, now[key], f"{path}.{key}")


def job_set(document):
    for replicated in document["spec"]["replicatedJobs"]:
        job(replicated["template"]["spec"])
    lost(document, models.JobsetV1alpha2JobSet.from_dict(document).to_dict())


CHECKS = {
    "kubernetes-train.yaml": (job_set, lambda it: it["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]),
    "kubernetes-synthesis.yaml": (lambda it: job(it["spec"]), lambda it: it["spec"]["template"]["spec"]["containers"][0]),
    "kubernetes-trainjob.yaml": (lambda it: lost(it, models.TrainerV1alpha1TrainJob.from_dict(it).to_dict()), lambda it: it["spec"]["trainer"]),
    "skypilot.yaml": (lambda it: jsonschema.validate(it, schemas.get_task_schema()), lambda it: it),
}
folder = pathlib.Path(sys.argv[1])
assert sorted(path.name for path in folder.glob("*.yaml")) == sorted(CHECKS), "each file has its check"
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
