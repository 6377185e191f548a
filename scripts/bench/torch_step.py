"""Training steps of `recon-train --rehearse` by transformers and PyTorch: one JSON line with tokens/s and peak memory.

    torch_step.py REHEARSAL.json DEVICE STEPS

REHEARSAL.json is what `recon-train --rehearse --format json` printed: model, rows, documents, micro-batches. Documents
are entries of a batch. f32 on the CPU; on a GPU bf16 weights, torch.compile and, where ours keeps each layer's input
alone, gradient checkpointing. Clipping by the global norm, fused AdamW. `product_gflops` is the rate of the
feed-forward's matrix product alone.
"""
import json
import resource
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

told, device, steps = json.load(open(sys.argv[1])), sys.argv[2], int(sys.argv[3])
cuda = device != "cpu"
dtype = torch.bfloat16 if cuda else torch.float32
torch.manual_seed(0)
config = LlamaConfig(**told["model"], attn_implementation="sdpa")
config.use_cache = False
with torch.device(device):
    model = LlamaForCausalLM(config).to(dtype)
if cuda and told["activations"] == "block_inputs":
    model.gradient_checkpointing_enable({"use_reentrant": False})
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
forward = torch.compile(model) if cuda else model
documents = told["micro_batch_rows"] * told["row_tokens"] // told["document_tokens"]
shape, micro_batches = (documents, told["document_tokens"]), told["accumulation"]


def wait():
    if cuda:
        torch.cuda.synchronize()


def step():
    for _ in range(micro_batches):
        ids = torch.randint(config.vocab_size, shape, device=device)
        (forward(input_ids=ids, labels=ids).loss / micro_batches).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def seconds(body):
    wait()
    start = time.perf_counter()
    body()
    wait()
    return time.perf_counter() - start


times = sorted(seconds(step) for _ in range(steps))[: max(1, steps - 1)] if steps > 1 else [seconds(step)]
taken = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
x = torch.randn(shape[0] * shape[1], config.hidden_size, device=device, dtype=dtype)
w = torch.randn(config.intermediate_size, config.hidden_size, device=device, dtype=dtype)
product = min(seconds(lambda: x @ w.t()) for _ in range(10))
print(json.dumps({
    "tokens_per_s": shape[0] * shape[1] * micro_batches / times[len(times) // 2],
    "peak_bytes": taken,
    "product_gflops": 2 * x.numel() * w.shape[0] / product / 1e9,
    "version": f"PyTorch {torch.__version__.split('+')[0]}, {torch.get_num_threads()} threads",
}))
