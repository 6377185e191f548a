"""Holds the summary of `recon run` against what the method promises.

usage: outcome.py SUMMARY.json
"""

import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        summary = json.load(file)
    likelihood, held_out = summary["likelihood"], summary["held_out"]
    claims = {
        "thoughts lower the code's NLL from first to accepted": likelihood["final_nats"] < likelihood["initial_nats"],
        "the figure without thoughts stands beside it": likelihood["baseline_nats"] > 0,
        "the control stands beside it": likelihood["control"]["thoughts"] > 0,
        "the held-out loss falls": held_out["after_nats"] < held_out["before_nats"],
    }
    for claim, holds in claims.items():
        print(("holds: " if holds else "FAILS: ") + claim)
    sys.exit(0 if all(claims.values()) else 1)


if __name__ == "__main__":
    main()
