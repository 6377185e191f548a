//! Several sources in one run: their shares, their counts and losses, and that a resumed run draws on where it stopped.

use std::num::NonZeroUsize;
use std::path::Path;

use candle_core::{DType, Device};
use recon_llama::{Config, FlatParams, Llama};
use recon_train::{
    Drawn, Error, FromStep, PackedRows, Quiet, RowSource as _, SourceOptions, StepMetrics, TrainOptions, TrainPlan,
    Weight, loss_over, run,
};

#[path = "tiny/figures.rs"]
mod figures;
mod tiny;
use figures::figures;
use tiny::{Run, StopAfter, VOCABULARY, metrics, options, rows, tensors};

fn pack(directory: &Path, count: u64, row_tokens: usize) {
    let rows = rows(count).into_iter().zip(0..);
    let documents = rows.map(|(row, at)| recon_pack::PackDocument::new(format!("d{at}"), row.ids, row.mask));
    let pack_options = recon_pack::PackOptions { row_tokens, ..recon_pack::PackOptions::default() };
    recon_pack::pack(documents, &pack_options, directory).unwrap();
}

fn source(directory: &Path, weight: Weight) -> SourceOptions {
    SourceOptions { directory: directory.into(), name: Some("books".into()), weight }
}

/// A run over a pack of its own and a source of that weight.
fn plan(run: &Run, name: &str, weight: Weight) -> TrainPlan {
    let (own, other) = (run.out("own-rows"), run.out("other-rows"));
    if !own.exists() {
        pack(&own, 5, 24);
        pack(&other, 40, 24);
    }
    let sources = vec![source(&other, weight)];
    TrainPlan { data: Some(own), ..run.plan(name, TrainOptions { sources, ..options(8) }) }
}

fn by_steps(list: &[(u64, f64)]) -> Weight {
    Weight::BySteps(list.iter().map(|&(from_step, weight)| FromStep { from_step, weight }).collect())
}

#[test]
fn every_source_has_its_share_its_counts_and_its_loss() {
    let directory = Run::new();
    let plan = plan(&directory, "a", Weight::Constant(3.0));
    run(&plan, &mut Quiet).unwrap();
    let steps = metrics(&directory.out("a"));
    let mut trained = [0; 2];
    for step in &steps {
        let sum = |of: fn(&Drawn) -> u64| step.sources.iter().map(|it| of(&it.drawn)).sum::<u64>();
        assert_eq!(sum(|it| it.rows), 2 * step.step, "every row is drawn from one of them");
        assert_eq!((sum(|it| it.tokens), sum(|it| it.trained_tokens)), (step.tokens, step.trained_tokens));
        // The losses of the sources, by their trained tokens of this step, are the loss of the step.
        let now: Vec<u64> = step.sources.iter().map(|it| it.drawn.trained_tokens).collect();
        let parts = step.sources.iter().zip(now.iter().zip(trained));
        let nats: f64 = parts.map(|(it, (now, before))| it.loss_nats.unwrap_or(0.0) * (now - before) as f64).sum();
        let loss = nats / now.iter().zip(trained).map(|(now, before)| now - before).sum::<u64>() as f64;
        assert!((loss - step.loss_nats).abs() < 1e-9, "{loss} {}", step.loss_nats);
        trained = now.try_into().unwrap();
    }
    let (_, alone) = directory.train("alone", options(2), rows(4));
    assert!(alone.iter().all(|step| step.sources.is_empty()), "one source is told of by the step's own figures");
    let names: Vec<_> = steps[7].sources.iter().map(|it| it.drawn.source.as_str()).collect();
    assert_eq!(names, ["own", "books"]);
    // Over a block of the mixture the shares are exact.
    let mixed = PackedRows::open_mix(plan.data.as_deref(), &plan.options).unwrap();
    assert_eq!((0..1024).filter(|position| mixed.source(*position) == 0).count(), 256);
    assert_eq!(mixed.rows(), 45);
}

#[test]
fn the_loss_of_a_source_is_that_of_its_rows_alone() {
    let directory = Run::new();
    let mut plan = plan(&directory, "a", Weight::Constant(1.0));
    plan.options.accumulation = 4.try_into().unwrap();
    let mixed = PackedRows::open_mix(plan.data.as_deref(), &plan.options).unwrap();
    let taken: Vec<_> = (0..8).map(|position| (mixed.source(position), mixed.row(position).unwrap())).collect();
    run(&plan, &mut StopAfter(1)).unwrap();
    let config = Config::from_json(&plan.model.config_json().unwrap()).unwrap();
    let params = FlatParams::random(&config, &Device::Cpu, DType::F32, plan.options.seed).unwrap();
    let model = Llama::new(config, &Device::Cpu, DType::F32).unwrap();
    for (at, told) in metrics(&directory.out("a"))[0].sources.iter().enumerate() {
        let rows = taken.iter().filter(|(source, _)| *source == at).map(|(_, row)| row);
        let loss = loss_over(&model, &params, rows).unwrap();
        assert_eq!(told.drawn.trained_tokens, loss.tokens);
        assert!((told.loss_nats.unwrap() - loss.nats / loss.tokens as f64).abs() < 1e-6, "{told:?} {loss:?}");
    }
}

