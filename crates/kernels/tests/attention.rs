//! Attention over packed rows: against float64, finite differences, packing, spans of one, threads.

#![expect(clippy::single_range_in_vec_init, reason = "a row that is one document")]

mod common;

use std::ops::Range;

use candle_core::{DType, Tensor};
use common::{Case, Real, all_f64, all_of, bits, check_gradient, dot, f64s, in_pool, matrix, values};
use recon_kernels::{Error, attention};

/// The extents of one case.
#[derive(Clone)]
struct Shape {
    n: usize,
    query: usize,
    kv: usize,
    dim: usize,
    spans: Vec<Range<usize>>,
}

/// q, k, v, do as numbers.
struct Inputs {
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
    d_o: Vec<f64>,
}

#[derive(Default)]
struct Results {
    o: Vec<f64>,
    lse: Vec<f64>,
    dq: Vec<f64>,
    dk: Vec<f64>,
    dv: Vec<f64>,
}

impl Shape {
    fn new(n: usize, query: usize, kv: usize, dim: usize, spans: &[Range<usize>]) -> Self {
        Self { n, query, kv, dim, spans: spans.to_vec() }
    }

    fn scale(&self) -> f64 {
        1.0 / (self.dim as f64).sqrt()
    }

    /// Queries are large, so that the softmax is not flat.
    fn inputs(&self, seed: u64) -> Inputs {
        let (queries, keys) = (self.n * self.query * self.dim, self.n * self.kv * self.dim);
        let q = values(queries, seed).into_iter().map(|x| x * 4.0).collect();
        Inputs { q, k: values(keys, seed + 1), v: values(keys, seed + 2), d_o: values(queries, seed + 3) }
    }

    fn tensors(&self, inputs: &Inputs, dtype: DType) -> [Tensor; 4] {
        let (queries, keys) = ([self.n, self.query, self.dim], [self.n, self.kv, self.dim]);
        [
            matrix(&inputs.q, &queries, dtype),
            matrix(&inputs.k, &keys, dtype),
            matrix(&inputs.v, &keys, dtype),
            matrix(&inputs.d_o, &queries, dtype),
        ]
    }

    fn run(&self, inputs: &Inputs, dtype: DType) -> [Tensor; 5] {
        let [q, k, v, d_o] = self.tensors(inputs, dtype);
        let (o, lse) = attention::forward(&q, &k, &v, &self.spans, self.scale()).unwrap();
        let (dq, dk, dv) = attention::backward(&d_o, &q, &k, &v, &o, &lse, &self.spans, self.scale()).unwrap();
        [o, lse, dq, dk, dv]
    }
}

/// Row by row, with the whole row of probabilities, in T.
fn naive<T: Real>(shape: &Shape, inputs: &Inputs) -> Results {
    naive_storing::<T>(shape, inputs, |x| x)
}

