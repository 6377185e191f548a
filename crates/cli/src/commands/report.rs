//! `recon report`: one page over a run, from what its stages left on the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use recon_pipeline::{Failure, Outcome};
use recon_report::{Repository, Run, Stage, TrainingStep, page};
use recon_schema::file::{each_json_line, read_json_lines, write_bytes};
use recon_schema::graph::{RepoGraph, SCHEMA as GRAPH};
use recon_schema::manifest::Manifest;
use recon_schema::trajectory::{SCHEMA, Trajectory};
use serde::Deserialize;
use serde_json::Value;

use super::check::files;

/// Stages of the whole set, before and after those that work on shards.
const BEFORE: [&str; 1] = ["read"];
const OF_SHARDS: [&str; 3] = ["graph", "synth", "refine"];
const AFTER: [&str; 5] = ["pack", "before", "train", "export", "after"];

/// Write one page that shows what a run made, and at what cost.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  recon report out/recon\n  recon report out --repositories 100 --html page.html")]
pub struct ReportArgs {
    /// The run: the directory that `recon run` named at its end.
    out: PathBuf,
    /// Where to write the page; `report.html` in the run by default.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Repositories that are shown one by one, the first ones; sums are over all of them.
    #[arg(long, default_value_t = 20, value_name = "N")]
    repositories: usize,
}

/// One line of `metrics.jsonl`, as far as it is shown.
#[derive(Deserialize)]
struct Metrics {
    step: u64,
    loss_nats: f64,
    trained_tokens: u64,
}

/// Runs the command.
pub fn run(arguments: &ReportArgs) -> Outcome {
    let root = &arguments.out;
    let found = files(root)?;
    let mut run = Run { title: title(root), stages: stages(root)?, ..Run::default() };
    run.corpus = facts(&root.join("read"))?
        .map(|facts| serde_json::from_value(facts["found"].clone()))
        .transpose()
        .map_err(Failure::run)?;
    for trajectories in found {
        shard(&trajectories, arguments.repositories, &mut run)?;
    }
    let metrics = root.join("train").join("metrics.jsonl");
    if metrics.is_file() {
        let steps = read_json_lines::<Metrics>(&metrics, "training metrics")?;
        let step = |Metrics { step, loss_nats, trained_tokens }| TrainingStep { step, loss_nats, trained_tokens };
        run.training = steps.into_iter().map(step).collect();
    }
    let per_token = |stage: &str| -> Outcome<Option<f64>> {
        let Some(facts) = facts(&root.join(stage))? else { return Ok(None) };
        let figures = (facts["found"]["nats"].as_f64(), facts["found"]["tokens"].as_f64());
        Ok(if let (Some(nats), Some(tokens)) = figures { (tokens > 0.0).then_some(nats / tokens) } else { None })
    };
    run.held_out = per_token("before")?.zip(per_token("after")?).map(|(before, after)| [before, after]);
    let html = arguments.html.clone().unwrap_or_else(|| root.join("report.html"));
    write_bytes(&html, page(&run).as_bytes())?;
    tracing::info!(page = %html.display(), repositories = run.repository_count, "written");
    Ok(())
}

fn title(root: &Path) -> String {
    let name = root.file_name().map_or_else(|| root.display().to_string(), |name| name.to_string_lossy().into_owned());
    format!("recon: {name}")
}

/// Adds the repositories of the shard in which `trajectories` lie.
fn shard(trajectories: &Path, most_shown: usize, run: &mut Run) -> Outcome {
    let stage = trajectories.parent().expect("it is a file of a stage");
    let graphs = stage.with_file_name("graph").join("graphs.jsonl.zst");
    let mut graphs = each_json_line::<RepoGraph>(&graphs, GRAPH)?;
    let mut last: Option<String> = None;
    for trajectory in each_json_line::<Trajectory>(trajectories, SCHEMA)? {
        let trajectory = trajectory?;
        run.search.add(&trajectory);
        let name = &trajectory.repository.name;
        if last.as_ref() != Some(name) {
            last = Some(name.clone());
            run.repository_count += 1;
            if run.repositories.len() < most_shown {
                let graph = graphs.by_ref().find(|graph| graph.as_ref().map_or(true, |it| it.repository.name == *name));
                let graph =
                    graph.ok_or_else(|| Failure::run_because(format!("{name} has trajectories and no graph")))??;
                run.repositories.push(Repository { graph, trajectories: Vec::new() });
            }
        }
        if let Some(shown) = run.repositories.last_mut().filter(|shown| shown.graph.repository.name == *name) {
            shown.trajectories.push(trajectory);
        }
    }
    Ok(())
}

/// The complete stages, those of shards summed over them.
fn stages(root: &Path) -> Outcome<Vec<Stage>> {
    let mut of_shards: BTreeMap<&str, Stage> = BTreeMap::new();
    let mut whole = Vec::new();
    let shards = std::fs::read_dir(root.join("shards")).map_err(Failure::of_file("failed to list", root))?;
    for shard in shards.flatten() {
        for name in OF_SHARDS {
            let Some(more) = stage(&shard.path(), name)? else { continue };
            let sum = of_shards.entry(name).or_insert_with(|| Stage { name: name.into(), ..Stage::default() });
            sum.seconds += more.seconds;
            let add = |sum: Option<u64>, more: Option<u64>| more.map(|more| sum.unwrap_or_default() + more).or(sum);
            sum.fresh_tokens = add(sum.fresh_tokens, more.fresh_tokens);
            sum.generated_tokens = add(sum.generated_tokens, more.generated_tokens);
        }
    }
    for name in BEFORE {
        whole.extend(stage(root, name)?);
    }
    whole.extend(OF_SHARDS.iter().filter_map(|name| of_shards.remove(name)));
    for name in AFTER {
        whole.extend(stage(root, name)?);
    }
    Ok(whole)
}

/// A stage's cost over all the runs it took, as its manifest says; none where it is not complete.
fn stage(root: &Path, name: &str) -> Outcome<Option<Stage>> {
    let Some(facts) = facts(&root.join(name))? else { return Ok(None) };
    let cost = &facts["found"]["cost"];
    let lacks =
        || Failure::run_because(format!("{}: its manifest does not say what it took", root.join(name).display()));
    let seconds = cost["seconds"].as_f64().or(facts["seconds"].as_f64()).ok_or_else(lacks)?;
    let tokens = |kind: &str| cost[kind].as_u64().filter(|tokens| *tokens > 0);
    let (fresh_tokens, generated_tokens) = (tokens("fresh_tokens"), tokens("generated_tokens"));
    Ok(Some(Stage { name: name.into(), seconds, fresh_tokens, generated_tokens }))
}

fn facts(directory: &Path) -> Outcome<Option<Value>> {
    Ok(Manifest::read(directory)?.map(|manifest| manifest.facts))
}
