//! Prints what each operation reaches on this machine, at the shapes of the small default model and at larger ones.
//!
//! `cargo bench -p recon-kernels [-- PART_OF_A_NAME]`. Each line is the best of several runs after a warm-up. GFLOP/s
//! counts a multiply-add as two and, for attention, only what lies under the diagonal; GB/s counts each operand once.
//! Nothing is asserted.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use recon_kernels::adamw::{self, AdamW};
use recon_kernels::paged::{self, PagedRun};
use recon_kernels::{attention, cross_entropy, embedding, linear, norm, rms_norm, rope, swiglu};

const CPU: Device = Device::Cpu;

/// What the numerator of a rate counts.
enum Work {
    Flops(f64),
    Elements(usize),
}

struct Bench {
    filter: String,
}

impl Bench {
    fn run(&self, name: &str, work: Work, mut body: impl FnMut()) {
        if !name.contains(&self.filter) {
            return;
        }
        body();
        let started = Instant::now();
        let mut best = Duration::MAX;
        let mut runs = 0;
        while runs < 5 || (started.elapsed() < Duration::from_millis(600) && runs < 500) {
            let before = Instant::now();
            body();
            best = best.min(before.elapsed());
            runs += 1;
        }
        let (rate, unit) = match work {
            Work::Flops(flops) => (flops / best.as_secs_f64() / 1e9, "GFLOP/s"),
            Work::Elements(elements) => (elements as f64 * 4.0 / best.as_secs_f64() / 1e9, "GB/s"),
        };
        println!("{name:<52} {:>10.3} ms {rate:>9.1} {unit}", best.as_secs_f64() * 1e3);
    }
}

fn random(shape: &[usize]) -> Tensor {
    Tensor::randn(0_f32, 1.0, shape, &CPU).expect("a shape of positive extents")
}

fn linears(bench: &Bench) {
    for (n, o, i) in [
        (4096, 256, 256),
        (4096, 704, 256),
        (4096, 256, 704),
        (4096, 4352, 256),
        (1, 256, 256),
        (1, 704, 256),
        (2, 4352, 256),
        (8, 704, 256),
        (1, 4096, 4096),
        (8, 4096, 4096),
        (1024, 4096, 4096),
    ] {
        let (x, w, dy) = (random(&[n, i]), random(&[o, i]), random(&[n, o]));
        let dw = Tensor::zeros((o, i), DType::F32, &CPU).expect("zeros");
        let flops = || Work::Flops(2.0 * (n * o * i) as f64);
        bench.run(&format!("linear::forward {n}x{i} -> {o}"), flops(), || {
            black_box(linear::forward(&x, &w).expect("forward"));
        });
        bench.run(&format!("linear::backward_input {n}x{i} -> {o}"), flops(), || {
            black_box(linear::backward_input(&dy, &w).expect("backward"));
        });
        bench.run(&format!("linear::backward_weight {n}x{i} -> {o}"), flops(), || {
            linear::backward_weight(&dy, &x, &dw).expect("backward");
        });
    }
}

fn attentions(bench: &Bench) {
    for (n, document, h, k, e) in
        [(4096, 512, 4, 2, 64), (4096, 4096, 4, 2, 64), (8192, 8192, 4, 2, 64), (2048, 2048, 8, 2, 128)]
    {
        let (q, d_o) = (random(&[n, h, e]), random(&[n, h, e]));
        let (key, value) = (random(&[n, k, e]), random(&[n, k, e]));
        let spans: Vec<_> = (0..n).step_by(document).map(|at| at..at + document).collect();
        let scale = 1.0 / (e as f64).sqrt();
        let flops = 2.0 * (n * (document + 1) * h * e) as f64;
        let (o, lse) = attention::forward(&q, &key, &value, &spans, scale).expect("forward");
        bench.run(&format!("attention::forward {n} in {document}s, {h}/{k} x {e}"), Work::Flops(flops), || {
            black_box(attention::forward(&q, &key, &value, &spans, scale).expect("forward"));
        });
        bench.run(&format!("attention::backward {n} in {document}s, {h}/{k} x {e}"), Work::Flops(2.5 * flops), || {
            black_box(attention::backward(&d_o, &q, &key, &value, &o, &lse, &spans, scale).expect("backward"));
        });
    }
}

fn pages(bench: &Bench) {
    let (sequences, context, h, k, e, page) = (8, 1024, 4, 2, 64, 16);
    let slots = sequences * context;
    let (k_pages, v_pages) = (random(&[slots / page, page, k, e]), random(&[slots / page, page, k, e]));
    for (name, fresh) in [("decode", 1), ("prefill", 256)] {
        let q = random(&[sequences * fresh, h, e]);
        let run = |i: usize| PagedRun {
            rows: i * fresh..(i + 1) * fresh,
            first_position: context - fresh,
            pages: (0..context / page).map(|p| (i * context / page + p) as u32).collect(),
        };
        let runs: Vec<PagedRun> = (0..sequences).map(run).collect();
        let flops = 4.0 * (sequences * fresh * context * h * e) as f64;
        bench.run(&format!("paged::attention {name} {sequences} x {fresh} of {context}"), Work::Flops(flops), || {
            black_box(paged::attention(&q, &k_pages, &v_pages, &runs, 0.125).expect("attention"));
        });
    }
    let (key, value) = (random(&[512, k, e]), random(&[512, k, e]));
    let to: Vec<u32> = (0..512).map(|i| i * 7 % slots as u32).collect();
    bench.run("paged::write 512", Work::Elements(4 * 512 * k * e), || {
        paged::write(&key, &value, &k_pages, &v_pages, &to).expect("write");
    });
}

