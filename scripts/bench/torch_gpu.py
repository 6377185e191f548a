"""PyTorch's time for the operations of `cargo xtask bench-gpu`: one JSON line each, timed as the bench does.

    torch_gpu.py [WORD]     only operations whose name contains the word

Median over runs, device events around the operation alone, L2 overwritten before each; torch.compile where eager is
several kernels, scaled_dot_product_attention, fused AdamW. Llama-3-8B's shapes, bf16.
"""
import json
import sys
import torch
import torch.nn.functional as F

D, I, H, K, E, V = 4096, 14336, 32, 8, 128, 128256
only = sys.argv[1] if len(sys.argv) > 1 else ""
cold = torch.empty(128 << 20, device="cuda")


def run(op, tokens, body):
    if only not in op:
        return
    try:
        body(), body()
        times = []
        while len(times) < 5 or (sum(times) < 150 and len(times) < 50):
            cold.zero_()
            a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            a.record(), body(), b.record(), b.synchronize()
            times.append(a.elapsed_time(b))
        print(json.dumps({"op": op, "tokens": tokens, "us": round(sorted(times)[len(times) // 2] * 1e3, 2)}), flush=True)
    except torch.OutOfMemoryError:
        print(json.dumps({"op": op, "tokens": tokens, "us": None}), flush=True)


def both(op, tokens, f, *inputs):
    if only not in op + "_forward" and only not in op + "_backward":
        return
    leaves = [x.requires_grad_() for x in inputs]
    run(op + "_forward", tokens, lambda: f(*inputs))
    y = f(*leaves)
    d = torch.randn_like(y)
    run(op + "_backward", tokens, lambda: torch.autograd.grad(y, leaves, d, retain_graph=True))


def new(*shape):
    return torch.randn(shape, device="cuda", dtype=torch.bfloat16)


norm = torch.compile(lambda x, w: F.rms_norm(x, (D,), w, 1e-5))
added = torch.compile(lambda x, r, w: (x + r, F.rms_norm(x + r, (D,), w, 1e-5)))
silu = torch.compile(lambda g, u: F.silu(g) * u)
turn = torch.compile(lambda x, c, s: x * c + torch.cat((-x[..., E // 2:], x[..., :E // 2]), -1) * s)
head = torch.compile(lambda h, w, t: F.cross_entropy((h @ w.t()).float(), t, reduction="sum"))
a, w = new(8192, 8192), new(8192, 8192)
run("ceiling_gemm", 8192, lambda: a @ w.t())
for n in (8192, 16384, 32768, 65536):
    both("rms_norm", n, norm, new(n, D), new(D))
    x, r, w = new(n, D), new(n, D), new(D)
    run("rms_norm_residual_forward", n, lambda: added(x, r, w))
    heads, c, s = new(n, H, E), new(n, 1, E), new(n, 1, E)
    run("rope_forward", n, lambda: turn(heads, c, s))
    both("swiglu", n, silu, new(n, I), new(n, I))
    ids = torch.tensor([(i * i) % 9973 * (i % 13) % V for i in range(n)], device="cuda")
    both("embedding", n, lambda t: F.embedding(ids, t), new(V, D))
    x, w, dy, dw = new(n, D), new(I, D), new(n, I), torch.zeros(I, D, device="cuda")
    run("linear_forward", n, lambda: x @ w.t())
    run("linear_backward_input", n, lambda: dy @ w)
    run("linear_backward_weight", n, lambda: dw.add_(dy.t() @ x))
    del x, r, w, dy, dw, heads, c, s
    sdpa = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    both("attention", n, sdpa, new(1, H, n, E), new(1, K, n, E), new(1, K, n, E))
    h, w = new(n, D).requires_grad_(), new(V, D).requires_grad_()
    t = torch.arange(n, device="cuda") * 7919 % V

    def chunked():  # full logits of 65,536 rows would not fit
        for i in range(0, n, 2048):
            torch.autograd.grad(head(h[i:i + 2048], w, t[i:i + 2048]), (h, w))
    run("cross_entropy_forward_backward", n, chunked)
    del h, w
p = torch.zeros(218112000, device="cuda").requires_grad_()
p.grad = torch.zeros_like(p)
adam = torch.optim.AdamW([p], fused=True)
run("adamw_master", 218112000, adam.step)
run("sum_of_squares", 218112000, lambda: torch.linalg.vector_norm(p.grad))
