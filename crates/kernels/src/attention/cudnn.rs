//! Calls of `attention_cudnn.cpp`: documents as cuDNN is told of them, scratch memory, its reasons.

use std::ffi::CStr;
use std::ops::Range;

use candle_core::{DType, Tensor};

use super::packed::Packed;
use crate::attend::Heads;
use crate::device::{Address, Call, DeviceError, Stream, extent, upload};
use crate::error::{Error, Result};

/// The first version whose deterministic backward pass takes memory linear in the length of a document.
const NEEDED: i64 = 92_500;
/// The first that takes grouped heads in packed documents at all.
const NEEDED_OTHERWISE: i64 = 90_600;

/// `attention_cudnn.cpp`
#[repr(C)]
struct Args {
    q: Address,
    k: Address,
    v: Address,
    d_o: Address,
    o: Address,
    dq: Address,
    dk: Address,
    dv: Address,
    lse: Address,
    offsets: Address,
    lengths: Address,
    workspace: Address,
    documents: i64,
    longest: i64,
    rows: i64,
    heads: i64,
    kv_heads: i64,
    dim: i64,
    scale: f32,
    backward: i32,
    deterministic: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn cudnn_attention_version() -> i64;
    fn cudnn_attention_reason() -> *const std::ffi::c_char;
    fn cudnn_attention_plan(args: *const Args, workspace_bytes: *mut i64) -> i32;
    fn cudnn_attention_run(args: *const Args, stream: Stream) -> i32;
}

/// Refuses where there is no cuDNN, or an old one.
pub(super) fn check(deterministic: bool) -> Result<(), DeviceError> {
    let needed = if deterministic { NEEDED } else { NEEDED_OTHERWISE };
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: it takes nothing and returns a number.
    let found = unsafe { cudnn_attention_version() };
    if found >= needed {
        return Ok(());
    }
    let version = |number: i64| format!("{}.{}.{}", number / 10_000, number % 10_000 / 100, number % 100);
    Err(DeviceError::Cudnn { found: (found > 0).then(|| version(found)), needed: version(needed) })
}

/// Up by an eighth of the next power of two, `least` at the least: at most an eighth too much where that is an eighth, and
/// eight values for each doubling.
fn rounded(count: usize, least: usize) -> usize {
    count.next_multiple_of((count.next_power_of_two() / 8).max(least))
}

/// The documents of a row, their longest rounded up so that other rows find the same plan. Their number is rounded where
/// there are more than sixteen, by documents of no rows, which few plans then have to take.
struct Documents {
    /// Where each begins in q, in k and in lse, and where the last one ends, as pairs of 32 bits; then how long each is.
    list: Vec<u32>,
    count: usize,
    longest: usize,
}

impl Documents {
    fn new(spans: &[Range<usize>], heads: Heads) -> Self {
        let mut spans: Vec<&Range<usize>> = spans.iter().filter(|span| !span.is_empty()).collect();
        spans.sort_by_key(|span| span.start);
        let longest = spans.iter().map(|span| span.len()).max().unwrap_or(0);
        let count = if spans.len() <= 16 { spans.len() } else { rounded(spans.len(), 1) };
        let longest = rounded(longest, 128);
        let end = spans.last().map_or(0, |span| span.end);
        let starts = spans.iter().map(|span| span.start).chain(std::iter::repeat(end)).take(count + 1);
        let widths = [heads.query * heads.dim, heads.kv * heads.dim, heads.query];
        let offsets = widths.into_iter().flat_map(|width| starts.clone().map(move |start| (start * width) as u64));
        let mut list: Vec<u32> = offsets.flat_map(|offset| [offset as u32, (offset >> 32) as u32]).collect();
        list.extend(spans.iter().map(|span| span.len()).chain(std::iter::repeat(0)).take(count).map(|len| len as u32));
        Self { list, count, longest }
    }
}

/// The arguments that both passes share, and the list of documents that they point into.
fn arguments(call: &Call<'_>, packed: &Packed, spans: &[Range<usize>], scale: f64) -> Result<(Args, Tensor)> {
    let Heads { query, kv, dim } = packed.heads;
    let documents = Documents::new(spans, packed.heads);
    let list = upload(call.op, &documents.list, call.device)?;
    let offsets = call.read("documents", &list, &[DType::U32])?;
    let none = Address::NULL;
    let args = Args {
        q: packed.q,
        k: packed.k,
        v: packed.v,
        d_o: none,
        o: none,
        dq: none,
        dk: none,
        dv: none,
        lse: none,
        offsets,
        lengths: offsets.plus(3 * (documents.count + 1) * size_of::<i64>()),
        workspace: none,
        documents: extent(documents.count),
        longest: extent(documents.longest),
        // A bound, of which scratch memory depends: rounded, so that batches share a plan.
        rows: extent(rounded(packed.n, 128)),
        heads: extent(query),
        kv_heads: extent(kv),
        dim: extent(dim),
        scale: scale as f32,
        backward: 0,
        deterministic: 1,
    };
    Ok((args, list))
}

