//! Best-fit packing of a million document lengths, beside packing them in their order.
//!
//! `cargo bench -p recon-pack --bench fit`. Prints one JSON object: seconds and fill of both, for windows of 4k and 64k.
//! Lengths are spread as those of real documents are: log-normal, a median of 600 tokens, cut at the window.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::time::Instant;

use recon_pack::best_fit_decreasing;

const DOCUMENTS: usize = 1_000_000;

/// A normal deviate as a sum of twelve uniform ones, of a counter.
fn normal(counter: u64) -> f64 {
    let uniform = |at: u64| {
        let mut z = (counter * 12 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    };
    (0..12).map(uniform).sum::<f64>() - 6.0
}

/// Rows when documents are taken in their order and a row is closed where the next does not fit.
fn in_order(lengths: &[usize], window: usize) -> usize {
    let (mut rows, mut used) = (1, 0);
    for &length in lengths {
        if used + length > window {
            rows += 1;
            used = 0;
        }
        used += length;
    }
    rows
}

fn main() {
    for window in [4_096_usize, 65_536] {
        let lengths: Vec<usize> =
            (0..DOCUMENTS as u64).map(|at| ((600.0 * (1.2 * normal(at)).exp()) as usize).clamp(2, window)).collect();
        let tokens: usize = lengths.iter().sum();
        let fill = |rows: usize| tokens as f64 / (rows * window) as f64;
        let start = Instant::now();
        let rows = best_fit_decreasing(&lengths, window).len();
        let best = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let ordered = in_order(&lengths, window);
        let order = start.elapsed().as_secs_f64();
        println!(
            "{{\"documents\": {DOCUMENTS}, \"window\": {window}, \"best_fit\": {{\"seconds\": {best:.3}, \"rows\": {rows}, \
             \"fill\": {:.5}}}, \"in_order\": {{\"seconds\": {order:.4}, \"rows\": {ordered}, \"fill\": {:.5}}}}}",
            fill(rows),
            fill(ordered)
        );
    }
}
