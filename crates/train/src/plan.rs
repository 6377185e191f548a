//! A run told before anything is allocated: memory by purpose, arithmetic, time, and what to change where it does not fit.
//!
//! `T` tokens of a row, `L` layers, `P` parameters but the looked-up table. Arithmetic of a token, forward and backward:
//! `6 · P + 6 · L · H · hd · T`, as if each row were one causal document; shorter documents need less. Causal MFU is that
//! by the peak. Time is arithmetic by the assumed rate of its kind, recomputation included.

use recon_llama::{ActivationPolicy, Config, Precision, Unit};
use serde::Serialize;

use crate::flops::{flops_per_token, multiplied};
use crate::machine::{DeviceKind, Machine};
use crate::{
    Attention, Duration, MemoryPlan, OptimizerState, ParallelOptions, Result, StateOn, TrainOptions, optimizer,
};

/// Peak of a Hopper GPU in bf16, as its maker states it, and in f32.
const PEAK_FLOPS: [f64; 2] = [989e12, 67e12];
/// Large matrix products, by the share of the peak that they reach.
const PRODUCTS: f64 = 650.0 / 989.0;
/// Attention forward and backward: ours, cuDNN's with a backward pass in fixed and in any order.
const OWN_ATTENTION: [f64; 2] = [220e12, 115e12];
const CUDNN_ATTENTION: [f64; 2] = [688e12, 420e12];
const CUDNN_ATTENTION_FREE: [f64; 2] = [688e12, 575e12];
/// Norms, rotation, gates and sums, a token, layer and element of the residual stream.
const ELEMENTWISE_S: f64 = 4.9e-11;
/// The optimizer, a parameter.
const OPTIMIZER_S: f64 = 1.25e-11;
/// The processor: a core's peak where none is given, and the share of it that training reaches.
const CORE_FLOPS: f64 = 0.1e12;
const CPU_SHARE: f64 = 0.76;
/// Hashed and written to a disk, by each node.
const DISK_BYTES_A_SECOND: f64 = 1e9;

/// A run on a machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPlan {
    /// Where.
    pub machine: Machine,
    /// Parameters of the model.
    pub parameters: u64,
    /// Tokens of a row.
    pub row_tokens: u64,
    /// Tokens of an optimizer step, over all devices.
    pub step_tokens: u64,
    /// Memory of each device.
    pub memory: MemoryPlan,
    /// Memory that a device has for a program; null for a processor.
    pub device_bytes: Option<u64>,
    /// Whether it fits; null where the memory is not known.
    pub fits: Option<bool>,
    /// Settings that make it fit, where it does not.
    pub change: Vec<String>,
    /// Arithmetic of one token, forward and backward, without recomputation.
    pub flops_per_token: f64,
    /// That arithmetic by the peak, at the assumed rates.
    pub causal_mfu: f64,
    /// Over all devices.
    pub tokens_per_s: f64,
    /// Optimizer steps; null where they depend on data that is not at hand.
    pub steps: Option<u64>,
    /// Tokens of all steps.
    pub tokens: Option<u64>,
    /// Hours of all steps.
    pub hours: Option<f64>,
    /// The same by devices; null for a processor.
    pub gpu_hours: Option<f64>,
    /// A checkpoint.
    pub checkpoint_bytes: u64,
    /// Writing it, at 1 GB/s a node.
    pub checkpoint_s: f64,
}

