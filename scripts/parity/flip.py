"""Flips one byte of one written file in a trajectory, so that the checker can be seen to refuse.

usage: flip.py TRAJECTORIES.jsonl.zst FLIPPED.jsonl
"""

import json
import sys

import zstandard


def main():
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    records = [json.loads(line) for line in text.splitlines()]
    steps = (step for record in records for step in record["steps"])
    content = next(step["action"] for step in steps if step.get("action", {}).get("tool") == "write")
    middle = len(content["text"]) // 2
    flipped = chr(ord(content["text"][middle]) ^ 1)
    content["text"] = content["text"][:middle] + flipped + content["text"][middle + 1 :]
    with open(target, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


if __name__ == "__main__":
    main()
