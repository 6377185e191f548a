"""Holds the tokenizer files of crates/text against transformers.

usage: tokenizer.py FOLDER

For the small test tokenizer and one trained on the spot: the same ids for content (which
`split_special_tokens` keeps plain there too), the same text back, and Llama-3's chat format.
"""

import json
import pathlib
import subprocess
import sys

from transformers import AutoTokenizer

ROOT = pathlib.Path(__file__).parents[2]
MESSAGES = [{"role": "system", "content": " kept as it is\n"}, {"role": "tool", "content": "x"}]
CHAT = ("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n kept as it is\n<|eot_id|>"
        "<|start_header_id|>tool<|end_header_id|>\n\nx<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")


def check(directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    pairs = json.loads((directory / "pairs.json").read_text(encoding="utf-8"))
    for ids, text in pairs:
        assert tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True) == ids, text
        assert tokenizer.decode(ids) == text, text
    assert tokenizer.encode("") == [tokenizer.convert_tokens_to_ids("<|begin_of_text|>")]
    assert tokenizer.eos_token == "<|eot_id|>"
    chat = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    assert chat == CHAT, chat
    print(f"{directory.name}: {len(pairs)} texts agree")


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    command = ["cargo", "run", "--quiet", "--example", "write_tokenizers", "--", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    for name in ["fake", "trained"]:
        check(folder / name)


if __name__ == "__main__":
    main()
