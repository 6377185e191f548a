//! The backward pass against finite differences, against candle's autograd on a plain composition,
//! and the forward pass against candle-transformers.

use std::collections::BTreeMap;

use crate::cases::{CASES, Case, norm_ratio, params_of, values};
use candle_core::{D, DType, Device, Tensor, Var};
use recon_llama::{ActivationPolicy, AttentionCtx, Llama, Scaling};

/// Gradients of every parameter by name, f64.
fn gradients(case: &Case) -> BTreeMap<String, Tensor> {
    let llama = Llama::new(case.config.clone(), &Device::Cpu, DType::F64).unwrap();
    let params = case.params(DType::F64);
    llama.loss_and_grads(&params, &case.packed, ActivationPolicy::BlockInputs, case.token_weight()).unwrap();
    params.named_grads().map(|named| named.map(|(name, gradient)| (name.to_string(), gradient)).unwrap()).collect()
}

/// Loss in f64 with `name` moved by `step` along `direction`.
fn moved(case: &Case, name: &str, direction: &Tensor, step: f64) -> f64 {
    let llama = Llama::new(case.config.clone(), &Device::Cpu, DType::F64).unwrap();
    let mut weights = case.weights.clone();
    let weight = weights[name].to_dtype(DType::F64).unwrap();
    weights.insert(name.into(), (weight + (direction * step).unwrap()).unwrap());
    let loss = llama.loss(&params_of(&case.config, &weights, DType::F64), &case.packed).unwrap();
    loss.nats * f64::from(case.token_weight())
}

/// A fixed vector of signs, so that every element of a parameter takes part.
fn signs(shape: &[usize]) -> Tensor {
    let bit = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40 & 1;
    let signs: Vec<f64> = (0..shape.iter().product()).map(|i| 1.0 - 2.0 * bit(i) as f64).collect();
    Tensor::from_vec(signs, shape, &Device::Cpu).unwrap()
}

/// Derivative along `direction`, central differences of fourth order.
fn difference(case: &Case, name: &str, direction: &Tensor) -> f64 {
    let step = 1e-4;
    let at = |times: f64| moved(case, name, direction, times * step);
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step)
}

#[test]
fn every_gradient_is_the_slope_of_the_loss() {
    for name in ["llama3-rope", "tied"] {
        let case = Case::read(name);
        for (parameter, gradient) in gradients(&case) {
            let direction = signs(gradient.dims());
            let slope: f64 = values(&(&gradient * &direction).unwrap()).iter().sum();
            let measured = difference(&case, &parameter, &direction);
            let size = values(&gradient).iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!((slope - measured).abs() <= 1e-7 * size, "{name} {parameter}: {slope} is not {measured}");
            assert!((1.001 * slope - measured).abs() > 1e-7 * size, "{name} {parameter}: the bound cannot fail");
        }
    }
}

/// The same model from candle's differentiable operations only, one document at a time.
struct Plain<'a> {
    case: &'a Case,
    vars: BTreeMap<String, Var>,
}

