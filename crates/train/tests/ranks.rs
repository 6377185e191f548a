//! A step shared by ranks: the same bits on 1, 2 and 4 of them, resumed on another number, and what is said where one
//! fails.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use recon_checkpoint::state;
use recon_llama::Packed;
use recon_train::{
    Error, MemoryRows, Observer, ParallelOptions, Quiet, RowSource, SavePolicy, StateOn, StepMetrics, TrainOptions,
    TrainPlan, TrainReport, run_on, run_on_among,
};

mod tiny;
use tiny::{Run, StopAfter, metrics, options, rows, tensors};

const LIMIT: Duration = Duration::from_secs(30);

/// Two rows a micro-batch, four micro-batches a step, in as many parts as asked.
fn steps_of_eight(steps: u64, parts: Option<usize>, state: StateOn) -> TrainOptions {
    let parallel =
        ParallelOptions { parts: parts.map(|parts| parts.try_into().unwrap()), state, ..ParallelOptions::default() };
    let save = SavePolicy::EverySteps(2.try_into().unwrap());
    TrainOptions { accumulation: 4.try_into().unwrap(), parallel, save, ..options(steps) }
}

/// What every rank returns; `observer` and `data` are made for each rank.
fn among<O: Observer, D: RowSource>(
    world: usize,
    plan: impl Fn(usize) -> TrainPlan + Sync,
    data: impl Fn(usize) -> D + Sync,
    observer: impl Fn(usize) -> O + Sync,
) -> Vec<thread::Result<Result<TrainReport, Error>>> {
    thread::scope(|scope| {
        let spawn = |(rank, comm): (usize, Box<dyn recon_comm::Communicator + Send>)| {
            let (plan, data, observer) = (&plan, &data, &observer);
            scope.spawn(move || run_on_among(&plan(rank), &data(rank), &*comm, &mut observer(rank)))
        };
        let ranks: Vec<_> = recon_comm::threads(world, LIMIT).into_iter().enumerate().map(spawn).collect();
        ranks.into_iter().map(thread::ScopedJoinHandle::join).collect()
    })
}

/// The report of a run that all ranks end alike.
fn train(world: usize, plan: &TrainPlan, observer: impl Fn(usize) -> StopAfter + Sync) -> TrainReport {
    let mut reports = among(world, |_| plan.clone(), |_| MemoryRows::new(rows(24)).unwrap(), observer).into_iter();
    let first = reports.next().unwrap().unwrap().unwrap();
    for other in reports {
        let other = other.unwrap().unwrap();
        let figures = |report: &TrainReport| report.last.clone().map(|last| (last.step, last.loss_nats.to_bits()));
        assert_eq!((other.step, figures(&other)), (first.step, figures(&first)));
    }
    first
}

fn never(_rank: usize) -> StopAfter {
    StopAfter(u64::MAX)
}

fn figures(run: &Path) -> Vec<(u64, u64, u64, u64, u64)> {
    let of = |m: StepMetrics| (m.step, m.loss_nats.to_bits(), m.grad_norm.to_bits(), m.tokens, m.trained_tokens);
    metrics(run).into_iter().map(of).collect()
}

#[test]
fn one_two_and_four_ranks_give_the_same_bits_whoever_keeps_the_state() {
    let run = Run::new();
    let (alone, _) = run.train("alone", steps_of_eight(5, Some(4), StateOn::EveryRank), rows(24));
    for world in [2, 4] {
        for state in [StateOn::EveryRank, StateOn::Shared] {
            let name = format!("{world}-{state:?}");
            let report = train(world, &run.plan(&name, steps_of_eight(5, Some(4), state)), never);
            assert_eq!(figures(&run.out(&name)), figures(&run.out("alone")), "{name}");
            assert_eq!(tensors(&report.checkpoint), tensors(&alone.checkpoint), "{name}");
        }
    }
    // A control: gradients in another order of sums are near, and not the same.
    let other = train(1, &run.plan("other", steps_of_eight(5, Some(1), StateOn::EveryRank)), never);
    assert_ne!(tensors(&other.checkpoint), tensors(&alone.checkpoint));
    for (one, other) in metrics(&run.out("other")).iter().zip(metrics(&run.out("alone"))) {
        assert!((one.loss_nats - other.loss_nats).abs() < 1e-5, "{one:?} {other:?}");
    }
}

#[test]
fn shared_gradients_and_weights_leave_the_bits_and_the_files() {
    let run = Run::new();
    let (alone, _) = run.train("alone", steps_of_eight(5, Some(4), StateOn::EveryRank), rows(24));
    for (world, shards) in [(1, None), (2, None), (4, None), (4, NonZeroUsize::new(2))] {
        for state in [StateOn::SharedGradients, StateOn::SharedWeights] {
            let name = format!("{world}-{state:?}-{shards:?}");
            let mut options = steps_of_eight(5, None, state);
            options.parallel.shards = shards;
            let report = train(world, &run.plan(&name, options), never);
            assert_eq!(figures(&run.out(&name)), figures(&run.out("alone")), "{name}");
            assert_eq!(tensors(&report.checkpoint), tensors(&alone.checkpoint), "{name}");
        }
    }
}

