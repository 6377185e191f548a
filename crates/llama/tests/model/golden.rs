//! Logits, loss and the gradient of every parameter against transformers in float64.

use crate::cases::{CASES, Case, norm_ratio, params_of, values};
use candle_core::{DType, Device, Tensor};
use recon_llama::{ActivationPolicy, AttentionCtx, Llama};

/// Largest ‖error‖/‖golden‖ over all tensors of a case, and the tensor it is at.
fn worst(case: &Case, dtype: DType) -> (f64, String) {
    let llama = Llama::new(case.config.clone(), &Device::Cpu, dtype).unwrap();
    let params = params_of(&case.config, &case.weights, dtype);
    let loss = llama.loss_and_grads(&params, &case.packed, ActivationPolicy::KeepAll, case.token_weight()).unwrap();
    let nats = values(&case.golden["nats"])[0];
    assert_eq!(loss.tokens, case.packed.trained_tokens());
    let mut errors = vec![((loss.nats / nats - 1.0).abs(), "nats".to_string())];

    let mut compared = 0;
    for named in params.named_grads() {
        let (name, gradient) = named.unwrap();
        errors.push((norm_ratio(&gradient, &case.golden[&format!("grad.{name}")]), name.into()));
        compared += 1;
    }
    assert_eq!(compared, case.golden.keys().filter(|name| name.starts_with("grad.")).count(), "every parameter");

    let spans = &case.packed.spans;
    let end = spans.last().unwrap().end;
    let positions: Vec<u32> = spans.iter().flat_map(|span| 0..span.len() as u32).collect();
    let hidden = llama.hidden(&params, &case.packed.ids[..end], &positions, &AttentionCtx::Packed { spans }).unwrap();
    errors.push((norm_ratio(&llama.logits(&params, &hidden).unwrap(), &case.golden["logits"]), "logits".into()));
    errors.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b)).unwrap()
}

#[test]
fn every_case_agrees_in_f32_and_more_closely_in_f64() {
    for name in CASES {
        let case = Case::read(name);
        let (error, at) = worst(&case, DType::F32);
        assert!(error <= 1e-5, "{name} in f32: {error:.2e} at {at}");
        // What is left in f64 is the f32 rounding of sines and cosines in transformers.
        let (error, at) = worst(&case, DType::F64);
        assert!(error <= 1e-6, "{name} in f64: {error:.2e} at {at}");
    }
}

#[test]
fn the_comparison_notices_one_weight_another_rope_and_another_mask() {
    let read = || Case::read("llama3-rope");
    let mut one_weight = read();
    let name = "model.layers.1.mlp.up_proj.weight";
    let mut changed = values(&one_weight.weights[name]);
    changed[100] += 1e-2;
    let shape = one_weight.weights[name].dims().to_vec();
    one_weight.weights.insert(name.into(), Tensor::from_vec(changed, shape, &Device::Cpu).unwrap());
    let mut no_scaling = read();
    no_scaling.config.rope.scaling = None;
    let mut other_theta = read();
    other_theta.config.rope.theta *= 1.01;
    let mut merged = read();
    merged.packed.spans = vec![0..merged.packed.spans.last().unwrap().end];
    let mut eps = read();
    eps.config.rms_norm_eps = 1e-3;
    let mut unstretched = Case::read("linear-rope");
    unstretched.config.rope.scaling = None;
    for (what, case) in [
        ("weight", one_weight),
        ("scaling", no_scaling),
        ("linear scaling", unstretched),
        ("theta", other_theta),
        ("eps", eps),
    ] {
        let (error, _) = worst(&case, DType::F32);
        assert!(error > 1e-4, "a changed {what} gives {error:.2e}");
    }
    let llama = Llama::new(merged.config.clone(), &Device::Cpu, DType::F32).unwrap();
    let loss = llama.loss(&merged.params(DType::F32), &merged.packed).unwrap();
    assert!((loss.nats / values(&merged.golden["nats"])[0] - 1.0).abs() > 1e-3, "documents must not see each other");
}