/// The same; probabilities, their gradients and o are stored through `store`, as tensors of a narrower type would be.
fn naive_storing<T: Real>(shape: &Shape, inputs: &Inputs, store: fn(f64) -> f64) -> Results {
    let store = |x: T| T::of(store(x.f64()));
    let Shape { n, query, kv, dim, .. } = *shape;
    let (q, k) = (all_of::<T>(&inputs.q), all_of::<T>(&inputs.k));
    let (v, d_o) = (all_of::<T>(&inputs.v), all_of::<T>(&inputs.d_o));
    let (zero, scale) = (T::of(0.0), T::of(shape.scale()));
    let (mut o, mut lse) = (vec![zero; n * query * dim], vec![zero; n * query]);
    let (mut dq, mut dk, mut dv) = (vec![zero; q.len()], vec![zero; k.len()], vec![zero; k.len()]);
    let dot = |a: &[T], b: &[T]| a.iter().zip(b).map(|(&a, &b)| a * b).sum::<T>();
    for span in &shape.spans {
        for row in span.clone() {
            for head in 0..query {
                let at = (row * query + head) * dim..(row * query + head + 1) * dim;
                let key = |j: usize| (j * kv + head / (query / kv)) * dim..(j * kv + head / (query / kv) + 1) * dim;
                let scores: Vec<T> = (span.start..=row).map(|j| dot(&q[at.clone()], &k[key(j)]) * scale).collect();
                let max = scores.iter().fold(scores[0], |a, &b| if b > a { b } else { a });
                let sum: T = scores.iter().map(|&s| (s - max).exp()).sum();
                lse[row * query + head] = max + sum.ln();
                let p: Vec<T> = scores.iter().map(|&s| store((s - max).exp() / sum)).collect();
                for (j, &p) in (span.start..).zip(&p) {
                    for i in 0..dim {
                        o[at.start + i] = o[at.start + i] + p * v[key(j).start + i];
                    }
                }
                o[at.clone()].iter_mut().for_each(|o| *o = store(*o));
                let delta = dot(&d_o[at.clone()], &o[at.clone()]);
                for (j, &p) in (span.start..).zip(&p) {
                    let ds = store(p * (dot(&d_o[at.clone()], &v[key(j)]) - delta)) * scale;
                    for i in 0..dim {
                        let (a, b) = (at.start + i, key(j).start + i);
                        dq[a] = dq[a] + ds * k[b];
                        dk[b] = dk[b] + ds * q[a];
                        dv[b] = dv[b] + p * d_o[a];
                    }
                }
            }
        }
    }
    let [o, lse, dq, dk, dv] = [&o, &lse, &dq, &dk, &dv].map(|x| all_f64(x));
    Results { o, lse, dq, dk, dv }
}

fn shapes() -> Vec<Shape> {
    vec![
        Shape::new(1, 1, 1, 64, &[0..1]),
        Shape::new(5, 2, 2, 24, &[0..1, 1..2, 2..5]),
        Shape::new(67, 4, 2, 24, &[0..67]),
        Shape::new(150, 4, 1, 64, &[0..129, 129..150]),
        Shape::new(300, 2, 1, 128, &[0..1, 1..260, 260..300]),
        Shape::new(257, 4, 4, 7, &[0..257]),
        // Rows 3 and 12..15 belong to no document; the spans come in no order.
        Shape::new(15, 4, 2, 16, &[4..12, 0..3]),
    ]
}

#[test]
fn it_is_as_good_as_naive_attention() {
    for (seed, shape) in shapes().into_iter().enumerate() {
        let inputs = shape.inputs(10 * seed as u64);
        let (exact, rough) = (naive::<f64>(&shape, &inputs), naive::<f32>(&shape, &inputs));
        let [o, lse, dq, dk, dv] = shape.run(&inputs, DType::F32);
        let what = |name: &str| format!("{name} of case {seed}");
        Case::new(exact.o, rough.o).check(&o, &what("o"));
        Case::new(exact.lse, rough.lse).check(&lse, &what("lse"));
        // A document of one token has p = 1 and ds = 0 exactly; its dq and dk are rounding alone in both.
        Case::new(exact.dq, rough.dq).check(&dq, &what("dq"));
        Case::new(exact.dk, rough.dk).check(&dk, &what("dk"));
        Case::new(exact.dv, rough.dv).check(&dv, &what("dv"));
    }
}

