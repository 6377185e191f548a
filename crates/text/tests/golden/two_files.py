"""Writes the golden two-file document from the definition (PAPER.md, definition 1), knowing
nothing of the Rust code: the pieces below are written by hand, and the small test tokenizer
(bytes, twelve merges, Llama-3's control tokens) is spelled out again.

    python3 two_files.py        # rewrites two_files.json and two_files.txt beside this file
"""

import hashlib
import json
import pathlib
import re

MERGES = ["in", "er", "de", "def", "  ", "    ", " t", " th", " the", "or", "\n\n", "re"]
HALVES = [("i", "n"), ("e", "r"), ("d", "e"), ("de", "f"), (" ", " "), ("  ", "  "),
          (" ", "t"), (" t", "h"), (" th", "e"), ("o", "r"), ("\n", "\n"), ("r", "e")]
SPECIAL = {"<|begin_of_text|>": 268, "<|start_header_id|>": 274, "<|end_header_id|>": 275, "<|eot_id|>": 277}
SPLIT = re.compile(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]{1,3}"
    r"| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", re.ASCII)


def encode(text):
    """Ids of an ASCII text."""
    ids = []
    for word in SPLIT.findall(text):
        tokens = list(word)
        for left, right in HALVES:
            at = 0
            while at + 1 < len(tokens):
                if tokens[at] == left and tokens[at + 1] == right:
                    tokens[at:at + 2] = [left + right]
                at += 1
        ids += [ord(token) if len(token) == 1 else 256 + MERGES.index(token) for token in tokens]
    return ids


UTIL = "def two():\n    return 2\n"
MAIN = 'import util\n\nprint(util.two(), "<|eot_id|>")'  # spells a control token, ends without a newline
PROMPT = "Repository demo\n\nmain.py\nutil.py\n"


def content(path, text):
    return {"path": path, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}


def step(agent, kind, author, **rest):
    trained = kind in ("think", "action")
    return {"agent": agent, "kind": kind, **rest, "author": author, "trained": trained}


def action(agent, name, path=None, text=None):
    given = {} if path is None else {"path": path} if text is None else content(path, text)
    return step(agent, "action", "outline", action={"tool": name, **given})


def think(agent, author, text, about, **given):
    return step(agent, "think", author, text=text, subject={"about": about, **given})


U, M = "file:util.py", "file:main.py"
STEPS = [
    step("main", "opening", "repository", text=PROMPT),
    think("main", "model", "The program prints the number two.", "requirements"),
    action("main", "delegate", "util.py"),
    think(U, "outline", "util.py needs no other file.", "writing", path="util.py"),
    action(U, "write", "util.py", UTIL),
    step(U, "observation", "tool", text="util.py written"),
    action(U, "done"),
    step("main", "observation", "tool", text="util.py done"),
    action("main", "delegate", "main.py"),
    action(M, "read", "util.py"),
    step(M, "observation", "repository", content=content("util.py", UTIL)),
    action(M, "write", "main.py", MAIN),
    step(M, "observation", "tool", text="main.py written"),
    action(M, "done"),
    step("main", "observation", "tool", text="main.py done"),
    action("main", "done"),
]


def turn(role, *body, trained):
    """(mask, piece) of a turn; a piece that is a key of SPECIAL and stands alone is the token."""
    header = [(0, "special", "<|start_header_id|>"), (0, "text", role), (0, "special", "<|end_header_id|>"),
              (0, "text", "\n\n")]
    return header + [(trained, "text", text) for text in body] + [(trained, "special", "<|eot_id|>")]


PIECES = [
    (0, "special", "<|begin_of_text|>"),
    *turn("system", PROMPT, trained=0),
    *turn("assistant", "The program prints the number two.", trained=1),
    *turn("assistant", '{"tool":"delegate","path":"util.py"}', trained=1),
    *turn("assistant", "util.py needs no other file.", trained=1),
    *turn("assistant", '{"tool":"write","path":"util.py"}\n', UTIL, trained=1),
    *turn("tool", "util.py written", trained=0),
    *turn("assistant", '{"tool":"done"}', trained=1),
    *turn("tool", "util.py done", trained=0),
    *turn("assistant", '{"tool":"delegate","path":"main.py"}', trained=1),
    *turn("assistant", '{"tool":"read","path":"util.py"}', trained=1),
    *turn("tool", UTIL, trained=0),
    *turn("assistant", '{"tool":"write","path":"main.py"}\n', MAIN, trained=1),
    *turn("tool", "main.py written", trained=0),
    *turn("assistant", '{"tool":"done"}', trained=1),
    *turn("tool", "main.py done", trained=0),
    *turn("assistant", '{"tool":"done"}', trained=1),
]

here = pathlib.Path(__file__).parent
trajectory = {
    "schema": "recon.trajectory/3", "id": "demo/agent#0",
    "repository": {"name": "demo", "source": "demo"}, "arm": "agent", "part": 0, "seed": 0, "steps": STEPS,
    "summary": {"files": 2, "steps_by_author": {}, "leaks_by_author": {}},
}
here.joinpath("two_files.json").write_text(json.dumps(trajectory, indent=1) + "\n")
lines = ["# mask, kind, piece as JSON, ids; one segment a line"]
for mask, kind, text in PIECES:
    ids = [SPECIAL[text]] if kind == "special" else encode(text)
    lines.append("\t".join([str(mask), kind, json.dumps(text), " ".join(map(str, ids))]))
here.joinpath("two_files.txt").write_text("\n".join(lines) + "\n")
