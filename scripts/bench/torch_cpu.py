"""PyTorch's time on the CPU for operations of the `throughput` bench: `name<TAB>milliseconds`, the best of the runs."""
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


for n, o, i in [(4096, 256, 256), (4096, 704, 256), (4096, 256, 704)]:
    x, w = torch.randn(n, i), torch.randn(o, i)
    run(f"linear::forward {n}x{i} -> {o}", lambda: x @ w.t())
for n, d, f in [(4096, 256, 704), (2048, 4096, 14336)]:
    x, w = torch.randn(n, d), torch.randn(d)
    run(f"rms_norm::forward {n}x{d}", lambda: F.rms_norm(x, (d,), w, 1e-5))
    g, u = torch.randn(n, f), torch.randn(n, f)
    run(f"swiglu::forward {n}x{f}", lambda: F.silu(g) * u)
for n in (700_000, 20_000_000):
    p = torch.randn(n).requires_grad_()
    p.grad = torch.randn(n)
    step = torch.optim.AdamW([p], fused=True).step
    run(f"adamw::step {n}", step)
    run(f"norm::sum_of_squares {n}", lambda: (p.grad * p.grad).sum(dtype=torch.float64))
