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
