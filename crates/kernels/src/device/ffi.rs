//! The entry points of `kernels/*.cu`, and their argument structures, field for field.
//!
//! Invariant: each structure equals the one of the same name in the `.cu` file. The tests call every entry point through
//! these declarations, with every field set to a value of its own.

use super::call::{Address, Stream};

/// `rms_norm.cu`
#[repr(C)]
pub(super) struct RmsNormForwardArgs {
    pub(super) x: Address,
    pub(super) residual: Address,
    pub(super) weight: Address,
    pub(super) sum: Address,
    pub(super) y: Address,
    pub(super) inv_rms: Address,
    pub(super) rows: i64,
    pub(super) width: i64,
    pub(super) eps: f32,
    pub(super) dtype: i32,
}

/// `rms_norm.cu`
#[repr(C)]
pub(super) struct RmsNormBackwardArgs {
    pub(super) dy: Address,
    pub(super) x: Address,
    pub(super) weight: Address,
    pub(super) d_residual: Address,
    pub(super) inv_rms: Address,
    pub(super) dx: Address,
    pub(super) partial: Address,
    pub(super) dweight: Address,
    pub(super) rows: i64,
    pub(super) width: i64,
    pub(super) partials: i64,
    pub(super) dtype: i32,
}

/// `rope.cu`
#[repr(C)]
pub(super) struct RopeArgs {
    pub(super) x: Address,
    pub(super) cos: Address,
    pub(super) sin: Address,
    pub(super) positions: Address,
    pub(super) y: Address,
    pub(super) rows: i64,
    pub(super) heads: i64,
    pub(super) half: i64,
    pub(super) table_rows: i64,
    pub(super) inverse: i32,
    pub(super) dtype: i32,
}

/// `swiglu.cu`
#[repr(C)]
pub(super) struct SwigluArgs {
    pub(super) gate: Address,
    pub(super) up: Address,
    pub(super) dy: Address,
    pub(super) y: Address,
    pub(super) dgate: Address,
    pub(super) dup: Address,
    pub(super) elements: i64,
    pub(super) dtype: i32,
}

/// `embedding.cu`
#[repr(C)]
pub(super) struct EmbeddingArgs {
    pub(super) ids: Address,
    pub(super) table: Address,
    pub(super) dx: Address,
    pub(super) x: Address,
    pub(super) dtable: Address,
    pub(super) rows: i64,
    pub(super) width: i64,
    pub(super) vocabulary: i64,
    pub(super) dtype: i32,
}

/// `norm.cu`
#[repr(C)]
pub(super) struct NormArgs {
    pub(super) t: Address,
    pub(super) partial: Address,
    pub(super) sum: Address,
    pub(super) elements: i64,
    pub(super) partials: i64,
    pub(super) factor: f32,
    pub(super) dtype: i32,
}

/// `adamw.cu`
#[repr(C)]
pub(super) struct AdamWArgs {
    pub(super) param: Address,
    pub(super) master: Address,
    pub(super) grad: Address,
    pub(super) m: Address,
    pub(super) v: Address,
    pub(super) elements: i64,
    pub(super) seed: u64,
    pub(super) step: u64,
    pub(super) first: u64,
    pub(super) beta1: f32,
    pub(super) one_minus_beta1: f32,
    pub(super) beta2: f32,
    pub(super) one_minus_beta2: f32,
    pub(super) decay: f32,
    pub(super) step_size: f32,
    pub(super) root_correction: f32,
    pub(super) eps: f32,
    pub(super) kind: i32,
}

/// `cross_entropy.cu`
#[repr(C)]
pub(super) struct CrossEntropyArgs {
    pub(super) logits: Address,
    pub(super) targets: Address,
    pub(super) weights: Address,
    pub(super) nats: Address,
    pub(super) rows: i64,
    pub(super) vocabulary: i64,
    pub(super) gradient_dtype: i32,
}

/// `cross_entropy.cu`
#[repr(C)]
pub(super) struct ScatterArgs {
    pub(super) chunk: Address,
    pub(super) to: Address,
    pub(super) all: Address,
    pub(super) rows: i64,
    pub(super) width: i64,
    pub(super) dtype: i32,
}

/// `cross_entropy.cu`
#[repr(C)]
pub(super) struct SumArgs {
    pub(super) values: Address,
    pub(super) sum: Address,
    pub(super) count: i64,
}

/// `sampling.cu`
#[repr(C)]
pub(super) struct SamplingArgs {
    pub(super) logits: Address,
    pub(super) choices: Address,
    pub(super) masks: Address,
    pub(super) ids: Address,
    pub(super) rows: i64,
    pub(super) vocabulary: i64,
}