impl Plain<'_> {
    fn weight(&self, name: &str) -> &Tensor {
        self.vars[&format!("{name}.weight")].as_tensor()
    }

    fn norm(&self, x: &Tensor, name: &str) -> Tensor {
        let mean = x.sqr().unwrap().mean_keepdim(D::Minus1).unwrap();
        let root = (mean + self.case.config.rms_norm_eps).unwrap().sqrt().unwrap();
        x.broadcast_div(&root).unwrap().broadcast_mul(self.weight(name)).unwrap()
    }

    fn linear(&self, x: &Tensor, name: &str) -> Tensor {
        x.matmul(&self.weight(name).t().unwrap()).unwrap()
    }

    /// `[T, heads · hd]` → `[heads, T, hd]`.
    fn heads(&self, x: &Tensor, heads: usize) -> Tensor {
        x.reshape((x.dim(0).unwrap(), heads, self.case.config.head_dim)).unwrap().transpose(0, 1).unwrap()
    }

    fn rotate(&self, x: &Tensor) -> Tensor {
        let (tokens, half) = (x.dim(1).unwrap(), self.case.config.head_dim / 2);
        // The golden cases with plain rope only: the scaling has its own test.
        let theta = self.case.config.rope.theta as f32;
        let frequency = |i: usize| f64::from(1.0 / theta.powf(2.0 * i as f32 / (2 * half) as f32));
        let angles: Vec<f64> = (0..tokens).flat_map(|t| (0..half).map(move |i| t as f64 * frequency(i))).collect();
        let angles = Tensor::from_vec(angles, (tokens, half), &Device::Cpu).unwrap();
        let (cos, sin) = (angles.cos().unwrap(), angles.sin().unwrap());
        let (a, b) = (x.narrow(2, 0, half).unwrap(), x.narrow(2, half, half).unwrap());
        let times = |x: &Tensor, y: &Tensor| x.broadcast_mul(y).unwrap();
        let first = (times(&a, &cos) - times(&b, &sin)).unwrap();
        let second = (times(&b, &cos) + times(&a, &sin)).unwrap();
        Tensor::cat(&[first, second], 2).unwrap()
    }

    fn attention(&self, h: &Tensor, prefix: &str) -> Tensor {
        let config = &self.case.config;
        let (tokens, groups) = (h.dim(0).unwrap(), config.num_attention_heads / config.num_key_value_heads);
        let part = |name: &str, heads| self.heads(&self.linear(h, &format!("{prefix}.{name}")), heads);
        let repeat = |x: &Tensor| {
            let (heads, tokens, width) = x.dims3().unwrap();
            let wide = x.unsqueeze(1).unwrap().broadcast_as((heads, groups, tokens, width)).unwrap();
            wide.reshape((heads * groups, tokens, width)).unwrap()
        };
        let q = self.rotate(&part("q_proj", config.num_attention_heads));
        let k = repeat(&self.rotate(&part("k_proj", config.num_key_value_heads)));
        let v = repeat(&part("v_proj", config.num_key_value_heads));
        let scores = (q.matmul(&k.t().unwrap()).unwrap() / (config.head_dim as f64).sqrt()).unwrap();
        let later: Vec<f64> = (0..tokens * tokens).map(|i| if i % tokens > i / tokens { -1e30 } else { 0.0 }).collect();
        let later = Tensor::from_vec(later, (tokens, tokens), &Device::Cpu).unwrap();
        let scores = scores.broadcast_add(&later).unwrap();
        let exp = scores.broadcast_sub(&scores.max_keepdim(D::Minus1).unwrap().detach()).unwrap().exp().unwrap();
        let weights = exp.broadcast_div(&exp.sum_keepdim(D::Minus1).unwrap()).unwrap();
        let o = weights.matmul(&v).unwrap().transpose(0, 1).unwrap().flatten_from(1).unwrap();
        self.linear(&o, &format!("{prefix}.o_proj"))
    }

    fn logits(&self, ids: &[u32]) -> Tensor {
        let ids = Tensor::new(ids, &Device::Cpu).unwrap();
        let mut x = self.weight("model.embed_tokens").index_select(&ids, 0).unwrap();
        for layer in 0..self.case.config.num_hidden_layers {
            let prefix = format!("model.layers.{layer}");
            let h = self.norm(&x, &format!("{prefix}.input_layernorm"));
            x = (x + self.attention(&h, &format!("{prefix}.self_attn"))).unwrap();
            let h = self.norm(&x, &format!("{prefix}.post_attention_layernorm"));
            let gate = self.linear(&h, &format!("{prefix}.mlp.gate_proj"));
            let gate = (&gate / (gate.neg().unwrap().exp().unwrap() + 1.0).unwrap()).unwrap();
            let inner = (gate * self.linear(&h, &format!("{prefix}.mlp.up_proj"))).unwrap();
            x = (x + self.linear(&inner, &format!("{prefix}.mlp.down_proj"))).unwrap();
        }
        let head = if self.case.config.tie_word_embeddings { "model.embed_tokens" } else { "lm_head" };
        self.linear(&self.norm(&x, "model.norm"), head)
    }

    fn loss(&self) -> Tensor {
        let packed = &self.case.packed;
        let mut nats = Tensor::new(0.0_f64, &Device::Cpu).unwrap();
        for span in packed.spans.iter().filter(|span| span.len() > 1) {
            let ids = &packed.ids[span.clone()];
            let logits = self.logits(ids).narrow(0, 0, span.len() - 1).unwrap();
            let targets = Tensor::new(&ids[1..], &Device::Cpu).unwrap().unsqueeze(1).unwrap();
            let picked = logits.gather(&targets, 1).unwrap().squeeze(1).unwrap();
            let total = logits.exp().unwrap().sum(1).unwrap().log().unwrap();
            let mask: Vec<f64> = packed.mask[span.start + 1..span.end].iter().map(|bit| f64::from(*bit)).collect();
            let mask = Tensor::new(mask, &Device::Cpu).unwrap();
            nats = (nats + ((total - picked).unwrap() * mask).unwrap().sum_all().unwrap()).unwrap();
        }
        (nats * f64::from(self.case.token_weight())).unwrap()
    }
}

