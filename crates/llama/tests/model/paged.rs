//! Serving: what comes out of pages, in any chunks and any company, is what a whole pass gives.

use crate::cases::{CASES, Case, values};
use candle_core::{DType, Device, Tensor};
use recon_llama::{AttentionCtx, FlatParams, Llama, PagedKv, PagedRun};

const PAGE_TOKENS: usize = 4;

struct Served<'a> {
    llama: Llama,
    params: FlatParams,
    case: &'a Case,
}

impl<'a> Served<'a> {
    fn new(case: &'a Case) -> Self {
        let llama = Llama::new(case.config.clone(), &Device::Cpu, DType::F32).unwrap();
        Self { llama, params: case.params(DType::F32), case }
    }

    fn whole(&self, ids: &[u32]) -> Tensor {
        let positions: Vec<u32> = (0..ids.len() as u32).collect();
        let ctx = AttentionCtx::Packed { spans: &[0..ids.len()] };
        self.llama.hidden(&self.params, ids, &positions, &ctx).unwrap()
    }

    fn step(&self, cache: &PagedKv, ids: &[u32], runs: &[PagedRun]) -> recon_llama::Result<Tensor> {
        let positions: Vec<u32> =
            runs.iter().flat_map(|run| (run.first_position as u32..).take(run.rows.len())).collect();
        self.llama.hidden(&self.params, ids, &positions, &AttentionCtx::Paged { cache, runs })
    }

    fn cache(&self) -> PagedKv {
        PagedKv::new(&self.case.config, 32, PAGE_TOKENS, &Device::Cpu, DType::F32).unwrap()
    }
}

fn close(got: &Tensor, want: &Tensor) -> bool {
    let largest = values(want).into_iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    got.dims() == want.dims() && values(got).iter().zip(values(want)).all(|(g, w)| (g - w).abs() <= 1e-5 * largest)
}

#[test]
fn chunks_and_single_tokens_in_mixed_company_agree_with_a_whole_pass() {
    for name in CASES {
        let case = Case::read(name);
        let served = Served::new(&case);
        let (one, other) = (&case.packed.ids[..13], &case.packed.ids[13..22]);
        let cache = served.cache();
        // Pages out of order and interleaved: nothing may depend on where a page lies.
        let (pages_one, pages_other) = (vec![7, 2, 9, 0], vec![1, 8, 3]);
        let run = |rows, first_position, pages: &[u32]| PagedRun { rows, first_position, pages: pages.to_vec() };
        let first = served.step(&cache, &one[..6], &[run(0..6, 0, &pages_one[..2])]).unwrap();
        let ids = [&one[6..7], &other[..8]].concat();
        let second =
            served.step(&cache, &ids, &[run(0..1, 6, &pages_one[..2]), run(1..9, 0, &pages_other[..2])]).unwrap();
        let ids = [&other[8..], &one[7..]].concat();
        let third = served.step(&cache, &ids, &[run(0..1, 8, &pages_other), run(1..7, 7, &pages_one)]).unwrap();

        let part = |tensor: &Tensor, start, length| tensor.narrow(0, start, length).unwrap();
        let got = Tensor::cat(&[first, part(&second, 0, 1), part(&third, 1, 6)], 0).unwrap();
        assert!(close(&got, &served.whole(one)), "{name}");
        assert!(!close(&part(&got, 0, 9), &served.whole(other)), "the comparison cannot fail");
        let got = Tensor::cat(&[part(&second, 1, 8), part(&third, 0, 1)], 0).unwrap();
        assert!(close(&got, &served.whole(other)), "{name}");
    }
}

#[test]
fn a_runs_numbers_do_not_depend_on_its_company() {
    let case = Case::read("gqa");
    let served = Served::new(&case);
    let ids = &case.packed.ids;
    let run = |rows, pages: &[u32]| PagedRun { rows, first_position: 0, pages: pages.to_vec() };
    let alone = served.step(&served.cache(), &ids[..5], &[run(0..5, &[0, 1])]).unwrap();
    let both = [&ids[20..30], &ids[..5]].concat();
    let company = served.step(&served.cache(), &both, &[run(0..10, &[5, 4, 3]), run(10..15, &[9, 8])]).unwrap();
    assert_eq!(values(&alone), values(&company.narrow(0, 10, 5).unwrap()));
}

#[test]
fn log_probs_are_those_of_the_logits() {
    let case = Case::read("tied");
    let served = Served::new(&case);
    let ids = &case.packed.ids[..17];
    let hidden = served.whole(&ids[..16]);
    let got = served.llama.log_probs(&served.params, &hidden, &ids[1..]).unwrap();
    let logits = served.llama.logits(&served.params, &hidden).unwrap().to_dtype(DType::F64).unwrap();
    for (row, (target, got)) in ids[1..].iter().zip(got).enumerate() {
        let row = values(&logits.get(row).unwrap());
        let want = row[*target as usize] - row.iter().map(|x| x.exp()).sum::<f64>().ln();
        assert!((f64::from(got) - want).abs() < 1e-5, "{got} is not {want}");
    }
}

#[test]
fn batches_that_do_not_fit_together_are_refused() {
    let case = Case::read("gqa");
    let served = Served::new(&case);
    let ids = &case.packed.ids[..6];
    let run = |rows, first_position, pages: &[u32]| PagedRun { rows, first_position, pages: pages.to_vec() };
    let cache = served.cache();
    let cases = [
        ("a page is missing", vec![run(0..6, 0, &[0])]),
        ("a page does not exist", vec![run(0..6, 0, &[0, 99])]),
        ("a row is in no run", vec![run(0..5, 0, &[0, 1])]),
        ("a row is in two runs", vec![run(0..6, 0, &[0, 1]), run(5..6, 5, &[2, 3])]),
    ];
    for (what, runs) in cases {
        let positions: Vec<u32> = (0..6).collect();
        let ctx = AttentionCtx::Paged { cache: &cache, runs: &runs };
        assert!(served.llama.hidden(&served.params, ids, &positions, &ctx).is_err(), "{what}");
    }
    let beyond = [case.config.max_position_embeddings as u32];
    let ctx = AttentionCtx::Packed { spans: &[0..1] };
    let error = served.llama.hidden(&served.params, &ids[..1], &beyond, &ctx).unwrap_err().to_string();
    assert!(error.contains("max_position_embeddings"), "{error}");
    let vocabulary = [case.config.vocab_size as u32];
    assert!(served.llama.hidden(&served.params, &vocabulary, &[0], &ctx).is_err());
}
