"""PyTorch's time on the CPU for the operations of the `throughput` bench: `name<TAB>milliseconds`, the best of the runs.

The first line names PyTorch and its threads. Backward passes are autograd's, of the operation alone.
"""
import time
import torch
import torch.nn.functional as F


def run(name, body):
    body()
    best, start, runs = 1e9, time.perf_counter(), 0
    while runs < 5 or (time.perf_counter() - start < 0.6 and runs < 500):
        before = time.perf_counter()
        body()
        best, runs = min(best, time.perf_counter() - before), runs + 1
    print(f"{name}\t{best * 1e3:.3f}", flush=True)


def both(op, shape, f, *inputs):
    """Forward without a graph, backward with one that is kept."""
    with torch.no_grad():
        run(f"{op}::forward {shape}", lambda: f(*inputs))
    leaves = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
    y = f(*leaves)
    d, leaves = torch.randn_like(y), [x for x in leaves if x.requires_grad]
    run(f"{op}::backward {shape}", lambda: torch.autograd.grad(y, leaves, d, retain_graph=True))


print(f"PyTorch {torch.__version__.split('+')[0]}, {torch.get_num_threads()} threads\t0")
for n, o, i in [(4096, 256, 256), (4096, 704, 256), (4096, 256, 704), (4096, 4352, 256), (1, 256, 256), (1, 704, 256),
                (2, 4352, 256), (8, 704, 256), (1, 4096, 4096), (8, 4096, 4096), (1024, 4096, 4096)]:
    x, w, dy, dw = torch.randn(n, i), torch.randn(o, i), torch.randn(n, o), torch.zeros(o, i)
    run(f"linear::forward {n}x{i} -> {o}", lambda: x @ w.t())
    run(f"linear::backward_input {n}x{i} -> {o}", lambda: dy @ w)
    run(f"linear::backward_weight {n}x{i} -> {o}", lambda: dw.addmm_(dy.t(), x))
for n, c, h, k, e in [(4096, 512, 4, 2, 64), (4096, 4096, 4, 2, 64), (8192, 8192, 4, 2, 64), (2048, 2048, 8, 2, 128)]:
    attend = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    rows = [torch.randn(n // c, x, c, e) for x in (h, k, k)]  # one document of the row a batch entry
    both("attention", f"{n} in {c}s, {h}/{k} x {e}", attend, *rows)
for n, v, d in [(4096, 4352, 256), (256, 128256, 256)]:
    h, w = torch.randn(n, d).requires_grad_(), torch.randn(v, d).requires_grad_()
    t = torch.arange(n) * 31 % v
    run(f"cross_entropy::forward_backward {n}x{d} -> {v}", lambda: torch.autograd.grad(F.cross_entropy(h @ w.t(), t), (h, w)))
    with torch.no_grad():
        run(f"cross_entropy::log_probs {n}x{d} -> {v}", lambda: F.cross_entropy(h @ w.t(), t, reduction="none"))
for n, d, f in [(4096, 256, 704), (2048, 4096, 14336)]:
    both("rms_norm", f"{n}x{d}", lambda x, w: F.rms_norm(x, (d,), w, 1e-5), torch.randn(n, d), torch.randn(d))
    both("swiglu", f"{n}x{f}", lambda g, u: F.silu(g) * u, torch.randn(n, f), torch.randn(n, f))
    x, c, s = torch.randn(n, d // 64, 64), torch.randn(n, 1, 64), torch.randn(n, 1, 64)
    run(f"rope::forward {n}x{d // 64}x64", lambda: x * c + torch.cat((-x[..., 32:], x[..., :32]), -1) * s)
    both("embedding", f"{n}x{d}", F.embedding, torch.arange(n), torch.randn(n, d))
for n in (700_000, 20_000_000):
    p = torch.randn(n).requires_grad_()
    p.grad = torch.randn(n)
    step = torch.optim.AdamW([p], fused=True).step
    run(f"adamw::step {n}", step)
    run(f"norm::sum_of_squares {n}", lambda: torch.linalg.vector_norm(p.grad))
    run(f"norm::scale {n}", lambda: p.grad.mul_(1.0))
