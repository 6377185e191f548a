//! Projects become documents by the same code that renders any repository: the graph, the
//! agents with the outline author, the renderer, the packer.

use std::path::Path;

use recon_agents::AgentOptions;
use recon_graph::Repository;
use recon_pack::{PackDocument, PackOptions, PackReport};
use recon_schema::Sha256;
use recon_schema::trajectory::{Arm, Trajectory};
use recon_text::{Renderer, Rendering, Tokenizer};

use crate::recipe::{AGENT_SHARE, CONTEXT_TOKENS, SEED};
use crate::select::Project;

/// The arm of a training project, by the digest of its name.
pub(crate) fn arm_of(project: &Project) -> Arm {
    let digest = Sha256::of_fields([&b"arm"[..], project.source.as_bytes(), &project.part.to_le_bytes()]);
    if (digest.to_u64() as f64) < AGENT_SHARE * (u64::MAX as f64) { Arm::Agent } else { Arm::Raw }
}

/// The development of one project, in parts that fit the context.
pub(crate) fn trajectories(project: &Project, arm: Arm, renderer: &Renderer<'_>) -> anyhow::Result<Vec<Trajectory>> {
    let mut repository = Repository::from_files(&project.name, project.files.clone());
    repository.reference.source.clone_from(&project.source);
    repository.reference.licence = Some(project.licence.clone());
    let graph = recon_graph::build(&repository);
    let options = AgentOptions {
        arm,
        seed: SEED,
        context_tokens: CONTEXT_TOKENS,
        max_reads: 2,
        max_read_tokens: 1024,
        max_thought_tokens: 256,
        max_plan_tokens: 768,
        ..AgentOptions::default()
    };
    match recon_agents::simulate(&repository, &graph, &options, renderer, None) {
        Ok(trajectories) => Ok(trajectories),
        Err(recon_agents::Error::NoFiles { .. } | recon_agents::Error::OpeningTooLong { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Packs the training projects into rows of each of `row_tokens`, below `work/packs`.
pub(crate) fn pack_all(
    work: &Path,
    projects: &[Project],
    tokenizer: &Tokenizer,
    row_tokens: &[usize],
) -> anyhow::Result<()> {
    let renderer = Renderer::new(tokenizer, Rendering::Chat);
    let mut documents = Vec::new();
    for project in projects {
        for trajectory in trajectories(project, arm_of(project), &renderer)? {
            documents.push(PackDocument::from_trajectory(&renderer, &trajectory));
        }
    }
    for &row_tokens in row_tokens {
        let options = PackOptions { row_tokens, domain: "nano".into(), ..PackOptions::default() };
        let report: PackReport = recon_pack::pack(documents.clone(), &options, &directory(work, row_tokens))?;
        tracing::info!(row_tokens, ?report, "packed");
    }
    Ok(())
}

/// The pack with rows of `row_tokens`.
pub(crate) fn directory(work: &Path, row_tokens: usize) -> std::path::PathBuf {
    work.join(format!("packs/{row_tokens}"))
}