/// `linear.cu`
#[repr(C)]
pub(super) struct LinearArgs {
    pub(super) a: Address,
    pub(super) b: Address,
    pub(super) d: Address,
    pub(super) m: i64,
    pub(super) n: i64,
    pub(super) k: i64,
    pub(super) a_stride: i64,
    pub(super) b_stride: i64,
    pub(super) d_stride: i64,
    pub(super) transpose_a: i32,
    pub(super) transpose_b: i32,
    pub(super) input_dtype: i32,
    pub(super) output_dtype: i32,
    pub(super) accumulate: i32,
    pub(super) handle: Address,
    pub(super) workspace: Address,
    pub(super) workspace_bytes: i64,
}

/// `linear.cu`: cuBLASLt's choice, or our own kernel.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct LinearChoice {
    data: [u64; 8],
    own: i32,
}

/// `attention.cu`
#[repr(C)]
pub(super) struct AttentionArgs {
    pub(super) q: Address,
    pub(super) k: Address,
    pub(super) v: Address,
    pub(super) d_o: Address,
    pub(super) o: Address,
    pub(super) dq: Address,
    pub(super) dk: Address,
    pub(super) dv: Address,
    pub(super) lse: Address,
    pub(super) delta: Address,
    pub(super) tiles: Address,
    pub(super) rows: i64,
    pub(super) heads: i64,
    pub(super) kv_heads: i64,
    pub(super) dim: i64,
    pub(super) tile_count: i64,
    pub(super) scale: f32,
    pub(super) dtype: i32,
}

/// `paged.cu`
#[repr(C)]
pub(super) struct PagedWriteArgs {
    pub(super) k: Address,
    pub(super) v: Address,
    pub(super) slots: Address,
    pub(super) k_pages: Address,
    pub(super) v_pages: Address,
    pub(super) rows: i64,
    pub(super) width: i64,
    pub(super) slot_count: i64,
    pub(super) dtype: i32,
}

/// `paged.cu`
#[repr(C)]
pub(super) struct PagedAttentionArgs {
    pub(super) q: Address,
    pub(super) k_pages: Address,
    pub(super) v_pages: Address,
    pub(super) o: Address,
    pub(super) partial: Address,
    pub(super) tiles: Address,
    pub(super) page_table: Address,
    pub(super) heads: i64,
    pub(super) kv_heads: i64,
    pub(super) dim: i64,
    pub(super) page_slots: i64,
    pub(super) tile_count: i64,
    pub(super) splits: i64,
    pub(super) partial_rows: i64,
    pub(super) scale: f32,
    pub(super) is_short: i32,
    pub(super) dtype: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    pub(super) fn rms_norm_forward(args: *const RmsNormForwardArgs, stream: Stream) -> i32;
    pub(super) fn rms_norm_backward(args: *const RmsNormBackwardArgs, stream: Stream) -> i32;
    pub(super) fn rope_rotate(args: *const RopeArgs, stream: Stream) -> i32;
    pub(super) fn swiglu_forward(args: *const SwigluArgs, stream: Stream) -> i32;
    pub(super) fn swiglu_backward(args: *const SwigluArgs, stream: Stream) -> i32;
    pub(super) fn embedding_forward(args: *const EmbeddingArgs, stream: Stream) -> i32;
    pub(super) fn embedding_backward(args: *const EmbeddingArgs, stream: Stream) -> i32;
    pub(super) fn norm_sum_of_squares(args: *const NormArgs, stream: Stream) -> i32;
    pub(super) fn norm_scale(args: *const NormArgs, stream: Stream) -> i32;
    pub(super) fn adamw_step(args: *const AdamWArgs, stream: Stream) -> i32;
    pub(super) fn cross_entropy_nats(args: *const CrossEntropyArgs, stream: Stream) -> i32;
    pub(super) fn cross_entropy_gradient(args: *const CrossEntropyArgs, stream: Stream) -> i32;
    pub(super) fn cross_entropy_scatter(args: *const ScatterArgs, stream: Stream) -> i32;
    pub(super) fn cross_entropy_sum(args: *const SumArgs, stream: Stream) -> i32;
    pub(super) fn sampling_draw(args: *const SamplingArgs, stream: Stream) -> i32;
    pub(super) fn attention_forward(args: *const AttentionArgs, stream: Stream) -> i32;
    pub(super) fn attention_backward(args: *const AttentionArgs, stream: Stream) -> i32;
    pub(super) fn paged_write(args: *const PagedWriteArgs, stream: Stream) -> i32;
    pub(super) fn paged_attention(args: *const PagedAttentionArgs, stream: Stream) -> i32;
    pub(super) fn paged_split_keys() -> i64;
    pub(super) fn linear_handle(handle: *mut Address) -> i32;
    pub(super) fn linear_choose(args: *const LinearArgs, choice: *mut LinearChoice) -> i32;
    pub(super) fn linear_run(args: *const LinearArgs, choice: *const LinearChoice, stream: Stream) -> i32;
}