/// Runs in which as many ranks share each row: the same bits however many rows are worked on at once, and near those of
/// ranks that each have rows of their own.
#[test]
fn ranks_that_share_rows_give_the_bits_of_their_number() {
    let run = Run::new();
    run.train("alone", steps_of_eight(5, Some(4), StateOn::EveryRank), rows(24));
    let alone = metrics(&run.out("alone"));
    let mut first: Option<Vec<(String, Vec<u32>)>> = None;
    for (world, state) in [
        (2, StateOn::EveryRank),
        (4, StateOn::EveryRank),
        (2, StateOn::Shared),
        (4, StateOn::SharedGradients),
        (4, StateOn::SharedWeights),
    ] {
        let name = format!("{world}-{state:?}");
        let mut options = steps_of_eight(5, Some(4), state);
        options.parallel.context = 2.try_into().unwrap();
        let report = train(world, &run.plan(&name, options), never);
        let found = tensors(&report.checkpoint);
        match &first {
            Some(first) => assert_eq!(&found, first, "{name}"),
            None => first = Some(found),
        }
        for (step, (one, other)) in metrics(&run.out(&name)).iter().zip(&alone).enumerate() {
            // The first step's weights are the same, and each token's loss has the same bits.
            let bound = if step == 0 { 1e-12 } else { 1e-5 };
            assert!((one.loss_nats / other.loss_nats - 1.0).abs() < bound, "{name}: {one:?} {other:?}");
            assert_eq!((one.tokens, one.trained_tokens), (other.tokens, other.trained_tokens));
        }
    }
    assert_ne!(first, Some(tensors(&state::path(&run.out("alone").join("checkpoints"), 5))), "a control");
}