#[test]
fn policies_give_the_same_bits_and_gradients_accumulate() {
    for dtype in [DType::F32, DType::F64] {
        let case = Case::read("gqa");
        let llama = Llama::new(case.config.clone(), &Device::Cpu, dtype).unwrap();
        let run = |policy, times: usize| {
            let params = case.params(dtype);
            let mut loss = None;
            for _ in 0..times {
                loss = Some(llama.loss_and_grads(&params, &case.packed, policy, case.token_weight()).unwrap());
            }
            let grads: Vec<Tensor> = params.named_grads().map(|named| named.unwrap().1).collect();
            (loss.unwrap(), grads)
        };
        let (loss, all) = run(ActivationPolicy::KeepAll, 1);
        for policy in [ActivationPolicy::KeepAttention, ActivationPolicy::BlockInputs] {
            let (other, grads) = run(policy, 1);
            assert_eq!(loss.nats.to_bits(), other.nats.to_bits());
            assert!(all.iter().zip(&grads).all(|(a, b)| values(a) == values(b)), "{policy:?} in {dtype:?}");
        }
        assert_eq!(llama.loss(&case.params(dtype), &case.packed).unwrap(), loss, "with and without gradients");
        let (_, twice) = run(ActivationPolicy::KeepAll, 2);
        for (once, twice) in all.iter().zip(&twice) {
            assert!(norm_ratio(twice, &(once * 2.0).unwrap()) <= 1e-6);
        }
    }
}

#[test]
fn the_losses_of_the_documents_are_those_of_each_alone_and_their_gradients_those_of_the_sum() {
    let case = Case::read("gqa");
    let llama = Llama::new(case.config.clone(), &Device::Cpu, DType::F64).unwrap();
    let (params, other) = (case.params(DType::F64), case.params(DType::F64));
    let policy = ActivationPolicy::KeepAll;
    let sum = llama.loss_and_grads(&params, &case.packed, policy, case.token_weight()).unwrap();
    let each = llama
        .begin_loss_and_grads(llama.attention(), &other, &case.packed, policy, case.token_weight())
        .unwrap()
        .read_each()
        .unwrap();
    assert_eq!(each.len(), case.packed.spans.len());
    for (loss, span) in each.iter().zip(&case.packed.spans) {
        let alone =
            llama.loss(&params, &recon_llama::Packed { spans: vec![span.clone()], ..case.packed.clone() }).unwrap();
        assert_eq!((loss.nats.to_bits(), loss.tokens), (alone.nats.to_bits(), alone.tokens), "{span:?}");
    }
    assert!((each.iter().map(|loss| loss.nats).sum::<f64>() / sum.nats - 1.0).abs() < 1e-12);
    assert!(params.named_grads().zip(other.named_grads()).all(|(a, b)| values(&a.unwrap().1) == values(&b.unwrap().1)));
}

#[test]
fn a_document_gives_the_same_bits_alone_and_packed_with_others() {
    let case = Case::read("gqa");
    let llama = Llama::new(case.config.clone(), &Device::Cpu, DType::F32).unwrap();
    let params = case.params(DType::F32);
    let logits = |ids: &[u32], spans: &[std::ops::Range<usize>]| {
        let positions: Vec<u32> = spans.iter().flat_map(|span| 0..span.len() as u32).collect();
        let hidden = llama.hidden(&params, ids, &positions, &AttentionCtx::Packed { spans }).unwrap();
        llama.logits(&params, &hidden).unwrap()
    };
    let spans = &case.packed.spans;
    let together = logits(&case.packed.ids[..spans.last().unwrap().end], spans);
    for span in spans {
        let alone = logits(&case.packed.ids[span.clone()], &[0..span.len()]);
        let part = together.narrow(0, span.start, span.len()).unwrap();
        assert_eq!(values(&alone), values(&part), "the document at {span:?}");
    }
}
