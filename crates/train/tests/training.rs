//! Whole runs of a tiny random model on the CPU: what it learns, what it must not learn from,
//! what it keeps, and what it refuses.

use candle_core::{DType, Device, Tensor};
use recon_checkpoint::{ModelFiles, state};
use recon_llama::{ActivationPolicy, Config, FlatParams, Llama, Packed};
use recon_train::{
    Duration, Error, Init, MemoryRows, ModelOverrides, Quiet, RowSource, SavePolicy, StepMetrics, TrainOptions,
    TrainPlan, TrainReport, export, loss_over, run, run_on,
};

mod tiny;
use tiny::{Run, StopAfter, VOCABULARY, metrics, model, options, rows, tensors};

#[test]
fn one_batch_is_learned_by_heart_from_a_uniform_start() {
    let run = Run::new();
    let (_, metrics) = run.train("a", TrainOptions { weight_decay: 0.0, ..options(120) }, rows(2));
    let first = metrics[0].loss_nats;
    assert!((first - f64::from(VOCABULARY).ln()).abs() < 0.1, "the first loss is ln V: {first}");
    let last = metrics.last().unwrap().loss_nats;
    assert!(last < 0.05, "{last}");
}

#[test]
fn a_resumed_run_goes_on_bit_for_bit() {
    let run = Run::new();
    let data = MemoryRows::new(rows(6)).unwrap();
    let (whole, _) = run.train("whole", options(6), rows(6));
    let half = run_on(&run.plan("half", options(6)), &data, &mut StopAfter(3)).unwrap();
    assert_eq!((half.step, half.steps), (3, 6));
    let resumed = run_on(&TrainPlan { resume: true, ..run.plan("half", options(6)) }, &data, &mut Quiet).unwrap();
    assert_eq!(tensors(&whole.checkpoint), tensors(&resumed.checkpoint));
    let figures = |name: &str| {
        let of = |m: StepMetrics| (m.step, m.loss_nats.to_bits(), m.grad_norm.to_bits(), m.tokens, m.trained_tokens);
        metrics(&run.out(name)).into_iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(figures("whole"), figures("half"));
    assert_ne!(tensors(&whole.checkpoint), tensors(&half.checkpoint), "three more steps change something");
}

#[test]
fn lines_written_after_the_last_checkpoint_do_not_appear_twice() {
    let run = Run::new();
    let data = MemoryRows::new(rows(4)).unwrap();
    let options = TrainOptions { save: SavePolicy::EverySteps(2.try_into().unwrap()), ..options(6) };
    run_on(&run.plan("a", options.clone()), &data, &mut StopAfter(5)).unwrap();
    std::fs::remove_dir_all(run.out("a").join("checkpoints/step-5")).unwrap();
    run_on(&TrainPlan { resume: true, ..run.plan("a", options) }, &data, &mut Quiet).unwrap();
    assert_eq!(metrics(&run.out("a")).iter().map(|m| m.step).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn accumulation_changes_the_cut_not_the_step() {
    let run = Run::new();
    let cut = |micro: usize, accumulation: usize| TrainOptions {
        micro_batch_rows: micro.try_into().unwrap(),
        accumulation: accumulation.try_into().unwrap(),
        ..options(8)
    };
    // Unequal numbers of trained tokens: a mean of means would differ.
    let mut rows = rows(8);
    rows.iter_mut().step_by(2).for_each(|row| row.mask[6..].fill(0));
    let (_, together) = run.train("together", cut(4, 1), rows.clone());
    let (_, apart) = run.train("apart", cut(1, 4), rows);
    for (one, other) in together.iter().zip(&apart) {
        assert!((one.loss_nats - other.loss_nats).abs() < 1e-4, "{one:?} {other:?}");
        assert!((one.grad_norm / other.grad_norm - 1.0).abs() < 1e-3, "{one:?} {other:?}");
    }
    assert!(together[0].loss_nats - together[7].loss_nats > 0.1, "the series moves");
}

#[test]
fn masked_targets_and_other_documents_do_not_reach_the_gradient() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config::from_json(&model(directory.path(), 32).config_json().unwrap()).unwrap();
    let llama = Llama::new(config.clone(), &Device::Cpu, DType::F32).unwrap();
    let gradients = |row: &Packed| {
        let params = FlatParams::random(&config, &Device::Cpu, DType::F32, 3).unwrap().with_grads().unwrap();
        llama.loss_and_grads(&params, row, ActivationPolicy::KeepAll, 0.1).unwrap();
        let bits =
            |pair: recon_llama::Result<(&str, Tensor)>| pair.unwrap().1.flatten_all().unwrap().to_vec1().unwrap();
        params.named_grads().map(bits).collect::<Vec<Vec<f32>>>()
    };
    let mut row = rows(1).remove(0);
    let end = row.spans[0].end;
    row.mask[end - 1] = 0;
    row.mask[end..].fill(0);
    let mut other = row.clone();
    // The last token of a document is only a target; the second document is not trained at all.
    other.ids[end - 1] = (row.ids[end - 1] + 1) % VOCABULARY;
    other.ids[end..].iter_mut().for_each(|id| *id = (*id + 5) % VOCABULARY);
    assert_eq!(gradients(&row), gradients(&other));
    other.mask[end - 1] = 1;
    assert_ne!(gradients(&row), gradients(&other), "a trained target does");
}

#[test]
fn another_plan_model_or_data_is_refused_by_its_key() {
    let run = Run::new();
    let data = MemoryRows::new(rows(4)).unwrap();
    run_on(&run.plan("a", options(4)), &data, &mut StopAfter(2)).unwrap();
    let resume = |options| TrainPlan { resume: true, ..run.plan("a", options) };
    let key = |result: Result<TrainReport, Error>| match result {
        Err(Error::Mismatch { key, .. }) => key,
        other => panic!("{other:?}"),
    };
    assert_eq!(key(run_on(&resume(TrainOptions { lr: 2e-2, ..options(4) }), &data, &mut Quiet)), "options.lr");
    assert_eq!(key(run_on(&resume(options(4)), &MemoryRows::new(rows(5)).unwrap(), &mut Quiet)), "data");
    let other = run.directory.path().join("other");
    std::fs::create_dir_all(&other).unwrap();
    let wider = TrainPlan { model: model(&other, 64), ..resume(options(4)) };
    assert_eq!(key(run_on(&wider, &data, &mut Quiet)), "model.hidden_size");
    assert!(matches!(run_on(&run.plan("a", options(4)), &data, &mut Quiet), Err(Error::Occupied { .. })));
    // What changes no number may change.
    let free = TrainOptions { activations: ActivationPolicy::BlockInputs, keep: 1.try_into().unwrap(), ..options(4) };
    assert_eq!(run_on(&resume(free), &data, &mut Quiet).unwrap().step, 4);
}

#[test]
fn a_step_that_is_not_finite_stops_before_the_update() {
    let run = Run::new();
    let data = MemoryRows::new(rows(4)).unwrap();
    let report = run_on(&run.plan("a", options(4)), &data, &mut StopAfter(2)).unwrap();
    let exported = run.out("exported");
    export(&report.checkpoint, &exported, Some(DType::F32)).unwrap();
    // The same weights with one value that is not a number.
    let tensors = ModelFiles::Directory(exported.clone()).tensors().unwrap();
    let named: Vec<_> = tensors.names().map(|name| (name.to_owned(), tensors.shape(name).unwrap().to_vec())).collect();
    let broken = run.out("broken");
    let config_json = std::fs::read_to_string(exported.join("config.json")).unwrap();
    let extra = [("tokenizer.json".to_owned(), b"{}".to_vec())];
    let contents = recon_checkpoint::HfDirectory {
        dtype: DType::F32,
        max_shard_bytes: u64::MAX,
        config_json: &config_json,
        extra: &extra,
    };
    recon_checkpoint::write_hf(&broken, &contents, &named, |name| {
        let tensor = tensors.read(name, DType::F32, &Device::Cpu)?;
        Ok([Ok(if name.ends_with("norm.weight") { (tensor * f64::NAN)? } else { tensor })])
    })
    .unwrap();
    let options = TrainOptions { init: Init::Model, ..options(4) };
    let plan = TrainPlan { model: ModelFiles::Directory(broken), ..run.plan("b", options) };
    let error = run_on(&plan, &data, &mut Quiet).unwrap_err();
    assert!(matches!(error, Error::Loss { step: 1, .. }), "{error}");
    assert!(metrics(&run.out("b")).is_empty());
    assert_eq!(state::latest(&run.out("b").join("checkpoints")).unwrap(), None);
}

#[test]
fn rows_without_a_trained_token_are_an_error_not_a_division_by_zero() {
    let run = Run::new();
    let mut rows = rows(2);
    rows.iter_mut().for_each(|row| row.mask.fill(0));
    let error = run_on(&run.plan("a", options(1)), &MemoryRows::new(rows).unwrap(), &mut Quiet).unwrap_err();
    assert!(matches!(error, Error::NothingTrained { step: 1 }), "{error}");
}

#[test]
fn an_export_holds_the_trained_weights_and_is_a_model_again() {
    let run = Run::new();
    let (report, figures) = run.train("a", options(4), rows(4));
    let exported = run.out("exported");
    export(&report.checkpoint, &exported, Some(DType::F32)).unwrap();
    let files = ModelFiles::Directory(exported);
    let config = Config::from_json(&files.config_json().unwrap()).unwrap();
    let tensors = files.tensors().unwrap();
    let params = FlatParams::load(&config, &Device::Cpu, DType::F32, |name, shape| {
        tensors.read_shaped(name, shape, DType::F32, &Device::Cpu)
    })
    .unwrap();
    let llama = Llama::new(config, &Device::Cpu, DType::F32).unwrap();
    let loss = loss_over(&llama, &params, &rows(4)).unwrap();
    let mean = loss.nats / loss.tokens as f64;
    assert!(mean < figures[0].loss_nats - 0.1, "{mean}");
    let continued = TrainPlan {
        model: files,
        ..run.plan("b", TrainOptions { init: Init::Model, micro_batch_rows: 4.try_into().unwrap(), ..options(1) })
    };
    run_on(&continued, &MemoryRows::new(rows(4)).unwrap(), &mut Quiet).unwrap();
    assert!((metrics(&run.out("b"))[0].loss_nats - mean).abs() < 1e-5);
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_last_one() {
    let run = Run::new();
    let data = MemoryRows::new(rows(4)).unwrap();
    let options = TrainOptions { save: SavePolicy::EverySteps(2.try_into().unwrap()), ..options(6) };
    // A file stands where the second checkpoint should go.
    let checkpoints = run.out("a").join("checkpoints");
    std::fs::create_dir_all(&checkpoints).unwrap();
    std::fs::write(checkpoints.join("step-4"), "in the way").unwrap();
    let plan = TrainPlan { resume: true, ..run.plan("a", options.clone()) };
    let error = run_on(&plan, &data, &mut Quiet).unwrap_err();
    assert!(error.to_string().contains("step-4"), "{error}");
    assert_eq!(state::latest(&checkpoints).unwrap(), Some(checkpoints.join("step-2")));
    std::fs::remove_file(checkpoints.join("step-4")).unwrap();
    let resumed = run_on(&plan, &data, &mut Quiet).unwrap();
    let (whole, _) = run.train("whole", options, rows(4));
    assert_eq!(tensors(&resumed.checkpoint), tensors(&whole.checkpoint));
}

#[test]
fn overrides_are_trained_under_and_exported() {
    let run = Run::new();
    let data = MemoryRows::new(rows(4)).unwrap();
    let overrides = ModelOverrides { rope_theta: Some(8e6), max_position_embeddings: Some(128), ..Default::default() };
    let report = run_on(&TrainPlan { overrides, ..run.plan("a", options(2)) }, &data, &mut Quiet).unwrap();
    let (plain, _) = run.train("plain", options(2), rows(4));
    assert_ne!(tensors(&report.checkpoint), tensors(&plain.checkpoint));
    let exported = run.out("exported");
    export(&report.checkpoint, &exported, Some(DType::BF16)).unwrap();
    let config = Config::from_json(&ModelFiles::Directory(exported).config_json().unwrap()).unwrap();
    assert_eq!((config.rope.theta, config.max_position_embeddings), (8e6, 128));
}

#[test]
fn packed_rows_are_trained_in_the_order_of_the_seed() {
    let run = Run::new();
    let pack = run.out("pack");
    let documents = rows(9)
        .into_iter()
        .zip(0..)
        .map(|(row, at)| recon_pack::PackDocument::new(format!("d{at}"), row.ids, row.mask));
    let pack_options = recon_pack::PackOptions { row_tokens: 24, ..recon_pack::PackOptions::default() };
    recon_pack::pack(documents, &pack_options, &pack).unwrap();
    let losses = |name: &str, seed| {
        let options = TrainOptions { init: Init::Random, seed, duration: Duration::Epochs(1.0), ..options(1) };
        let plan = TrainPlan { data: Some(pack.clone()), ..run.plan(name, options) };
        let report = run_plan(&plan);
        assert_eq!(report.steps, 5, "nine rows, two a step");
        metrics(&run.out(name)).into_iter().map(|m| m.loss_nats).collect::<Vec<_>>()
    };
    assert_eq!(losses("a", 1), losses("b", 1));
    assert_ne!(losses("c", 2), losses("a2", 1));
    let rows = recon_train::PackedRows::open(&pack, 1).unwrap();
    assert_eq!((rows.rows(), rows.row_tokens()), (9, 24));
}

fn run_plan(plan: &TrainPlan) -> TrainReport {
    run(plan, &mut Quiet).unwrap()
}
