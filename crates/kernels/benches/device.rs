//! Times every kernel on a GPU at the shapes of Llama-3-8B, bf16, and prints one JSON line for each.
//!
//! `cargo xtask bench-gpu` runs it and sets PyTorch beside it. A line: `op`, `tokens`, `us` (median of the runs, device
//! events around the operation alone, the L2 cache overwritten before each), `taken_bytes` (the most memory it held
//! beside its operands: results and scratch), and `flops` or `bytes` (each operand counted once; attention counts what
//! lies under the diagonal). The first two lines are the ceilings, measured the
//! same way. Nothing is asserted.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags;
use candle_core::{DType, Device, Tensor};
use recon_kernels::adamw::{self, AdamW, Weights};
use recon_kernels::attention::Backend;
use recon_kernels::paged::{self, PagedRun};
use recon_kernels::sampling::{self, Draw, Mask, Masks};
use recon_kernels::{cross_entropy, device, embedding, linear, norm, rms_norm, rope, swiglu};

/// Llama-3-8B.
const D: usize = 4096;
const F: usize = 14_336;
const H: usize = 32;
const K: usize = 8;
const E: usize = 128;
const V: usize = 128_256;
const B: f64 = 2.0; // bytes of a bf16

enum Work {
    Flops(f64),
    Bytes(f64),
}

struct Bench {
    device: Device,
    /// Larger than any L2 cache.
    cold: Tensor,
    only: String,
}

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

impl Bench {
    fn run<R, F>(&self, op: &str, tokens: usize, work: Work, mut body: impl FnMut() -> Result<R, F>) -> Outcome
    where
        F: std::error::Error + 'static,
    {
        // The ceilings belong to every part.
        if !op.contains(&self.only) && !op.starts_with("ceiling") {
            return Ok(());
        }
        let Device::Cuda(cuda) = &self.device else { return Err("the bench needs a GPU".into()) };
        let stream = cuda.cuda_stream();
        body()?;
        body()?;
        self.device.synchronize()?;
        device::restart_peak(&self.device);
        let held = device::peak_bytes(&self.device).unwrap_or(0);
        body()?;
        let taken = device::peak_bytes(&self.device).unwrap_or(0) - held;
        let (mut times, mut spent_ms) = (Vec::new(), 0.0);
        while times.len() < 5 || (spent_ms < 150.0 && times.len() < 50) {
            self.cold.zero_set()?;
            let before = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT))?;
            body()?;
            let after = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT))?;
            let ms = f64::from(before.elapsed_ms(&after)?);
            spent_ms += ms;
            times.push(ms);
        }
        times.sort_by(f64::total_cmp);
        let us = times[times.len() / 2] * 1e3;
        let (kind, amount) = match work {
            Work::Flops(flops) => ("flops", flops),
            Work::Bytes(bytes) => ("bytes", bytes),
        };
        let taken = format!("\"taken_bytes\":{taken}");
        println!("{{\"op\":\"{op}\",\"tokens\":{tokens},\"us\":{us:.2},{taken},\"{kind}\":{amount:e}}}");
        Ok(())
    }

    fn random(&self, shape: &[usize]) -> Outcome<Tensor> {
        // Drawn in f32 on the device, a slice at a time: a whole one would need three times the memory.
        let rows = shape[0];
        let mut parts = Vec::new();
        let each = rows.div_ceil(8).max(1);
        for start in (0..rows).step_by(each) {
            let mut part = shape.to_vec();
            part[0] = each.min(rows - start);
            parts.push(Tensor::randn(0_f32, 1.0, part, &self.device)?.to_dtype(DType::BF16)?);
        }
        Ok(Tensor::cat(&parts, 0)?)
    }

    fn float(&self, elements: usize) -> Outcome<Tensor> {
        Ok(Tensor::zeros(elements, DType::F32, &self.device)?)
    }

    fn indices(&self, values: Vec<u32>) -> Outcome<Tensor> {
        let count = values.len();
        Ok(Tensor::from_vec(values, count, &self.device)?)
    }
}

fn ceilings(b: &Bench) -> Outcome {
    let from = b.float(1 << 29)?;
    // The driver's copy: `slice_set` is a kernel that moves one number a thread, and lower than some of ours.
    b.run("ceiling_copy", 0, Work::Bytes(2.0 * 4.0 * f64::from(1 << 29)), || from.copy())?;
    drop(from);
    let (x, w) = (b.random(&[8192, 8192])?, b.random(&[8192, 8192])?);
    b.run("ceiling_gemm", 8192, Work::Flops(2.0 * 8192_f64.powi(3)), || linear::forward(&x, &w))
}