#[test]
fn ranks_that_cannot_be_grouped_so_are_refused_by_all() {
    let run = Run::new();
    let refused = |world, change: fn(&mut ParallelOptions)| {
        let mut plan = run.plan("a", steps_of_eight(2, None, StateOn::SharedWeights));
        change(&mut plan.options.parallel);
        let said = among(world, |_| plan.clone(), |_| MemoryRows::new(rows(24)).unwrap(), never);
        said.into_iter().map(|rank| rank.unwrap().unwrap_err().to_string()).collect::<Vec<_>>()
    };
    for (world, change, expected) in [
        (
            2,
            (|it| it.context = 4.try_into().unwrap()) as fn(&mut ParallelOptions),
            "parallel.context is 4, which does not",
        ),
        (
            4,
            |it| it.context = 4.try_into().unwrap(),
            "parallel.context is 4: so many ranks cannot share 2 heads of keys",
        ),
        (4, |it| it.shards = NonZeroUsize::new(3), "parallel.shards is 3: expected 4, or a power of two"),
        (2, |it| it.parts = NonZeroUsize::new(2), "parallel.parts is 2: expected train.accumulation = 4"),
    ] {
        for said in refused(world, change) {
            assert!(said.contains(expected), "{said}");
        }
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks_to_the_same_bits() {
    let run = Run::new();
    let plan = |name: &str, parts| run.plan(name, steps_of_eight(8, parts, StateOn::Shared));
    let whole = train(1, &plan("whole", Some(4)), never);
    for state in [StateOn::Shared, StateOn::SharedWeights] {
        let name = format!("elastic-{state:?}");
        // Rank 1 alone is asked to stop; where there is one rank, it is.
        for (world, until) in [(1, 2), (2, 4), (4, 6), (1, u64::MAX)] {
            let stop = move |rank| StopAfter(if rank == 1 % world { until } else { u64::MAX });
            let plan = TrainPlan { resume: until != 2, ..run.plan(&name, steps_of_eight(8, Some(4), state)) };
            assert_eq!(train(world, &plan, stop).step, until.min(8), "on {world} ranks");
        }
        assert_eq!(figures(&run.out(&name)), figures(&run.out("whole")), "{name}");
        assert_eq!(tensors(&state::path(&run.out(&name).join("checkpoints"), 8)), tensors(&whole.checkpoint), "{name}");
    }

    // Where nobody says it, the parts are those of the first ranks, as long as they can be shared.
    train(4, &plan("unsaid", None), |_| StopAfter(3));
    train(2, &TrainPlan { resume: true, ..plan("unsaid", None) }, never);
    assert_eq!(figures(&run.out("unsaid")), figures(&run.out("whole")));
}

#[test]
fn a_step_that_the_ranks_cannot_share_is_refused_by_all() {
    let run = Run::new();
    for (world, parts, key) in
        [(3, None, "accumulation"), (2, Some(1), "parallel.parts"), (4, Some(6), "parallel.parts")]
    {
        let plan = run.plan("a", steps_of_eight(2, parts, StateOn::Shared));
        for rank in among(world, |_| plan.clone(), |_| MemoryRows::new(rows(24)).unwrap(), never) {
            match rank.unwrap() {
                Err(Error::Option { key: found, .. }) => assert_eq!(found, key),
                other => panic!("{other:?}"),
            }
        }
        assert!(!run.out("a").join("metrics.jsonl").exists());
    }
}

#[test]
fn a_rank_with_another_configuration_or_other_rows_is_named() {
    let run = Run::new();
    let plan = |lr| TrainPlan {
        options: TrainOptions { lr, ..steps_of_eight(2, None, StateOn::EveryRank) },
        ..run.plan("a", options(2))
    };
    let other_lr = |rank| plan(if rank == 1 { 3e-3 } else { 1e-2 });
    for said in among(4, other_lr, |_| MemoryRows::new(rows(24)).unwrap(), never) {
        let said = said.unwrap().unwrap_err().to_string();
        assert_eq!(said, "rank 1 of 4 has another `train.lr` than the others: 0.003, not 0.01");
    }
    let other_rows = |rank| MemoryRows::new(rows(if rank == 2 { 23 } else { 24 })).unwrap();
    for said in among(4, |_| plan(1e-2), other_rows, never) {
        let said = said.unwrap().unwrap_err().to_string();
        assert!(said.starts_with("rank 2 of 4 has another `data` than the others"), "{said}");
    }
    assert!(!run.out("a").exists(), "nothing was written");
}

/// Rows of which one rank cannot read that of a position.
struct Unreadable(MemoryRows, Option<u64>);

impl RowSource for Unreadable {
    fn rows(&self) -> u64 {
        self.0.rows()
    }

    fn row_tokens(&self) -> usize {
        self.0.row_tokens()
    }

    fn identity(&self) -> String {
        self.0.identity()
    }

    fn row(&self, position: u64) -> Result<Packed, Error> {
        if self.1 == Some(position) { Err(Error::Data("a bad sector".into())) } else { self.0.row(position) }
    }
}

/// Panics after a step.
struct DiesAfter(u64);

impl Observer for DiesAfter {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        assert_ne!(metrics.step, self.0, "this rank is meant to die");
        ControlFlow::Continue(())
    }
}

#[test]
fn a_rank_that_fails_or_dies_is_named_and_the_checkpoint_is_what_it_was() {
    let run = Run::new();
    let plan = |name: &str, resume| TrainPlan { resume, ..run.plan(name, steps_of_eight(6, None, StateOn::Shared)) };
    train(2, &plan("whole", false), never);
    let dies = |rank| DiesAfter(if rank == 1 { 3 } else { u64::MAX });
    // Position 26 is in the fourth step.
    let unreadable = |rank: usize| Unreadable(MemoryRows::new(rows(24)).unwrap(), (rank == 1).then_some(26));
    let lost = among(2, |_| plan("dies", false), |_| MemoryRows::new(rows(24)).unwrap(), dies);
    let gave_up = among(2, |_| plan("fails", false), unreadable, |_| Quiet);
    let said = |ranks: Vec<thread::Result<Result<TrainReport, Error>>>| {
        ranks.into_iter().next().unwrap().unwrap().unwrap_err()
    };
    assert_eq!(said(lost).to_string(), "rank 1 of 2 was lost");
    let weights = TrainPlan { options: steps_of_eight(6, None, StateOn::SharedWeights), ..plan("gathers", false) };
    let gave_up_gathering = among(2, |_| weights.clone(), unreadable, |_| Quiet);
    assert_eq!(said(gave_up_gathering).to_string(), "rank 1 of 2 gave up: failed to read the packed rows");
    assert_eq!(said(gave_up).to_string(), "rank 1 of 2 gave up: failed to read the packed rows");
    for name in ["dies", "fails"] {
        let checkpoints = run.out(name).join("checkpoints");
        assert_eq!(state::latest(&checkpoints).unwrap(), Some(state::path(&checkpoints, 2)), "{name}");
        train(1, &plan(name, true), never);
        assert_eq!(figures(&run.out(name)), figures(&run.out("whole")), "{name}");
    }
}

/// Counts the steps it is told of.
struct Counts(Arc<AtomicUsize>);

impl Observer for Counts {
    fn step(&mut self, _metrics: &StepMetrics) -> ControlFlow<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    }
}

#[test]
fn every_rank_sees_every_step_and_one_writes() {
    let run = Run::new();
    let told = Arc::new(AtomicUsize::new(0));
    let plan = run.plan("a", steps_of_eight(3, None, StateOn::EveryRank));
    let count = |_| Counts(Arc::clone(&told));
    among(4, |_| plan.clone(), |_| MemoryRows::new(rows(24)).unwrap(), count)
        .into_iter()
        .for_each(|it| drop(it.unwrap().unwrap()));
    assert_eq!((told.load(Ordering::Relaxed), metrics(&run.out("a")).len()), (12, 3));
    let alone =
        run_on(&TrainPlan { out: run.out("b"), ..plan }, &MemoryRows::new(rows(24)).unwrap(), &mut Quiet).unwrap();
    assert_eq!(alone.step, 3);
}