fn heads(bench: &Bench) {
    for (n, v, d) in [(4096, 4352, 256), (256, 128_256, 256)] {
        let (h, w) = (random(&[n, d]), random(&[v, d]));
        let dw = Tensor::zeros((v, d), DType::F32, &CPU).expect("zeros");
        let targets: Vec<u32> = (0..n).map(|i| (i * 31 % v) as u32).collect();
        let weights = vec![1.0 / n as f32; n];
        let flops = 2.0 * (n * v * d) as f64;
        bench.run(&format!("cross_entropy::forward_backward {n}x{d} -> {v}"), Work::Flops(3.0 * flops), || {
            black_box(cross_entropy::forward_backward(&h, &w, &targets, &weights, &dw).expect("loss"));
        });
        bench.run(&format!("cross_entropy::log_probs {n}x{d} -> {v}"), Work::Flops(flops), || {
            black_box(cross_entropy::log_probs(&h, &w, &targets).expect("log-probabilities"));
        });
    }
}

fn elementwise(bench: &Bench) {
    for (n, d, f) in [(4096, 256, 704), (2048, 4096, 14_336)] {
        let (x, dy, weight) = (random(&[n, d]), random(&[n, d]), random(&[d]));
        let dweight = Tensor::zeros(d, DType::F32, &CPU).expect("zeros");
        let (_, r) = rms_norm::forward(&x, &weight, 1e-5).expect("forward");
        bench.run(&format!("rms_norm::forward {n}x{d}"), Work::Elements(2 * n * d), || {
            black_box(rms_norm::forward(&x, &weight, 1e-5).expect("forward"));
        });
        bench.run(&format!("rms_norm::backward {n}x{d}"), Work::Elements(3 * n * d), || {
            black_box(rms_norm::backward(&dy, &x, &weight, &r, &dweight).expect("backward"));
        });
        let (gate, up, dout) = (random(&[n, f]), random(&[n, f]), random(&[n, f]));
        bench.run(&format!("swiglu::forward {n}x{f}"), Work::Elements(3 * n * f), || {
            black_box(swiglu::forward(&gate, &up).expect("forward"));
        });
        bench.run(&format!("swiglu::backward {n}x{f}"), Work::Elements(5 * n * f), || {
            black_box(swiglu::backward(&dout, &gate, &up).expect("backward"));
        });
        let frequencies: Vec<f64> = (0..32).map(|i| 1e4_f64.powf(-f64::from(i) / 32.0)).collect();
        let table = rope::Table::new(&frequencies, n, DType::F32, &CPU).expect("table");
        let (heads, positions) = (random(&[n, d / 64, 64]), Tensor::arange(0, n as u32, &CPU).expect("positions"));
        bench.run(&format!("rope::forward {n}x{}x64", d / 64), Work::Elements(2 * n * d), || {
            black_box(rope::forward(&heads, &table, &positions).expect("forward"));
        });
        let (ids, rows) = (Tensor::arange(0, n as u32, &CPU).expect("ids"), random(&[n, d]));
        let dtable = Tensor::zeros((n, d), DType::F32, &CPU).expect("zeros");
        bench.run(&format!("embedding::forward {n}x{d}"), Work::Elements(2 * n * d), || {
            black_box(embedding::forward(&ids, &rows).expect("forward"));
        });
        bench.run(&format!("embedding::backward {n}x{d}"), Work::Elements(3 * n * d), || {
            embedding::backward(&rows, &ids, &dtable).expect("backward");
        });
    }
}

fn optimizer(bench: &Bench) {
    for n in [700_000, 20_000_000] {
        let [param, grad, m, v] = [0, 1, 2, 3].map(|_| random(&[n]));
        let v = v.abs().expect("second moments");
        let options = AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 10 };
        bench.run(&format!("adamw::step {n}"), Work::Elements(7 * n), || {
            adamw::step(&param, &grad, &m, &v, &options).expect("step");
        });
        bench.run(&format!("norm::sum_of_squares {n}"), Work::Elements(n), || {
            black_box(norm::sum_of_squares(&grad).expect("norm"));
        });
        bench.run(&format!("norm::scale {n}"), Work::Elements(2 * n), || norm::scale(&grad, 1.0).expect("scale"));
    }
}

fn main() {
    // `cargo bench` passes `--bench`; `cargo test --benches` passes nothing and must stay quick.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|a| a == "--bench") {
        return;
    }
    let filter = arguments.into_iter().find(|a| !a.starts_with("--")).unwrap_or_default();
    let bench = Bench { filter };
    for part in [linears, attentions, pages, heads, elementwise, optimizer] {
        part(&bench);
    }
}