#[test]
fn the_derivatives_are_those_of_the_forward_pass() {
    for shape in
        [Shape::new(6, 4, 2, 3, &[0..4, 4..6]), Shape::new(5, 2, 1, 4, &[0..5]), Shape::new(3, 2, 2, 5, &[0..3])]
    {
        let inputs = shape.inputs(7);
        let [.., dq, dk, dv] = shape.run(&inputs, DType::F64);
        let loss = |q: &[f64], k: &[f64], v: &[f64]| {
            let at = Inputs { q: q.to_vec(), k: k.to_vec(), v: v.to_vec(), d_o: inputs.d_o.clone() };
            let [q, k, v, _] = shape.tensors(&at, DType::F64);
            let (o, _) = attention::forward(&q, &k, &v, &shape.spans, shape.scale()).unwrap();
            dot(&f64s(&o), &inputs.d_o)
        };
        check_gradient("dq", &inputs.q, &f64s(&dq), |q| loss(q, &inputs.k, &inputs.v));
        check_gradient("dk", &inputs.k, &f64s(&dk), |k| loss(&inputs.q, k, &inputs.v));
        check_gradient("dv", &inputs.v, &f64s(&dv), |v| loss(&inputs.q, &inputs.k, v));
    }
}

#[test]
fn a_document_does_not_notice_its_neighbours() {
    let packed = Shape::new(400, 4, 2, 64, &[0..37, 37..330, 330..400]);
    let inputs = packed.inputs(3);
    let together = packed.run(&inputs, DType::F32).map(|t| bits(&t));
    for span in packed.spans.clone() {
        let alone = Shape::new(span.len(), 4, 2, 64, &[0..span.len()]);
        let cut = |x: &[f64]| x[span.start * x.len() / 400..span.end * x.len() / 400].to_vec();
        let part = Inputs { q: cut(&inputs.q), k: cut(&inputs.k), v: cut(&inputs.v), d_o: cut(&inputs.d_o) };
        for (together, alone) in together.iter().zip(alone.run(&part, DType::F32)) {
            let (from, to) = (span.start * together.len() / 400, span.end * together.len() / 400);
            assert!(together[from..to] == bits(&alone), "span {span:?}");
        }
    }
}

#[test]
fn threads_change_nothing() {
    let shape = Shape::new(500, 4, 2, 64, &[0..310, 310..500]);
    let run = || shape.run(&shape.inputs(5), DType::F32).map(|t| bits(&t));
    let one = in_pool(1, run);
    for threads in [1, 2, 4] {
        assert!(in_pool(threads, run) == one, "{threads} threads");
    }
}

