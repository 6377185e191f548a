//! Paged keys and values: bit-equal to attention over a packed row, in whatever pieces the tokens arrive.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{bits, f64s, in_pool, matrix, values};
use recon_kernels::paged::{self, PagedRun};
use recon_kernels::{Error, attention};

const QUERY: usize = 4;
const KV: usize = 2;
const PAGE: usize = 16;
const PAGES: usize = 64;

struct Sequence {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tokens: usize,
    dim: usize,
}

impl Sequence {
    fn new(tokens: usize, dim: usize, seed: u64) -> Self {
        let tensor =
            |heads: usize, seed| matrix(&values(tokens * heads * dim, seed), &[tokens, heads, dim], DType::F32);
        let q = (tensor(QUERY, seed) * 4.0).unwrap();
        Self { q, k: tensor(KV, seed + 1), v: tensor(KV, seed + 2), tokens, dim }
    }

    fn scale(&self) -> f64 {
        1.0 / (self.dim as f64).sqrt()
    }

    /// What the packed kernel says.
    #[expect(clippy::single_range_in_vec_init, reason = "one document")]
    fn packed(&self) -> Vec<u64> {
        bits(&attention::forward(&self.q, &self.k, &self.v, &[0..self.tokens], self.scale()).unwrap().0)
    }

    /// Pages in an order that is not theirs in memory.
    fn pages(&self, first: usize) -> Vec<u32> {
        (0..self.tokens.div_ceil(PAGE)).map(|i| ((first + i * 37) % PAGES) as u32).collect()
    }

    fn slots(&self, pages: &[u32], rows: std::ops::Range<usize>) -> Vec<u32> {
        rows.map(|p| pages[p / PAGE] * PAGE as u32 + (p % PAGE) as u32).collect()
    }
}

/// Pages full of NaN: whatever is read before it was written shows.
fn cache(dim: usize) -> [Tensor; 2] {
    [0, 1].map(|_| Tensor::full(f32::NAN, (PAGES, PAGE, KV, dim), &Device::Cpu).unwrap())
}

/// Feeds the sequence in pieces of the given sizes and returns the concatenated outputs.
fn in_pieces(sequence: &Sequence, sizes: impl IntoIterator<Item = usize>) -> Vec<u64> {
    let [k_pages, v_pages] = cache(sequence.dim);
    let pages = sequence.pages(5);
    let (mut out, mut at) = (Vec::new(), 0);
    for size in sizes {
        let cut = |t: &Tensor| t.narrow(0, at, size).unwrap();
        let slots = sequence.slots(&pages, at..at + size);
        paged::write(&cut(&sequence.k), &cut(&sequence.v), &k_pages, &v_pages, &slots).unwrap();
        let held = pages[..(at + size).div_ceil(PAGE)].to_vec();
        let run = PagedRun { rows: 0..size, first_position: at, pages: held };
        out.extend(bits(&paged::attention(&cut(&sequence.q), &k_pages, &v_pages, &[run], sequence.scale()).unwrap()));
        at += size;
    }
    assert_eq!(at, sequence.tokens);
    out
}

#[test]
fn pieces_make_no_difference() {
    for dim in [64, 128, 24] {
        let sequence = Sequence::new(300, dim, 1);
        let packed = sequence.packed();
        assert!(in_pieces(&sequence, [300]) == packed, "at once, dimension {dim}");
        assert!(in_pieces(&sequence, [7, 293]) == packed, "in two pieces, dimension {dim}");
        assert!(in_pieces(&sequence, [128, 1, 1, 63, 65, 42]) == packed, "in several pieces, dimension {dim}");
        assert!(in_pieces(&sequence, std::iter::repeat_n(1, 300)) == packed, "one by one, dimension {dim}");
    }
}