#[test]
fn a_resumed_run_draws_on_from_every_source_wherever_it_lies() {
    let directory = Run::new();
    let weight = by_steps(&[(1, 0.0), (3, 3.0), (6, 0.5)]);
    let whole = run(&plan(&directory, "whole", weight.clone()), &mut Quiet).unwrap();
    run(&plan(&directory, "half", weight.clone()), &mut StopAfter(3)).unwrap();
    let mut resumed = TrainPlan { resume: true, ..plan(&directory, "half", weight) };
    run(&resumed, &mut StopAfter(5)).unwrap();
    let moved = directory.out("moved");
    std::fs::rename(&resumed.options.sources[0].directory, &moved).unwrap();
    resumed.options.sources[0].directory = moved;
    let half = run(&resumed, &mut Quiet).unwrap();
    assert_eq!(tensors(&half.checkpoint), tensors(&whole.checkpoint));
    let (one, other) = (metrics(&directory.out("whole")), metrics(&directory.out("half")));
    assert_eq!(figures(&one), figures(&other));
    let rows = |step: &StepMetrics| [step.sources[0].drawn.rows, step.sources[1].drawn.rows];
    assert_eq!(rows(&one[1]), [4, 0], "a weight of 0 until step 3");
    assert!(rows(&one[7])[1] > 0);
    resumed.options.sources[0].weight = Weight::Constant(2.0);
    assert!(matches!(run(&resumed, &mut Quiet), Err(Error::Mismatch { key, .. }) if key == "data"));
}

#[test]
fn rows_of_every_source_are_joined_up_to_the_window() {
    let directory = Run::new();
    let mut plan = plan(&directory, "a", Weight::Constant(1.0));
    plan.options.window_tokens = NonZeroUsize::new(48);
    let mixed = PackedRows::open_mix(plan.data.as_deref(), &plan.options).unwrap();
    assert_eq!((mixed.rows(), mixed.row_tokens()), (3 + 20, 48));
    run(&plan, &mut StopAfter(2)).unwrap();
    let counts = &metrics(&directory.out("a"))[1];
    assert!(counts.tokens > 3 * 24, "{counts:?}");
    plan.options.window_tokens = NonZeroUsize::new(23);
    let error = run(&plan, &mut Quiet).unwrap_err();
    assert!(format!("{error:?}").contains("24 ids, more than the window of 23"), "{error:?}");
}

#[test]
fn sources_that_cannot_be_drawn_from_are_refused() {
    let directory = Run::new();
    let weights = [0.0, -1.0, f64::NAN, f64::INFINITY].map(Weight::Constant);
    for weight in weights.into_iter().chain([by_steps(&[]), by_steps(&[(2, 1.0)])]) {
        let error = run(&plan(&directory, "a", weight), &mut Quiet).unwrap_err();
        assert!(matches!(error, Error::Option { key: "sources", .. }), "{error}");
    }
    let mut silent = plan(&directory, "a", by_steps(&[(1, 1.0), (4, 0.0)]));
    silent.options.own_weight = by_steps(&[(1, 1.0), (3, 0.0)]);
    let error = run(&silent, &mut Quiet).unwrap_err().to_string();
    assert!(error.contains("sum to zero at step 4"), "{error}");
    let mut twice = plan(&directory, "a", Weight::Constant(1.0));
    twice.options.sources.push(source(&directory.out("own-rows"), Weight::Constant(1.0)));
    let error = run(&twice, &mut Quiet).unwrap_err().to_string();
    assert!(error.contains("two called `books`"), "{error}");
    let mut absent = plan(&directory, "a", Weight::Constant(1.0));
    absent.options.sources[0].directory = directory.out("absent");
    assert!(matches!(run(&absent, &mut Quiet), Err(Error::Data(_))));
    let shard = directory.out("other-rows").join("shard.00000.mds");
    std::fs::rename(&shard, directory.out("away")).unwrap();
    let error = run(&plan(&directory, "a", Weight::Constant(1.0)), &mut Quiet).unwrap_err();
    assert!(matches!(error, Error::Data(_)) && format!("{error:?}").contains("shard.00000.mds"), "{error:?}");
    std::fs::rename(directory.out("away"), &shard).unwrap();
    assert!(!directory.out("a").exists(), "nothing is written");
}

#[test]
fn an_id_that_the_model_does_not_have_is_named_with_its_row() {
    let directory = Run::new();
    let mut plan = plan(&directory, "a", Weight::Constant(1.0));
    let foreign = directory.out("foreign");
    let document = recon_pack::PackDocument::new("d", vec![1, 2, VOCABULARY, 3], vec![1; 4]);
    let pack_options = recon_pack::PackOptions { row_tokens: 24, ..recon_pack::PackOptions::default() };
    recon_pack::pack([document], &pack_options, &foreign).unwrap();
    plan.options.sources[0].directory = foreign;
    let error = run(&plan, &mut Quiet).unwrap_err().to_string();
    assert!(error.contains("row 0 of") && error.contains("foreign") && error.contains("id 96"), "{error}");
}