impl RunPlan {
    /// Plans `config` trained on rows of `row_tokens`, of which there are `rows` where that is known.
    ///
    /// # Errors
    /// Options that cannot be meant on such a machine.
    pub fn new(
        config: &Config,
        options: &TrainOptions,
        (row_tokens, rows): (usize, Option<u64>),
        machine: Machine,
    ) -> Result<Self> {
        let options = on(options, machine);
        options.validate()?;
        options.parallel.check(machine.world() as usize, config.num_key_value_heads)?;
        let taken = rows.map_or_else(|| options.clone(), |rows| options.within(rows));
        let memory_of = |options: &TrainOptions| MemoryPlan::sharded(config, options, row_tokens, machine.world());
        let (memory, device_bytes) = (memory_of(&taken), machine.kind.memory_bytes());
        let fits = device_bytes.map(|device| memory.total_bytes <= device);
        let change = if fits == Some(false) {
            changes(&taken, |changed| memory_of(changed).total_bytes <= device_bytes.unwrap_or(u64::MAX))
                .unwrap_or_else(|| vec![more_devices(config, &taken, row_tokens, machine)])
        } else {
            Vec::new()
        };
        let speed = Speed::new(config, &taken, row_tokens as f64, machine)?;
        let steps = match (taken.duration, rows) {
            (Duration::Steps(steps), _) => Some(steps),
            (Duration::Epochs(_), rows) => rows.map(|rows| taken.steps(rows)),
        };
        let step_tokens = taken.step_rows() * row_tokens as u64;
        let tokens = steps.map(|steps| steps * step_tokens);
        let hours = tokens.map(|tokens| tokens as f64 / speed.tokens_per_s / 3600.0);
        let precision = taken.precision()?;
        let optimizer = optimizer::of(&taken, precision);
        // Masters stand in the parameters' place.
        let own = if optimizer.master().is_some() { 0 } else { precision.dtype().size_in_bytes() as u64 };
        let elements: u64 = config.units().into_iter().map(|unit| config.layout(unit).elements as u64).sum();
        let checkpoint_bytes = elements * (own + optimizer.bytes_per_parameter());
        Ok(Self {
            machine,
            parameters: config.parameters(),
            row_tokens: row_tokens as u64,
            step_tokens,
            memory,
            device_bytes,
            fits,
            change,
            flops_per_token: speed.flops_per_token,
            causal_mfu: speed.causal_mfu,
            tokens_per_s: speed.tokens_per_s,
            steps,
            tokens,
            hours,
            gpu_hours: hours.filter(|_| machine.kind != DeviceKind::Cpu).map(|hours| hours * machine.world() as f64),
            checkpoint_bytes,
            checkpoint_s: checkpoint_bytes as f64 / DISK_BYTES_A_SECOND / machine.nodes as f64,
        })
    }
}

/// The options on that machine, whatever device they name.
fn on(options: &TrainOptions, machine: Machine) -> TrainOptions {
    let is_cpu = machine.kind == DeviceKind::Cpu;
    let mut options = options.clone();
    if is_cpu != (options.device == "cpu") {
        options.device = if is_cpu { "cpu".into() } else { "cuda".into() };
    }
    if is_cpu {
        options.precision = None;
        options.optimizer_state = OptimizerState::Masters;
        options.attention = Attention::Own;
    }
    options
}

