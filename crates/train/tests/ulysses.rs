//! Rows spread over ranks for the time between attentions: losses and gradients of one rank.

use std::thread;
use std::time::Duration;

use candle_core::{DType, Device, Tensor};
use recon_comm::Group;
use recon_kernels::attention::Backend;
use recon_llama::{ActivationPolicy, Attend, Config, FlatParams, Llama, Loss, Packed};
use recon_train::Ulysses;

const POLICY: ActivationPolicy = ActivationPolicy::BlockInputs;

fn config() -> Config {
    let json = serde_json::json!({
        "model_type": "llama", "vocab_size": 96, "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 2,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 8, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0,
        "max_position_embeddings": 128, "tie_word_embeddings": true,
    });
    Config::from_json(&json.to_string()).unwrap()
}

/// Documents of which most lie across two ranks, whatever their number.
fn packed() -> Packed {
    let ids: Vec<u32> = (0..101_u64).map(|i| ((i * i * 7 + i * 3) % 96) as u32).collect();
    let mask = (0..101).map(|at| u8::from(at % 5 != 2)).collect();
    Packed { ids, mask, spans: vec![0..40, 40..43, 43..90, 90..101] }
}

fn gradients(params: &FlatParams) -> Vec<Vec<f64>> {
    let values = |tensor: Tensor| tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap();
    params.named_grads().map(|named| values(named.unwrap().1)).collect()
}

fn params(dtype: DType) -> FlatParams {
    FlatParams::random(&config(), &Device::Cpu, dtype, 5).unwrap().with_grads().unwrap()
}

/// Losses of the ranks and the sum of their gradients.
fn spread(world: usize, dtype: DType, packed: &Packed) -> (Vec<Loss>, Vec<Vec<f64>>) {
    let on_rank = |comm: Box<dyn recon_comm::Communicator + Send>| {
        let (llama, params) = (Llama::new(config(), &Device::Cpu, dtype).unwrap(), params(dtype));
        let ulysses = Ulysses::new(Group::new(&*comm, (0..world).collect()), &Backend::Own);
        let forward = llama.loss_by(&ulysses, &params, packed).unwrap();
        let loss =
            llama.begin_loss_and_grads(&ulysses, &params, packed, POLICY, 0.01).and_then(|loss| loss.read()).unwrap();
        assert_eq!(forward, loss);
        (loss, gradients(&params))
    };
    let ranks: Vec<_> = thread::scope(|scope| {
        let ranks = recon_comm::threads(world, Duration::from_secs(30)).into_iter();
        let ranks: Vec<_> = ranks.map(|comm| scope.spawn(|| on_rank(comm))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    let mut sum: Vec<Vec<f64>> = ranks[0].1.iter().map(|tensor| vec![0.0; tensor.len()]).collect();
    for (_, gradients) in &ranks {
        for (sum, part) in sum.iter_mut().flatten().zip(gradients.iter().flatten()) {
            *sum += part;
        }
    }
    (ranks.into_iter().map(|(loss, _)| loss).collect(), sum)
}

/// ‖got − want‖ / ‖want‖, the worst over all tensors.
fn worst(got: &[Vec<f64>], want: &[Vec<f64>]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let ratio = |(got, want): (&Vec<f64>, &Vec<f64>)| {
        norm(&mut got.iter().zip(want).map(|(got, want)| got - want)) / norm(&mut want.iter().copied())
    };
    got.iter().zip(want).map(ratio).fold(0.0, f64::max)
}

#[test]
fn rows_on_several_ranks_have_the_losses_and_gradients_of_one() {
    for (dtype, bound) in [(DType::F32, 2e-6), (DType::F64, 1e-13)] {
        let (llama, alone) = (Llama::new(config(), &Device::Cpu, dtype).unwrap(), params(dtype));
        let loss = llama.loss_and_grads(&alone, &packed(), POLICY, 0.01).unwrap();
        for world in [1, 2, 4] {
            let (losses, gradients_of_ranks) = spread(world, dtype, &packed());
            let (nats, tokens) =
                losses.iter().fold((0.0, 0), |(nats, tokens), it| (nats + it.nats, tokens + it.tokens));
            assert_eq!(tokens, loss.tokens, "every token is trained once");
            assert!((nats / loss.nats - 1.0).abs() < 1e-12, "{world} ranks: {nats} is summed in another order");
            let error = worst(&gradients_of_ranks, &gradients(&alone));
            assert!(error <= bound, "{world} ranks in {dtype:?}: {error:.2e}");
        }
    }
    // A control: where a border of documents is not seen, gradients differ.
    let merged = Packed { spans: vec![0..43, 43..90, 90..101], ..packed() };
    let alone = params(DType::F64);
    let llama = Llama::new(config(), &Device::Cpu, DType::F64).unwrap();
    llama.loss_and_grads(&alone, &packed(), POLICY, 0.01).unwrap();
    assert!(worst(&spread(2, DType::F64, &merged).1, &gradients(&alone)) > 1e-3);
}

/// Values, shifted so that none is like another.
fn tensor(rows: usize, heads: usize, shift: u64) -> Tensor {
    let value = |at: u64| (((at + shift) * 7919) % 1009) as f32 / 500.0 - 1.0;
    let values: Vec<f32> = (0..(rows * heads * 8) as u64).map(value).collect();
    Tensor::from_vec(values, (rows, heads, 8), &Device::Cpu).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn attention_over_ranks_has_the_bits_of_one() {
    let spans = packed().spans;
    let (q, k, v, d_o) = (tensor(101, 8, 0), tensor(101, 4, 1 << 20), tensor(101, 4, 1 << 21), tensor(101, 8, 1 << 22));
    let (o, lse) = Attend::forward(&Backend::Own, [&q, &k, &v], &spans, 0.35).unwrap();
    let gradients = Attend::backward(&Backend::Own, &d_o, [&q, &k, &v], (&o, &lse), &spans, 0.35).unwrap();
    for world in [2, 4] {
        let on_rank = |comm: Box<dyn recon_comm::Communicator + Send>| {
            let ulysses = Ulysses::new(Group::new(&*comm, (0..world).collect()), &Backend::Own);
            let own = ulysses.own(101);
            let own = |tensor: &Tensor| tensor.narrow(0, own.start, own.len()).unwrap().contiguous().unwrap();
            let [q, k, v, d_o] = [&q, &k, &v, &d_o].map(own);
            let (own_o, own_lse) = ulysses.forward([&q, &k, &v], &spans, 0.35).unwrap();
            assert_eq!((bits(&own_o), bits(&own_lse)), (bits(&own(&o)), bits(&own(&lse))));
            let found = ulysses.backward(&d_o, [&q, &k, &v], (&own_o, &own_lse), &spans, 0.35).unwrap();
            assert_eq!(found.each_ref().map(bits), gradients.each_ref().map(|whole| bits(&own(whole))));
        };
        thread::scope(|scope| {
            for comm in recon_comm::threads(world, Duration::from_secs(30)) {
                scope.spawn(|| on_rank(comm));
            }
        });
    }
}