#[test]
fn other_runs_and_threads_make_no_difference() {
    let (a, b, c) = (Sequence::new(200, 64, 1), Sequence::new(33, 64, 10), Sequence::new(1, 64, 20));
    let [k_pages, v_pages] = cache(64);
    let mut runs = Vec::new();
    let mut queries = Vec::new();
    let mut row = 0;
    // a gives its last three tokens, b and c everything; two rows between them belong to nobody.
    for (sequence, first_page, from, gap) in [(&a, 0, 197, 1), (&b, 13, 0, 1), (&c, 60, 0, 0)] {
        let pages = (0..sequence.tokens.div_ceil(PAGE)).map(|i| (first_page + i) as u32).collect::<Vec<_>>();
        let slots = sequence.slots(&pages, 0..sequence.tokens);
        paged::write(&sequence.k, &sequence.v, &k_pages, &v_pages, &slots).unwrap();
        let rows = sequence.tokens - from;
        queries.push(sequence.q.narrow(0, from, rows).unwrap());
        queries.push(Tensor::ones((gap, QUERY, 64), DType::F32, &Device::Cpu).unwrap());
        runs.push(PagedRun { rows: row..row + rows, first_position: from, pages });
        row += rows + gap;
    }
    let q = Tensor::cat(&queries, 0).unwrap();
    let (scale, width) = (a.scale(), QUERY * 64);
    let o = in_pool(1, || paged::attention(&q, &k_pages, &v_pages, &runs, scale).unwrap());
    let got = bits(&o);
    for (run, sequence) in runs.iter().zip([&a, &b, &c]) {
        let want = &sequence.packed()[run.first_position * width..];
        assert!(got[run.rows.start * width..run.rows.end * width] == *want, "{run:?}");
    }
    for row in [3, 37] {
        assert!(f64s(&o)[row * width..(row + 1) * width].iter().all(|&x| x == 0.0), "row {row} belongs to nobody");
    }
    runs.reverse();
    let again = in_pool(4, || bits(&paged::attention(&q, &k_pages, &v_pages, &runs, scale).unwrap()));
    assert!(again == got, "order of runs and threads");
}