#[test]
fn rows_outside_every_document_get_nothing() {
    let shape = Shape::new(9, 2, 1, 8, &[2..6]);
    for (t, name) in shape.run(&shape.inputs(1), DType::F32).iter().zip(["o", "lse", "dq", "dk", "dv"]) {
        let numbers = f64s(t);
        let width = numbers.len() / 9;
        let outside = numbers[..2 * width].iter().chain(&numbers[6 * width..]);
        assert!(outside.copied().all(|x| x == 0.0), "{name}");
        assert!(numbers[2 * width..6 * width].iter().any(|&x| x != 0.0), "{name}");
    }
    let empty = Shape::new(0, 2, 1, 8, &[]);
    assert!(empty.run(&empty.inputs(1), DType::F32).iter().all(|t| t.elem_count() == 0));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let shape = Shape::new(8, 4, 2, 8, &[]);
    let [q, k, v, _] = shape.tensors(&shape.inputs(1), DType::F32);
    for spans in [vec![0..5, 4..8], vec![0..9]] {
        let error = attention::forward(&q, &k, &v, &spans, 1.0).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
    }
    let three = matrix(&values(8 * 3 * 8, 1), &[8, 3, 8], DType::F32);
    assert!(matches!(attention::forward(&q, &three, &three, &[], 1.0), Err(Error::Argument { .. })));
    assert!(matches!(attention::forward(&q, &k, &three, &[], 1.0), Err(Error::Shape { operand: "v", .. })));
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use candle_core::Device;
    use recon_kernels::attention::Backend;

    use super::common::device::{DTYPES, narrow, on_device, rounded, tensor};
    use super::*;

    fn tensors(shape: &Shape, inputs: &Inputs, dtype: DType, device: &Device) -> [Tensor; 4] {
        let (queries, keys) = ([shape.n, shape.query, shape.dim], [shape.n, shape.kv, shape.dim]);
        [(&inputs.q, queries), (&inputs.k, keys), (&inputs.v, keys), (&inputs.d_o, queries)]
            .map(|(numbers, shape)| tensor(numbers, &shape, dtype, device))
    }

    fn run(shape: &Shape, inputs: &Inputs, dtype: DType, device: &Device) -> [Tensor; 5] {
        run_by(Backend::Own, shape, inputs, dtype, device)
    }

    fn run_by(by: Backend, shape: &Shape, inputs: &Inputs, dtype: DType, device: &Device) -> [Tensor; 5] {
        let [q, k, v, d_o] = tensors(shape, inputs, dtype, device);
        let (o, lse) = by.forward(&q, &k, &v, &shape.spans, shape.scale()).unwrap();
        let (dq, dk, dv) = by.backward(&d_o, &q, &k, &v, &o, &lse, &shape.spans, shape.scale()).unwrap();
        [o, lse, dq, dk, dv]
    }

    /// Who can compute a case: ours every one, cuDNN those in bf16 where it is compiled in.
    fn backends(dtype: DType) -> &'static [Backend] {
        let cudnn = cfg!(feature = "cudnn") && dtype == DType::BF16;
        let all = &[Backend::Own, Backend::Cudnn { deterministic: true }, Backend::Cudnn { deterministic: false }];
        if cudnn { all } else { &all[..1] }
    }

    fn held(inputs: Inputs, dtype: DType) -> Inputs {
        let Inputs { q, k, v, d_o } = inputs;
        let [q, k, v, d_o] = [q, k, v, d_o].map(|x| rounded(&x, dtype));
        Inputs { q, k, v, d_o }
    }

    #[test]
    fn it_is_as_good_as_naive_attention() {
        let many: Vec<_> = (0..60).step_by(3).map(|start| start..start + 3).collect();
        let shapes = [
            Shape::new(1, 1, 1, 64, &[0..1]),
            Shape::new(5, 2, 2, 24, &[0..1, 1..2, 2..5]),
            Shape::new(67, 4, 2, 24, &[0..67]),
            Shape::new(150, 4, 1, 64, &[0..129, 129..150]),
            Shape::new(140, 2, 1, 128, &[0..1, 1..130, 130..140]),
            Shape::new(64, 3, 3, 64, &[0..64]),
            Shape::new(65, 8, 1, 8, &[0..65]),
            Shape::new(40, 2, 2, 96, &[0..33, 33..40]),
            // More documents than are counted exactly: cuDNN is told of empty ones too.
            Shape::new(60, 2, 1, 64, &many),
            // Rows 3 and 12..15 belong to no document; the spans come in no order.
            Shape::new(15, 4, 2, 16, &[4..12, 0..3]),
        ];
        for dtype in DTYPES {
            for (seed, shape) in shapes.iter().enumerate() {
                let inputs = held(shape.inputs(10 * seed as u64), dtype);
                let (exact, rough) =
                    (naive::<f64>(shape, &inputs), naive_storing::<f32>(shape, &inputs, narrow(dtype)));
                let case = |exact, rough| Case::typed(exact, rough, dtype);
                let cases = [
                    (case(exact.o, rough.o), "o"),
                    (Case::typed(exact.lse, rough.lse, DType::F32), "lse"),
                    (case(exact.dq, rough.dq), "dq"),
                    (case(exact.dk, rough.dk), "dk"),
                    (case(exact.dv, rough.dv), "dv"),
                ];
                for &by in backends(dtype) {
                    on_device(|device| {
                        let got = run_by(by, shape, &inputs, dtype, device);
                        for ((case, name), got) in cases.iter().zip(&got) {
                            // A document of one token has p = 1 and ds = 0 exactly; its dq and dk are rounding alone.
                            if shape.n > 1 || !["dq", "dk"].contains(name) {
                                case.check(got, &format!("{name} of case {seed} {dtype:?} by {by:?}"));
                            }
                        }
                        // Twice the same bits, but for gradients in any order.
                        let same = if by == (Backend::Cudnn { deterministic: false }) { 2 } else { got.len() };
                        got[..same].iter().map(bits).collect::<Vec<_>>()
                    });
                }
            }
        }
    }

    #[test]
    fn a_document_does_not_notice_its_neighbours() {
        for dtype in DTYPES {
            let packed = Shape::new(200, 4, 2, 32, &[0..37, 37..170, 170..200]);
            let inputs = packed.inputs(3);
            on_device(|device| {
                let together = run(&packed, &inputs, dtype, device).map(|t| bits(&t));
                for span in packed.spans.clone() {
                    let alone = Shape::new(span.len(), 4, 2, 32, &[0..span.len()]);
                    let cut = |x: &[f64]| x[span.start * x.len() / 200..span.end * x.len() / 200].to_vec();
                    let part =
                        Inputs { q: cut(&inputs.q), k: cut(&inputs.k), v: cut(&inputs.v), d_o: cut(&inputs.d_o) };
                    for (together, alone) in together.iter().zip(run(&alone, &part, dtype, device)) {
                        let (from, to) = (span.start * together.len() / 200, span.end * together.len() / 200);
                        assert!(together[from..to] == bits(&alone), "span {span:?} {dtype:?}");
                    }
                }
                together
            });
        }
    }

    #[test]
    fn rows_outside_every_document_get_nothing_and_nan_stays_in_its_document() {
        for dtype in DTYPES {
            let shape = Shape::new(9, 2, 1, 8, &[2..6]);
            on_device(|device| {
                let got = run(&shape, &shape.inputs(1), dtype, device);
                for (t, name) in got.iter().zip(["o", "lse", "dq", "dk", "dv"]) {
                    let numbers = f64s(t);
                    let width = numbers.len() / 9;
                    let outside = numbers[..2 * width].iter().chain(&numbers[6 * width..]);
                    assert!(outside.copied().all(|x| x == 0.0), "{name}");
                    assert!(numbers[2 * width..6 * width].iter().any(|&x| x != 0.0), "{name}");
                }
                let two = Shape::new(8, 2, 1, 8, &[0..4, 4..8]);
                let mut inputs = two.inputs(2);
                inputs.k[4 * 8] = f64::NAN;
                for (t, name) in run(&two, &inputs, dtype, device).iter().zip(["o", "lse", "dq", "dk", "dv"]) {
                    let numbers = f64s(t);
                    let (first, second) = numbers.split_at(numbers.len() / 2);
                    assert!(first.iter().all(|x| x.is_finite()), "{name}");
                    assert!(name == "dv" || second.iter().any(|x| x.is_nan()), "{name}");
                }
            });
        }
    }

    #[test]
    fn what_the_device_cannot_take_is_refused() {
        on_device(|device| {
            for (dim, dtype) in [(130, DType::F32), (136, DType::BF16), (12, DType::BF16), (6, DType::F32)] {
                let shape = Shape::new(4, 2, 1, dim, &[0..4]);
                let [q, k, v, _] = tensors(&shape, &shape.inputs(1), dtype, device);
                let error = attention::forward(&q, &k, &v, &shape.spans, 1.0).unwrap_err();
                assert!(error.to_string().contains("head dimension"), "{error}");
            }
            let shape = Shape::new(8, 4, 2, 8, &[]);
            let [q, k, v, _] = tensors(&shape, &shape.inputs(1), DType::F32, device);
            let error = attention::forward(&q, &k, &v, &[0..5, 4..8], 1.0).unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
            let narrow = k.to_dtype(DType::BF16).unwrap();
            assert!(matches!(attention::forward(&q, &narrow, &v, &[], 1.0), Err(Error::DType { operand: "k", .. })));
        });
    }
}