fn rows(b: &Bench, n: usize) -> Outcome {
    let (nd, nf) = ((n * D) as f64 * B, (n * F) as f64 * B);
    {
        let (x, r, w) = (b.random(&[n, D])?, b.random(&[n, D])?, b.random(&[D])?);
        let dw = b.float(D)?;
        b.run("rms_norm_forward", n, Work::Bytes(2.0 * nd), || rms_norm::forward(&x, &w, 1e-5))?;
        b.run("rms_norm_residual_forward", n, Work::Bytes(4.0 * nd), || rms_norm::forward_residual(&x, &r, &w, 1e-5))?;
        let (_, inv_rms) = rms_norm::forward(&x, &w, 1e-5)?;
        b.run("rms_norm_backward", n, Work::Bytes(3.0 * nd), || rms_norm::backward(&r, &x, &w, &inv_rms, &dw))?;
        let heads = x.reshape((n, H, E))?;
        let frequencies: Vec<f64> = (0..E / 2).map(|i| 5e5_f64.powf(-2.0 * i as f64 / E as f64)).collect();
        let table = rope::Table::new(&frequencies, n, DType::BF16, &b.device)?;
        let positions = b.indices((0..n as u32).collect())?;
        b.run("rope_forward", n, Work::Bytes(2.0 * nd), || rope::forward(&heads, &table, &positions))?;
    }
    {
        let (gate, up) = (b.random(&[n, F])?, b.random(&[n, F])?);
        b.run("swiglu_forward", n, Work::Bytes(3.0 * nf), || swiglu::forward(&gate, &up))?;
        b.run("swiglu_backward", n, Work::Bytes(5.0 * nf), || swiglu::backward(&up, &gate, &up))?;
    }
    {
        // Ids of text: few are frequent, many are rare.
        let ids = b.indices((0..n).map(|i| ((i * i) % 9973 * (i % 13)) as u32 % V as u32).collect())?;
        let (table, dx) = (b.random(&[V, D])?, b.random(&[n, D])?);
        b.run("embedding_forward", n, Work::Bytes(2.0 * nd), || embedding::forward(&ids, &table))?;
        drop(table);
        let dtable = b.float(V * D)?.reshape((V, D))?;
        b.run("embedding_backward", n, Work::Bytes(nd), || embedding::backward(&dx, &ids, &dtable))?;
    }
    let (x, w, dy) = (b.random(&[n, D])?, b.random(&[F, D])?, b.random(&[n, F])?);
    let (flops, dw) = (2.0 * (n * D * F) as f64, b.float(F * D)?.reshape((F, D))?);
    b.run("linear_forward", n, Work::Flops(flops), || linear::forward(&x, &w))?;
    b.run("linear_backward_input", n, Work::Flops(flops), || linear::backward_input(&dy, &w))?;
    b.run("linear_backward_weight", n, Work::Flops(flops), || linear::backward_weight(&dy, &x, &dw))
}

fn attentions(b: &Bench, n: usize) -> Outcome {
    let (q, k, v) = (b.random(&[n, H, E])?, b.random(&[n, K, E])?, b.random(&[n, K, E])?);
    let (d_o, scale) = (b.random(&[n, H, E])?, 1.0 / (E as f64).sqrt());
    for (name, backend) in [
        ("attention", Backend::Own),
        ("attention_cudnn", Backend::Cudnn { deterministic: true }),
        ("attention_cudnn_free", Backend::Cudnn { deterministic: false }),
    ] {
        if let Err(error) = backend.check() {
            eprintln!("{name} is not measured: {error}");
            continue;
        }
        for (documents, length) in [("", n), ("_4k_documents", 4096)] {
            let spans: Vec<_> = (0..n).step_by(length).map(|start| start..start + length).collect();
            let flops = 4.0 * (H * E) as f64 * (n * length) as f64 / 2.0;
            b.run(&format!("{name}{documents}_forward"), n, Work::Flops(flops), || {
                backend.forward(&q, &k, &v, &spans, scale)
            })?;
            let (o, lse) = backend.forward(&q, &k, &v, &spans, scale)?;
            b.run(&format!("{name}{documents}_backward"), n, Work::Flops(2.5 * flops), || {
                backend.backward(&d_o, &q, &k, &v, &o, &lse, &spans, scale)
            })?;
        }
    }
    Ok(())
}

fn heads(b: &Bench, n: usize) -> Outcome {
    let (h, w) = (b.random(&[n, D])?, b.random(&[V, D])?);
    let dw = b.float(V * D)?.reshape((V, D))?;
    let targets: Vec<u32> = (0..n).map(|i| (i * 7919 % V) as u32).collect();
    let weights = vec![1.0 / n as f32; n];
    let flops = 2.0 * (n * D) as f64 * V as f64;
    b.run("cross_entropy_forward_backward", n, Work::Flops(3.0 * flops), || {
        cross_entropy::forward_backward(&h, &w, &targets, &weights, &dw)
    })?;
    b.run("log_probs", n, Work::Flops(flops), || cross_entropy::log_probs(&h, &w, &targets))
}