#[test]
fn gradients_are_those_of_candles_autograd() {
    for name in ["gqa", "tied"] {
        let case = Case::read(name);
        assert!(case.config.rope.scaling.is_none());
        let var = |(name, weight): (&String, &Tensor)| {
            (name.clone(), Var::from_tensor(&weight.to_dtype(DType::F64).unwrap()).unwrap())
        };
        let plain = Plain { case: &case, vars: case.weights.iter().map(var).collect() };
        let theirs = plain.loss().backward().unwrap();
        for (parameter, gradient) in gradients(&case) {
            let want = theirs.get(plain.vars[&parameter].as_tensor()).unwrap();
            let ratio = norm_ratio(&gradient, want);
            assert!(ratio <= 1e-12, "{name} {parameter}: {ratio:.2e}");
        }
    }
}

#[test]
fn logits_are_those_of_candle_transformers_where_it_can_represent_the_model() {
    use candle_transformers::models::llama as theirs;
    for name in CASES {
        let case = Case::read(name);
        // It derives head_dim from the hidden size, and knows no linear scaling.
        let is_linear = matches!(case.config.rope.scaling, Some(Scaling::Linear { .. }));
        if is_linear || case.config.query_dim() != case.config.hidden_size {
            continue;
        }
        let config = &case.config;
        let their_config = theirs::Config {
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            vocab_size: config.vocab_size,
            num_hidden_layers: config.num_hidden_layers,
            num_attention_heads: config.num_attention_heads,
            num_key_value_heads: config.num_key_value_heads,
            use_flash_attn: false,
            rms_norm_eps: config.rms_norm_eps,
            rope_theta: config.rope.theta as f32,
            bos_token_id: None,
            eos_token_id: None,
            rope_scaling: config.rope.scaling.as_ref().map(|scaling| match scaling {
                Scaling::Linear { .. } => unreachable!("such cases are passed over"),
                Scaling::Llama3(scaling) => theirs::Llama3RopeConfig {
                    factor: scaling.factor as f32,
                    low_freq_factor: scaling.low_freq_factor as f32,
                    high_freq_factor: scaling.high_freq_factor as f32,
                    original_max_position_embeddings: scaling.original_max_position_embeddings,
                    rope_type: theirs::Llama3RopeType::Llama3,
                },
            }),
            max_position_embeddings: config.max_position_embeddings,
            tie_word_embeddings: config.tie_word_embeddings,
        };
        let weights = case.weights.clone().into_iter().collect();
        let builder = candle_nn::VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
        let model = theirs::Llama::load(builder, &their_config).unwrap();
        let mut cache = theirs::Cache::new(false, DType::F32, &their_config, &Device::Cpu).unwrap();

        let ids = &case.packed.ids[..9];
        let llama = Llama::new(config.clone(), &Device::Cpu, DType::F32).unwrap();
        let params = case.params(DType::F32);
        let positions: Vec<u32> = (0..9).collect();
        let hidden = llama.hidden(&params, ids, &positions, &AttentionCtx::Packed { spans: &[0..9] }).unwrap();
        // It gives the last row's logits only.
        let ours = llama.logits(&params, &hidden).unwrap().narrow(0, 8, 1).unwrap();
        let want =
            model.forward(&Tensor::new(ids, &Device::Cpu).unwrap().unsqueeze(0).unwrap(), 0, &mut cache).unwrap();
        let ratio = norm_ratio(&ours, &want);
        assert!(ratio <= 1e-5, "{name}: {ratio:.2e}");
    }
}