/// The fewest settings that make it fit.
fn changes(options: &TrainOptions, fits: impl Fn(&TrainOptions) -> bool) -> Option<Vec<String>> {
    type Step = (&'static str, fn(&mut TrainOptions));
    let steps: [Step; 6] = [
        ("train.parallel.state = \"shared\"", |options| options.parallel.state = StateOn::Shared),
        ("train.parallel.state = \"shared_weights\"", |options| options.parallel.state = StateOn::SharedWeights),
        ("train.micro_batch_rows = 1, with more train.accumulation", |options| {
            let rows = options.micro_batch_rows.get() * options.accumulation.get();
            options.micro_batch_rows = std::num::NonZeroUsize::MIN;
            options.accumulation = rows.try_into().expect("a product of numbers above 0");
        }),
        ("train.activations = \"keep_attention\"", |options| options.activations = ActivationPolicy::KeepAttention),
        ("train.activations = \"block_inputs\"", |options| options.activations = ActivationPolicy::BlockInputs),
        ("train.optimizer_state = \"stochastic\"", |options| options.optimizer_state = OptimizerState::Stochastic),
    ];
    // By the number of settings, earlier ones first: they cost less.
    let mut sets: Vec<u32> =
        (1..1 << steps.len()).filter(|set| set & 0b11 != 0b11 && set & 0b11000 != 0b11000).collect();
    sets.sort_by_key(|set: &u32| (set.count_ones(), *set));
    let chosen = |set: u32| (0..steps.len()).filter(move |at| set >> at & 1 == 1);
    let set = sets.into_iter().find(|set| {
        let mut changed = options.clone();
        chosen(*set).for_each(|at| steps[at].1(&mut changed));
        changed.validate().is_ok() && fits(&changed)
    })?;
    Some(chosen(set).map(|at| steps[at].0.to_owned()).collect())
}

/// The fewest devices of the kind that the run fits on with the least memory that settings give.
fn more_devices(config: &Config, options: &TrainOptions, row_tokens: usize, machine: Machine) -> String {
    let least = TrainOptions {
        activations: ActivationPolicy::BlockInputs,
        micro_batch_rows: std::num::NonZeroUsize::MIN,
        optimizer_state: OptimizerState::Stochastic,
        parallel: ParallelOptions { state: StateOn::SharedWeights, ..options.parallel.clone() },
        ..options.clone()
    };
    let least = if least.validate().is_ok() {
        least
    } else {
        TrainOptions { optimizer_state: options.optimizer_state, ..least }
    };
    let room = machine.kind.memory_bytes().unwrap_or(u64::MAX);
    let enough = |devices: &u64| MemoryPlan::sharded(config, &least, row_tokens, *devices).total_bytes <= room;
    match (0..16).map(|power| 1_u64 << power).filter(|devices| *devices > machine.world()).find(enough) {
        Some(devices) => format!(
            "{devices} devices, with train.parallel.state = \"shared_weights\", train.activations = \"block_inputs\", \
             train.micro_batch_rows = 1 and the smallest optimizer state"
        ),
        None => {
            "shorter rows, or several devices a row (train.parallel.context): the activations of one are more than a \
                 device has"
                .into()
        }
    }
}

/// What `auto` chooses is known on the machine alone: taken for cuDNN's, which is the faster one by these rates.
fn attention_rates(options: &TrainOptions) -> Result<[f64; 2]> {
    let own = options.attention == Attention::Own || options.precision()? == Precision::F32;
    Ok(match (own, options.deterministic) {
        (true, _) => OWN_ATTENTION,
        (false, true) => CUDNN_ATTENTION,
        (false, false) => CUDNN_ATTENTION_FREE,
    })
}

/// Arithmetic and time of a token.
struct Speed {
    flops_per_token: f64,
    causal_mfu: f64,
    tokens_per_s: f64,
}

impl Speed {
    fn new(config: &Config, options: &TrainOptions, row_tokens: f64, machine: Machine) -> Result<Self> {
        let computed = multiplied(config);
        let layers = config.num_hidden_layers as f64;
        // Scores and mixing of half the pairs: 2 · 2 · T/2 a head and element.
        let attention = layers * 2.0 * config.query_dim() as f64 * row_tokens;
        let flops_per_token = flops_per_token(config, row_tokens);
        let layer = config.layout(Unit::Layer(0)).elements as f64;
        let down = (config.hidden_size * config.intermediate_size) as f64;
        let (products_again, attention_again) = match options.activations {
            ActivationPolicy::KeepAll => (0.0, 0.0),
            ActivationPolicy::KeepAttention => (2.0 * layers * (layer - down), 0.0),
            ActivationPolicy::BlockInputs => (2.0 * layers * (layer - down), attention),
        };
        let products = 6.0 * computed + products_again;
        let world = machine.world() as f64;
        let (peak, seconds) = if machine.kind == DeviceKind::Cpu {
            let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
            let peak = options.peak_tflops.map_or(cores * CORE_FLOPS, |tflops| tflops * 1e12);
            // Backward through attention is five products where forward is two.
            (peak, (products + 3.5 * attention + attention_again) / (CPU_SHARE * peak))
        } else {
            let peak = PEAK_FLOPS[usize::from(options.precision()? == Precision::F32)];
            let share = peak / PEAK_FLOPS[0];
            let [forward, backward] = attention_rates(options)?.map(|rate| rate * share);
            let elements = layers * config.hidden_size as f64;
            let step_tokens = options.step_rows() as f64 * row_tokens / world;
            let update = config.parameters() as f64 / world * OPTIMIZER_S / step_tokens.max(1.0);
            let seconds = products / (PRODUCTS * peak)
                + (attention + attention_again) / forward
                + 2.5 * attention / backward
                + elements * ELEMENTWISE_S
                + update;
            (peak, seconds)
        };
        Ok(Self { flops_per_token, causal_mfu: flops_per_token / seconds / peak, tokens_per_s: world / seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::llama3_8b;

    fn plan(options: TrainOptions, row_tokens: usize, machine: &str) -> RunPlan {
        let options = TrainOptions { duration: Duration::Steps(10), ..options };
        RunPlan::new(&llama3_8b(), &options, (row_tokens, None), machine.parse().unwrap()).unwrap()
    }

    fn near(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 0.02, "{value} is not near {expected}");
    }

    /// What was calculated by hand for one document of 64k on one H200, and published of the arithmetic.
    #[test]
    fn arithmetic_and_time_are_those_of_the_calculation() {
        near(plan(TrainOptions::default(), 8_192, "1xh100").flops_per_token, 51.5e9);
        near(plan(TrainOptions::default(), 65_536, "1xh100").flops_per_token, 96.6e9);
        let at_64k = |attention| {
            let activations = ActivationPolicy::KeepAttention;
            let optimizer_state = OptimizerState::Stochastic;
            plan(TrainOptions { attention, activations, optimizer_state, ..Default::default() }, 65_536, "1xh200")
        };
        let (own, cudnn) = (at_64k(Attention::Own), at_64k(Attention::Auto));
        near(own.tokens_per_s, 1_830.0);
        near(cudnn.tokens_per_s, 4_510.0);
        near(cudnn.causal_mfu, 96.6e9 * 4_510.0 / 989e12);
        let MemoryPlan { parameters_bytes, gradients_bytes, moments_bytes, .. } = cudnn.memory;
        near(parameters_bytes as f64, 16.1e9);
        near((gradients_bytes + moments_bytes) as f64, 64.2e9);
    }

    #[test]
    fn where_it_does_not_fit_the_plan_names_what_makes_it_fit() {
        let full = plan(TrainOptions::default(), 65_536, "1xh200");
        assert_eq!(full.fits, Some(false));
        let settings = ["train.activations = \"keep_attention\"", "train.optimizer_state = \"stochastic\""];
        assert_eq!(full.change, settings, "{:?}", full.memory);
        let options = || TrainOptions { activations: ActivationPolicy::BlockInputs, ..Default::default() };
        let small = plan(options(), 16_384, "1xh100");
        assert!(small.change.iter().any(|line| line.contains("2 devices")), "{:?}", small.change);
        let alone = plan(options(), 16_384, "8xh100");
        assert_eq!(alone.change, ["train.parallel.state = \"shared\""], "{:?}", alone.memory);
        let long = plan(TrainOptions::default(), 65_536, "8xh100");
        let settings = ["train.parallel.state = \"shared_weights\"", "train.activations = \"keep_attention\""];
        assert_eq!(long.change, settings, "{:?}", long.memory);
        let longer = plan(TrainOptions::default(), 1 << 20, "8xh100");
        assert!(longer.change.iter().any(|line| line.starts_with("shorter rows")), "{:?}", longer.change);
        let context =
            ParallelOptions { state: StateOn::SharedWeights, context: 8.try_into().unwrap(), ..Default::default() };
        let context = plan(TrainOptions { parallel: context, ..options() }, 1 << 18, "8xh100");
        assert_eq!(context.fits, Some(true), "{:?}", context.memory);
        let parallel = ParallelOptions { state: StateOn::Shared, ..Default::default() };
        let spread = plan(TrainOptions { parallel, ..options() }, 65_536, "8xh200");
        assert_eq!((spread.fits, spread.change.len()), (Some(true), 0), "{spread:?}");
        near(spread.gpu_hours.unwrap(), 8.0 * spread.hours.unwrap());
    }

    #[test]
    fn a_checkpoint_holds_masters_and_moments() {
        near(plan(TrainOptions::default(), 8_192, "8xh100").checkpoint_bytes as f64, 12.0 * 8.03e9);
        let stochastic = TrainOptions { optimizer_state: OptimizerState::Stochastic, ..Default::default() };
        near(plan(stochastic, 8_192, "8xh100").checkpoint_bytes as f64, 6.0 * 8.03e9);
        assert_eq!(plan(TrainOptions::default(), 128, "cpu").device_bytes, None);
    }
}
