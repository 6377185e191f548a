"""Reads a run's event files with TensorBoard's own reader and holds them against metrics.jsonl.

usage: tensorboard_events.py RUN
"""

import json
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TAGS = ["loss_nats", "grad_norm", "lr", "trained_tokens", "tokens_per_s"]


def as_f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def main():
    run = pathlib.Path(sys.argv[1])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    for tag in TAGS:
        found = {event.step: event.value for event in events.Scalars(tag)}
        expected = {line["step"]: as_f32(line[tag]) for line in lines}
        if found != expected:
            sys.exit(f"FAILS: {tag}: TensorBoard reads {len(found)} steps, the metrics have {len(expected)}")
    print(f"holds: TensorBoard reads {len(lines)} steps of {len(TAGS)} scalars as they were measured")


if __name__ == "__main__":
    main()