/// `tokens` is the context; one token of each of 32 sequences, and a chunk of 2,048 of one.
fn serving(b: &Bench, context: usize) -> Outcome {
    const PAGE: usize = 64;
    let pages_each = context / PAGE;
    for (op, sequences, fresh) in [("paged_decode_32", 32, 1), ("paged_prefill_2048", 1, 2048)] {
        let pages = sequences * pages_each;
        let (k_pages, v_pages) = (b.random(&[pages, PAGE, K, E])?, b.random(&[pages, PAGE, K, E])?);
        let q = b.random(&[sequences * fresh, H, E])?;
        let run = |i: usize| PagedRun {
            rows: i * fresh..(i + 1) * fresh,
            first_position: context - fresh,
            pages: (0..pages_each).map(|p| (p * sequences + i) as u32).collect(),
        };
        let runs: Vec<PagedRun> = (0..sequences).map(run).collect();
        let seen = (sequences * fresh) as f64 * (context as f64 - fresh as f64 / 2.0);
        let work = match fresh {
            1 => Work::Bytes((2 * sequences * context * K * E) as f64 * B),
            _ => Work::Flops(4.0 * (H * E) as f64 * seen),
        };
        b.run(op, context, work, || paged::attention(&q, &k_pages, &v_pages, &runs, 0.088))?;
        if fresh > 1 {
            let (k, v) = (b.random(&[fresh, K, E])?, b.random(&[fresh, K, E])?);
            let slots: Vec<u32> = (0..fresh as u32).collect();
            b.run("paged_write_2048", context, Work::Bytes((4 * fresh * K * E) as f64 * B), || {
                paged::write(&k, &v, &k_pages, &v_pages, &slots)
            })?;
        }
    }
    Ok(())
}

/// A token for each of 32 sequences, with half of the ids allowed; the ids' copy to the host counts.
fn sampling(b: &Bench) -> Outcome {
    let logits = b.random(&[32, V])?.to_dtype(DType::F32)?;
    let masks = Masks::new(&[Mask::new(V, |id| id % 2 == 0)], &b.device)?;
    for (op, temperature, top_p) in
        [("sampling_cold_32", 0.0, 1.0), ("sampling_32", 1.0, 1.0), ("sampling_top_p_32", 1.0, 0.9)]
    {
        let draws: Vec<Draw> =
            (0..32).map(|i| Draw { temperature, top_p, uniform: f64::from(i) / 32.0, mask: Some(0) }).collect();
        b.run(op, 32, Work::Bytes(32.0 * V as f64 * 4.0), || sampling::draw(&logits, Some(&masks), &draws))?;
    }
    Ok(())
}

fn optimizer(b: &Bench) -> Outcome {
    let n = 218_112_000; // one layer of Llama-3-8B
    let options = AdamW { lr: 1e-4, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 10 };
    let narrow = || -> Outcome<Tensor> { Ok(Tensor::zeros(n, DType::BF16, &b.device)?) };
    let (param, grad) = (narrow()?, b.float(n)?);
    let bytes = |each: usize| Work::Bytes((each * n) as f64);
    {
        let (master, m, v) = (b.float(n)?, b.float(n)?, b.float(n)?);
        b.run("adamw_master", n, bytes(30), || {
            adamw::step_narrow(&param, Weights::Master(&master), &grad, &m, &v, &options)
        })?;
    }
    let (m, v) = (narrow()?, narrow()?);
    b.run("adamw_stochastic", n, bytes(16), || {
        let weights = Weights::Stochastic { seed: 1, first: 0 };
        adamw::step_narrow(&param, weights, &grad, &m, &v, &options)
    })?;
    b.run("sum_of_squares", n, bytes(4), || norm::sum_of_squares(&grad))
}

fn main() -> Outcome {
    // `cargo bench` passes `--bench`; `cargo test --benches` passes nothing and must stay quick.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|a| a == "--bench") {
        return Ok(());
    }
    let device = device::open("cuda")?;
    let cold = Tensor::zeros(128 << 20, DType::F32, &device)?;
    let only = arguments.into_iter().find(|a| !a.starts_with("--")).unwrap_or_default();
    let bench = Bench { device, cold, only };
    ceilings(&bench)?;
    for n in [8192, 16_384, 32_768, 65_536] {
        rows(&bench, n)?;
        attentions(&bench, n)?;
        heads(&bench, n)?;
        serving(&bench, n.min(32_768))?;
    }
    sampling(&bench)?;
    optimizer(&bench)
}