fn run(call: &Call<'_>, args: Args) -> Result<()> {
    let refused = |code: i32| -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        #[expect(unsafe_code, reason = "a C function")]
        // SAFETY: it returns a string that lives until this thread's next call.
        let reason = unsafe { CStr::from_ptr(cudnn_attention_reason()) };
        Err(Error::Launch { op: call.op, code, reason: reason.to_string_lossy().into_owned() })
    };
    let stream = call.stream()?;
    let mut bytes = 0_i64;
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: it reads the shapes of `args`, no address, and writes one integer.
    refused(unsafe { cudnn_attention_plan(&raw const args, &raw mut bytes) })?;
    let bytes = usize::try_from(bytes).expect("a size is not negative");
    let (_scratch, workspace) = call.fresh(DType::U8, &[bytes])?;
    let args = Args { workspace, ..args };
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: addresses come from `read` and `fresh`, which checked device, type and shape; the lists hold as many
    // documents as `args` says; the scratch memory has the size asked for and is freed in stream order.
    refused(unsafe { cudnn_attention_run(&raw const args, stream) })
}

pub(super) fn forward(
    call: &Call<'_>,
    qkv: [&Tensor; 3],
    spans: &[Range<usize>],
    scale: f64,
) -> Result<(Tensor, Tensor)> {
    let packed = Packed::open(call, qkv, spans, &[DType::BF16])?;
    let (args, _documents) = arguments(call, &packed, spans, scale)?;
    let [(o, o_at), (lse, lse_at)] = packed.outputs(call)?;
    if spans.iter().any(|span| !span.is_empty()) {
        run(call, Args { o: o_at, lse: lse_at, ..args })?;
    }
    Ok((o, lse))
}

pub(super) fn backward(
    call: &Call<'_>,
    qkv: [&Tensor; 3],
    saved: [&Tensor; 3],
    spans: &[Range<usize>],
    scale: f64,
    deterministic: bool,
) -> Result<(Tensor, Tensor, Tensor)> {
    let packed = Packed::open(call, qkv, spans, &[DType::BF16])?;
    let [d_o, o, lse] = packed.saved(call, saved)?;
    let (args, _documents) = arguments(call, &packed, spans, scale)?;
    let [(dq, dq_at), (dk, dk_at), (dv, dv_at)] = packed.gradients(call)?;
    if spans.iter().any(|span| !span.is_empty()) {
        run(
            call,
            Args {
                d_o,
                o,
                lse,
                dq: dq_at,
                dk: dk_at,
                dv: dv_at,
                backward: 1,
                deterministic: i32::from(deterministic),
                ..args
            },
        )?;
    }
    Ok((dq, dk, dv))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_elements() {
        let heads = Heads { query: 4, kv: 2, dim: 8 };
        let documents = Documents::new(&[5..9, 0..1, 2..2, 1..4], heads);
        assert_eq!((documents.count, documents.longest), (3, 128));
        let (offsets, lengths) = documents.list.split_at(2 * 3 * 4);
        let offsets: Vec<u32> = offsets.iter().step_by(2).copied().collect();
        let rows = [0, 1, 5, 9];
        assert_eq!(offsets, [rows.map(|row| row * 32), rows.map(|row| row * 16), rows.map(|row| row * 4)].concat());
        assert_eq!(lengths, [1, 3, 4]);
    }

    #[test]
    fn many_documents_are_followed_by_empty_ones() {
        let heads = Heads { query: 1, kv: 1, dim: 8 };
        let of = |count| Documents::new(&(0..count).map(|at| at..at + 1).collect::<Vec<_>>(), heads);
        for (count, rounded) in [(1, 1), (16, 16), (17, 20), (64, 64), (100, 112)] {
            let documents = of(count);
            assert_eq!(documents.count, rounded);
            assert_eq!(documents.list.len(), 2 * 3 * (rounded + 1) + rounded);
            let lengths = &documents.list[2 * 3 * (rounded + 1)..];
            assert_eq!(lengths.iter().sum::<u32>() as usize, count);
            assert!(lengths[count..].iter().all(|&length| length == 0));
        }
    }

    #[test]
    fn lengths_are_rounded_up_by_an_eighth_at_most() {
        let heads = Heads { query: 1, kv: 1, dim: 8 };
        for (length, rounded) in [(1, 128), (129, 256), (1025, 1280), (8192, 8192), (40_000, 40_960), (65_000, 65_536)]
        {
            assert_eq!(Documents::new(&[0..length], heads).longest, rounded);
        }
        let wide = Documents::new(&[1 << 20..2 << 20], Heads { query: 64, kv: 8, dim: 128 });
        assert_eq!(wide.list[..2], [0, 2], "an offset of 2³³ elements takes both halves");
    }
}