#[test]
fn rows_go_to_their_slots_and_nowhere_else() {
    let [k_pages, v_pages] = cache(8);
    let (k, v) = (
        matrix(&values(3 * KV * 8, 1), &[3, KV, 8], DType::F32),
        matrix(&values(3 * KV * 8, 2), &[3, KV, 8], DType::F32),
    );
    let slots = [17_u32, 0, 1023];
    paged::write(&k, &v, &k_pages, &v_pages, &slots).unwrap();
    for (pages, source) in [(&k_pages, &k), (&v_pages, &v)] {
        let (pages, source) = (f64s(pages), f64s(source));
        for (row, &slot) in source.chunks(KV * 8).zip(&slots) {
            assert_eq!(&pages[slot as usize * KV * 8..][..KV * 8], row);
        }
        assert_eq!(pages.iter().filter(|x| !x.is_nan()).count(), 3 * KV * 8);
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let sequence = Sequence::new(20, 8, 1);
    let [k_pages, v_pages] = cache(8);
    let call = |rows, first_position, pages: &[u32]| {
        let run = PagedRun { rows, first_position, pages: pages.to_vec() };
        paged::attention(&sequence.q, &k_pages, &v_pages, &[run], 1.0)
    };
    assert!(matches!(call(0..20, 0, &[1]), Err(Error::Argument { .. })), "too few pages");
    assert!(matches!(call(0..21, 0, &[1, 2]), Err(Error::Argument { .. })), "rows outside");
    assert!(matches!(call(0..20, 0, &[1, 64]), Err(Error::Index { index: 64, limit: 64, .. })), "no such page");
    let slots: Vec<u32> = (0..19).chain([1024]).collect();
    let refused = paged::write(&sequence.k, &sequence.v, &k_pages, &v_pages, &slots);
    assert!(matches!(refused, Err(Error::Index { index: 1024, .. })));
    let rows = k_pages.narrow(0, 0, 1).unwrap().reshape((PAGE, KV, 8)).unwrap();
    let aliased = paged::write(&rows, &rows, &k_pages, &v_pages, &slots[..PAGE]);
    assert!(matches!(aliased, Err(Error::Aliased { operand: "k_pages", other: "k", .. })));
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use super::common::device::{DTYPES, narrow, on_device, rounded, tensor};
    use super::common::{Case, Real, all_f64, all_of};
    use super::*;

    /// What rows `from..` of one sequence are measured against.
    fn case([q, k, v]: &[Vec<f64>; 3], from: usize, (group, dim): (usize, usize), dtype: DType) -> Case {
        let (width, key_width) = (KV * group * dim, KV * dim);
        let row = |row: usize| {
            let (q, seen) = (&q[row * width..(row + 1) * width], ..(row + 1) * key_width);
            let exact = one_row::<f64>(q, [&k[seen], &v[seen]], (group, dim), DType::F64);
            (exact, one_row::<f32>(q, [&k[seen], &v[seen]], (group, dim), dtype))
        };
        let (exact, rough): (Vec<_>, Vec<_>) = (from..k.len() / key_width).map(row).unzip();
        Case::typed(exact.concat(), rough.concat(), dtype)
    }

    /// Feeds sequences side by side, each in its own pieces; returns the outputs of each, concatenated.
    fn serve(
        device: &Device,
        numbers: &[[Vec<f64>; 3]],
        group: usize,
        dim: usize,
        pieces: &[Vec<usize>],
        dtype: DType,
    ) -> Vec<Vec<f64>> {
        let [k_pages, v_pages] =
            [0, 1].map(|_| tensor(&vec![f64::NAN; PAGES * PAGE * KV * dim], &[PAGES, PAGE, KV, dim], dtype, device));
        let mut done = vec![0; numbers.len()];
        let mut out = vec![Vec::new(); numbers.len()];
        let pages =
            |sequence: usize| -> Vec<u32> { (0..16).map(|i| ((sequence * 16 + i * 5 % 16) % PAGES) as u32).collect() };
        for round in 0..pieces.iter().map(Vec::len).max().unwrap() {
            let (mut rows, mut runs, mut slots) = ([Vec::new(), Vec::new(), Vec::new()], Vec::new(), Vec::new());
            let mut served = Vec::new();
            for (sequence, sizes) in pieces.iter().enumerate() {
                let Some(&size) = sizes.get(round) else { continue };
                let at = done[sequence];
                for ((rows, numbers), width) in
                    rows.iter_mut().zip(&numbers[sequence]).zip([KV * group * dim, KV * dim, KV * dim])
                {
                    rows.extend_from_slice(&numbers[at * width..(at + size) * width]);
                }
                let pages = pages(sequence);
                slots.extend((at..at + size).map(|p| pages[p / PAGE] * PAGE as u32 + (p % PAGE) as u32));
                let first = slots.len() - size;
                runs.push(PagedRun {
                    rows: first..first + size,
                    first_position: at,
                    pages: pages[..(at + size).div_ceil(PAGE)].to_vec(),
                });
                served.push((sequence, size));
                done[sequence] += size;
            }
            let n = slots.len();
            let q = tensor(&rows[0], &[n, KV * group, dim], dtype, device);
            let [k, v] = [&rows[1], &rows[2]].map(|x| tensor(x, &[n, KV, dim], dtype, device));
            paged::write(&k, &v, &k_pages, &v_pages, &slots).unwrap();
            let o = f64s(&paged::attention(&q, &k_pages, &v_pages, &runs, 1.0 / (dim as f64).sqrt()).unwrap());
            let mut from = 0;
            for (sequence, size) in served {
                let width = KV * group * dim;
                out[sequence].extend_from_slice(&o[from * width..(from + size) * width]);
                from += size;
            }
        }
        out
    }

    fn numbers(tokens: usize, group: usize, dim: usize, seed: u64, dtype: DType) -> [Vec<f64>; 3] {
        let q = values(tokens * KV * group * dim, seed).into_iter().map(|x| x * 4.0).collect::<Vec<_>>();
        [q, values(tokens * KV * dim, seed + 1), values(tokens * KV * dim, seed + 2)].map(|x| rounded(&x, dtype))
    }

    #[test]
    fn prefill_in_pieces_and_decode_are_as_good_as_naive_attention() {
        for dtype in DTYPES {
            for (group, dim) in [(1, 64), (2, 128), (3, 24), (4, 32), (16, 8)] {
                let sequences: Vec<_> =
                    (0..3).map(|i| numbers([90, 33, 1][i], group, dim, 10 * i as u64, dtype)).collect();
                let pieces = vec![vec![85, 1, 1, 3], vec![1, 30, 2], vec![1]];
                let cases: Vec<Case> = sequences.iter().map(|s| case(s, 0, (group, dim), dtype)).collect();
                on_device(|device| {
                    let out = serve(device, &sequences, group, dim, &pieces, dtype);
                    for (i, (case, got)) in cases.iter().zip(&out).enumerate() {
                        case.check(
                            &matrix(got, &[got.len()], DType::F64),
                            &format!("sequence {i} {group} {dim} {dtype:?}"),
                        );
                    }
                    out
                });
            }
        }
    }

    #[test]
    fn a_sequence_does_not_notice_the_others() {
        for dtype in DTYPES {
            let (group, dim) = (4, 32);
            let sequences: Vec<_> = (0..2).map(|i| numbers(80, group, dim, 10 * i, dtype)).collect();
            on_device(|device| {
                let together = serve(device, &sequences, group, dim, &[vec![70, 1, 9], vec![40, 39, 1]], dtype);
                let alone = serve(device, &sequences[..1], group, dim, &[vec![70, 1, 9]], dtype);
                assert!(together[0] == alone[0]);
                // Long runs cut elsewhere give the same bits too.
                let cut = serve(device, &sequences[..1], group, dim, &[vec![30, 40, 1, 9]], dtype);
                assert!(together[0] == cut[0]);
                together
            });
        }
    }

    /// More keys than one split holds: the partial results are joined.
    #[test]
    fn decoding_after_many_keys_joins_its_splits() {
        let (group, dim, page, tokens) = (2, 8, 64, 2100);
        for dtype in DTYPES {
            let sequence = numbers(tokens, group, dim, 3, dtype);
            let last = 3;
            let case = case(&sequence, tokens - last, (group, dim), dtype);
            let [q, k, v] = &sequence;
            let (width, scale) = (KV * group * dim, 1.0 / (dim as f64).sqrt());
            on_device(|device| {
                let pages = tokens.div_ceil(page);
                let [k_pages, v_pages] = [0, 1]
                    .map(|_| tensor(&vec![f64::NAN; pages * page * KV * dim], &[pages, page, KV, dim], dtype, device));
                let table: Vec<u32> = (0..pages as u32).rev().collect();
                let slots: Vec<u32> = (0..tokens).map(|p| table[p / page] * page as u32 + (p % page) as u32).collect();
                let [kt, vt] = [k, v].map(|x| tensor(x, &[tokens, KV, dim], dtype, device));
                paged::write(&kt, &vt, &k_pages, &v_pages, &slots).unwrap();
                let qt = tensor(&q[(tokens - last) * width..], &[last, KV * group, dim], dtype, device);
                let run = PagedRun { rows: 0..last, first_position: tokens - last, pages: table };
                let o = paged::attention(&qt, &k_pages, &v_pages, std::slice::from_ref(&run), scale).unwrap();
                case.check(&o, &format!("{dtype:?}"));
                // A run of few keys has no splits to join, whether or not another run of the call has.
                let few = |rows| PagedRun { rows, first_position: 60, pages: run.pages.clone() };
                let attend =
                    |q, runs: &[PagedRun]| bits(&paged::attention(q, &k_pages, &v_pages, runs, scale).unwrap());
                let qt2 = Tensor::cat(&[&qt, &qt], 0).unwrap();
                let (alone, beside) = (attend(&qt, &[few(0..last)]), attend(&qt2, &[run.clone(), few(last..2 * last)]));
                assert!(beside[last * width..] == alone, "another run changes bits, {dtype:?}");
                bits(&o)
            });
        }
    }

    #[test]
    fn a_run_of_no_rows_takes_part_in_nothing() {
        let (group, dim) = (20, 8); // more heads than a short tile has rows
        on_device(|device| {
            let pages = tensor(&values(PAGE * KV * dim, 1), &[1, PAGE, KV, dim], DType::F32, device);
            let q = tensor(&values(KV * group * dim, 2), &[1, KV * group, dim], DType::F32, device);
            let attend = |runs: &[PagedRun]| bits(&paged::attention(&q, &pages, &pages, runs, 1.0).unwrap());
            let run = |rows| PagedRun { rows, first_position: 0, pages: vec![0] };
            assert!(attend(&[run(0..0), run(0..1)]) == attend(&[run(0..1)]));
        });
    }

    /// o of a row that sees all the keys given, in T; probabilities are stored as `dtype` holds them.
    fn one_row<T: Real>(q: &[f64], [k, v]: [&[f64]; 2], (group, dim): (usize, usize), dtype: DType) -> Vec<f64> {
        let store = narrow(dtype);
        let (q, k, v) = (all_of::<T>(q), all_of::<T>(k), all_of::<T>(v));
        let (tokens, scale) = (k.len() / KV / dim, T::of(1.0 / (dim as f64).sqrt()));
        let mut out = vec![T::of(0.0); KV * group * dim];
        for (head, out) in out.chunks_exact_mut(dim).enumerate() {
            let at = |j: usize| (j * KV + head / group) * dim;
            let dot = |j: usize| q[head * dim..][..dim].iter().zip(&k[at(j)..]).map(|(&a, &b)| a * b).sum::<T>();
            let s: Vec<T> = (0..tokens).map(|j| dot(j) * scale).collect();
            let max = s.iter().fold(s[0], |a, &b| if b > a { b } else { a });
            let sum: T = s.iter().map(|&s| (s - max).exp()).sum();
            for (j, &s) in s.iter().enumerate() {
                let p = T::of(store(((s - max).exp() / sum).f64()));
                for (i, out) in out.iter_mut().enumerate() {
                    *out = *out + p * v[at(j) + i];
                }
            }
        }
        all_f64(&out)
    }
}
