//! Launches of `paged.cu`, and the lists of tiles it works through.
//!
//! Invariant: each argument structure equals the one of the same name in the `.cu` file, field for field; the tests
//! launch every entry point with every field set to a value of its own.

use candle_core::{DType, Tensor};

use super::run::{PagedRun, check_runs};
use crate::attend::Heads;
use crate::attend::device::{check_aligned, check_dim};
use crate::device::{Address, Call, FLOATS, Stream, dtype_code, extent, upload};
use crate::error::{Error, Result};

#[repr(C)]
struct PagedWriteArgs {
    k: Address,
    v: Address,
    slots: Address,
    k_pages: Address,
    v_pages: Address,
    rows: i64,
    width: i64,
    slot_count: i64,
    dtype: i32,
}

#[repr(C)]
struct PagedAttentionArgs {
    q: Address,
    k_pages: Address,
    v_pages: Address,
    o: Address,
    partial: Address,
    tiles: Address,
    page_table: Address,
    heads: i64,
    kv_heads: i64,
    dim: i64,
    page_slots: i64,
    tile_count: i64,
    splits: i64,
    partial_rows: i64,
    scale: f32,
    is_short: i32,
    dtype: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn paged_write(args: *const PagedWriteArgs, stream: Stream) -> i32;
    fn paged_attention(args: *const PagedAttentionArgs, stream: Stream) -> i32;
    fn paged_split_keys() -> i64;
}

/// (position, head) rows of a tile of a long and of a short run, as in the `.cu` file.
const LONG_ROWS: usize = 64;
const SHORT_ROWS: usize = 16;

pub(super) fn write(
    call: &Call<'_>,
    [k, v, k_pages, v_pages]: [&Tensor; 4],
    slots: &[u32],
    pages_shape: [usize; 4],
) -> Result<()> {
    let [n, kv, dim] = call.dims("k", k, "[N, K, E]")?;
    let dtype = k.dtype();
    let k = call.read("k", k, FLOATS)?;
    let v = call.read_shaped("v", v, &[n, kv, dim], dtype)?;
    let slots = upload(call.op, slots, call.device)?;
    let args = PagedWriteArgs {
        k,
        v,
        slots: call.read("slots", &slots, &[DType::U32])?,
        k_pages: call.write("k_pages", k_pages, &pages_shape, dtype)?,
        v_pages: call.write("v_pages", v_pages, &pages_shape, dtype)?,
        rows: extent(n),
        width: extent(kv * dim),
        slot_count: extent(pages_shape[0] * pages_shape[1]),
        dtype: dtype_code(dtype),
    };
    call.launch(paged_write, &args)
}

/// Tiles of one kind: first row, positions, first position, place in the page table, first partial row.
#[derive(Default)]
struct Tiles {
    list: Vec<u32>,
    positions: usize,
    partial_rows: usize,
}

impl Tiles {
    fn add(&mut self, run: &PagedRun, place: usize, positions_each: usize) {
        for start in (0..run.rows.len()).step_by(positions_each) {
            let positions = positions_each.min(run.rows.len() - start);
            let tile = [run.rows.start + start, positions, run.first_position + start, place, self.partial_rows];
            self.list.extend(tile.map(|value| u32::try_from(value).expect("a call has fewer than 2³² rows and pages")));
            self.positions = self.positions.max(run.first_position + start + positions);
            self.partial_rows += positions;
        }
    }
}

pub(super) fn attention(
    call: &Call<'_>,
    [q, k_pages, v_pages]: [&Tensor; 3],
    runs: &[PagedRun],
    scale: f64,
) -> Result<Tensor> {
    let [n, query, dim] = call.dims("q", q, "[N, H, E]")?;
    let [pages, page_slots, kv, _] = call.dims("k_pages", k_pages, "[P, S, K, E]")?;
    let (heads, dtype) = (Heads::new(call.op, query, kv, dim)?, q.dtype());
    check_runs(call.op, runs, n, pages, page_slots)?;
    check_dim(call.op, dim, dtype)?;
    let group = heads.group();
    if group > LONG_ROWS {
        let message = format!("{group} query heads share a key/value head; the device takes at most {LONG_ROWS}");
        return Err(Error::Argument { op: call.op, message });
    }
    let q = call.read("q", q, FLOATS)?;
    let k_pages = call.read("k_pages", k_pages, &[dtype])?;
    let v_pages = call.read_shaped("v_pages", v_pages, &[pages, page_slots, kv, dim], dtype)?;
    check_aligned(call.op, &[q, k_pages, v_pages])?;
    let (mut long, mut short, mut table) = (Tiles::default(), Tiles::default(), Vec::new());
    for run in runs.iter().filter(|run| !run.rows.is_empty()) {
        let is_short = run.rows.len() * group <= SHORT_ROWS;
        let tiles = if is_short { &mut short } else { &mut long };
        tiles.add(run, table.len(), if is_short { SHORT_ROWS } else { LONG_ROWS } / group);
        table.extend_from_slice(&run.pages);
    }
    let table = upload(call.op, &table, call.device)?;
    let (o, o_at) = call.fresh(dtype, &[n, query, dim])?;
    if runs.iter().map(|run| run.rows.len()).sum::<usize>() < n {
        o.zero_set().map_err(Error::candle(call.op))?;
    }
    let args = PagedAttentionArgs {
        q,
        k_pages,
        v_pages,
        o: o_at,
        partial: Address::NULL,
        tiles: Address::NULL,
        page_table: call.read("page_table", &table, &[DType::U32])?,
        heads: extent(query),
        kv_heads: extent(kv),
        dim: extent(dim),
        page_slots: extent(page_slots),
        tile_count: 0,
        splits: 1,
        partial_rows: 0,
        scale: scale as f32,
        is_short: 0,
        dtype: dtype_code(dtype),
    };
    launch(call, &args, &long)?;
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: it returns a constant.
    let split_keys = usize::try_from(unsafe { paged_split_keys() }).expect("a positive constant");
    let splits = short.positions.div_ceil(split_keys).max(1);
    if splits == 1 {
        launch(call, &PagedAttentionArgs { is_short: 1, ..args }, &short)?;
    } else {
        let (_partial, partial) = call.fresh(DType::F32, &[splits, short.partial_rows * query, dim + 2])?;
        let partial_rows = extent(short.partial_rows * query);
        let args = PagedAttentionArgs { is_short: 1, splits: extent(splits), partial, partial_rows, ..args };
        launch(call, &args, &short)?;
    }
    Ok(o)
}

fn launch(call: &Call<'_>, args: &PagedAttentionArgs, tiles: &Tiles) -> Result<()> {
    if tiles.list.is_empty() {
        return Ok(());
    }
    let list = upload(call.op, &tiles.list, call.device)?;
    let at = call.read("tiles", &list, &[DType::U32])?;
    let args = PagedAttentionArgs { tiles: at, tile_count: extent(tiles.list.len() / 5), ..*args };
    call.launch(paged_attention, &args)
}
