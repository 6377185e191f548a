//! `recon.trajectory/3`: the re-lived development of a repository as a list of steps.
//!
//! A step belongs to an agent, has an author, and is trained or not. Observations and written
//! files carry the repository's own content with its digest, so that a finished trajectory can
//! be held against its repository byte for byte. What a reader needs to know stands in a field:
//! nothing is parsed back out of a text or an id.

mod search;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Sha256;
use crate::graph::RepositoryRef;
pub use search::{Candidate, Control, Fault, InitialThought, Leak, Outcome, Round, Search, Spared};

/// The name every trajectory record carries.
pub const SCHEMA: &str = "recon.trajectory/3";

/// One repository, or one part of a repository longer than the context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// [`SCHEMA`].
    pub schema: String,
    /// Unique in a corpus; [`trajectory_id`] of repository, arm and part.
    pub id: String,
    /// What is developed.
    pub repository: RepositoryRef,
    /// Which arm of the comparison made it.
    pub arm: Arm,
    /// 0 for the first part, which decides requirements and plan.
    pub part: u32,
    /// The model that wrote and scored thoughts; none where no model took part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// Seed of every random choice.
    pub seed: u64,
    /// The steps, in document order.
    pub steps: Vec<Step>,
    /// Counts over the steps.
    pub summary: Summary,
}

/// The id of a trajectory: `name@commit/arm#part`, without `@commit` where none is known.
pub fn trajectory_id(repository: &RepositoryRef, arm: Arm, part: u32) -> String {
    let commit = repository.commit.as_ref().map_or(String::new(), |commit| format!("@{commit}"));
    format!("{}{commit}/{arm}#{part}", repository.name)
}

/// The arms compared (paper, table of arms; `Prolong` needs no trajectories).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// Flattened code in dependency order.
    Raw,
    /// The same with one thought before each file: no plan, no agents, no search.
    Thought,
    /// Agentic trajectory without search (Repo2Agent).
    Agent,
    /// Agentic trajectory with thoughts refined by search (Repo2Agent-Search).
    Search,
}

impl std::fmt::Display for Arm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Thought => "thought",
            Self::Agent => "agent",
            Self::Search => "search",
        })
    }
}

/// Which model, down to its weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// As the user named it.
    pub name: String,
    /// Digest over configuration, tokenizer and weights.
    pub sha256: Sha256,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Who acts.
    pub agent: Agent,
    /// What happens.
    #[serde(flatten)]
    pub body: Body,
    /// Who composed the text.
    pub author: Author,
    /// Whether the step's body carries loss.
    pub trained: bool,
}

/// The agent a step belongs to; `main` or `file:<path>` in JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Agent {
    /// The agent that plans and delegates.
    Main,
    /// The sub-agent of one file.
    File(String),
}

impl From<Agent> for String {
    fn from(agent: Agent) -> Self {
        match agent {
            Agent::Main => "main".into(),
            Agent::File(path) => format!("file:{path}"),
        }
    }
}

impl TryFrom<String> for Agent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match (text.as_str(), text.strip_prefix("file:")) {
            ("main", _) => Ok(Self::Main),
            (_, Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(format!("`{text}` is no agent: expected `main` or `file:<path>`")),
        }
    }
}

/// Who composed a step's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The local Llama.
    Model,
    /// Composed from the syntax tree and the dependency graph, without a model.
    Outline,
    /// The repository itself.
    Repository,
    /// The simulated tool that answers an action.
    Tool,
}

impl std::fmt::Display for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Model => "model",
            Self::Outline => "outline",
            Self::Repository => "repository",
            Self::Tool => "tool",
        })
    }
}

/// What a step holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// What a document opens with: the repository's name and its file tree. Never trained.
    Opening {
        /// As it is shown.
        text: String,
    },
    /// The second opening of a later part: where the work stands. Never trained.
    Continuation(Continuation),
    /// A thought.
    Think {
        /// What is thought.
        text: String,
        /// What it is about.
        subject: Subject,
        /// How the search arrived at it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        search: Option<Box<Search>>,
    },
    /// A tool call.
    Action {
        /// The tool and what it is given.
        action: Action,
    },
    /// A tool's answer. Never trained.
    Observation {
        /// What is observed.
        #[serde(flatten)]
        observed: Observed,
    },
}

/// What earlier parts decided and wrote. The renderer composes the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuation {
    /// The thoughts of the first part; none in the arms without agents, which decide nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
    /// Files that exist, newest first.
    pub written: Vec<String>,
    /// How many files older than those exist and are not named, for want of room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub earlier: u64,
}

/// What the main agent decided before the first file was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What the project is to be.
    pub requirements: String,
    /// Which file does what, in which order.
    pub plan: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a thought is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Subject {
    /// What the project is to be.
    Requirements,
    /// Which file does what, in which order.
    Plan,
    /// What a sub-agent's file is to be, before the sub-agent decides what to read.
    Design {
        /// The sub-agent's file.
        path: String,
    },
    /// What a sub-agent will read before it writes its file, and why.
    Reading {
        /// The sub-agent's file.
        path: String,
        /// What it reads next, in order.
        reads: Vec<String>,
    },
    /// What is about to be written.
    Writing {
        /// The file.
        path: String,
    },
    /// What the tools' answer to a sub-agent's draft changes.
    Revising {
        /// The sub-agent's file.
        path: String,
        /// Faults that the tools found.
        faults: u64,
    },
}

impl Subject {
    /// The file concerned; none where it is the whole project.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Requirements | Self::Plan => None,
            Self::Design { path }
            | Self::Reading { path, .. }
            | Self::Writing { path }
            | Self::Revising { path, .. } => Some(path),
        }
    }

    /// Who thinks about it where there are sub-agents.
    pub fn agent(&self) -> Agent {
        self.path().map_or(Agent::Main, |path| Agent::File(path.into()))
    }
}

/// What an observation shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// A short result.
    Text(String),
    /// A file that was read.
    Content(FileContent),
}

/// A tool with what it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tool", rename_all = "snake_case")]
pub enum Action {
    /// Hand a file to its sub-agent.
    Delegate {
        /// The file to be written.
        path: String,
    },
    /// Read a file that exists already.
    Read {
        /// The file to be read.
        path: String,
    },
    /// Try a file out: the tools answer, and nothing is written. What the model believed is context,
    /// never trained.
    Draft {
        /// The file to be written.
        path: String,
        /// What the model believes it to be, or its beginning.
        text: String,
    },
    /// Write a file.
    Write(FileContent),
    /// Finish.
    Done,
}

impl Action {
    /// The tool's name, in records and in documents.
    pub fn tool(&self) -> &'static str {
        match self {
            Self::Delegate { .. } => "delegate",
            Self::Read { .. } => "read",
            Self::Draft { .. } => "draft",
            Self::Write(_) => "write",
            Self::Done => "done",
        }
    }

    /// The file concerned; `done` has none.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Delegate { path } | Self::Read { path } | Self::Draft { path, .. } => Some(path),
            Self::Write(file) => Some(&file.path),
            Self::Done => None,
        }
    }
}

impl Step {
    /// The file that the step writes.
    pub fn written(&self) -> Option<&FileContent> {
        match &self.body {
            Body::Action { action: Action::Write(file) } => Some(file),
            _ => None,
        }
    }

    /// The file that the step shows, written or read.
    pub fn shown(&self) -> Option<&FileContent> {
        match &self.body {
            Body::Observation { observed: Observed::Content(file) } => Some(file),
            _ => self.written(),
        }
    }
}

/// A file's text after redaction, with the digest of the original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// Path from the repository root.
    pub path: String,
    /// Digest of the file's original bytes.
    pub sha256: Sha256,
    /// The text after the redactions below.
    pub text: String,
    /// What was replaced, in order, without overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<Redaction>,
}

/// One replaced span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// First byte in the original.
    pub start: u64,
    /// One past the last byte in the original.
    pub end: u64,
    /// The rule that found it.
    pub rule: String,
    /// What stands there now.
    pub replacement: String,
}

/// Counts over a trajectory's steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Files written.
    pub files: u64,
    /// Steps by author name.
    pub steps_by_author: BTreeMap<Author, u64>,
    /// Thoughts and candidates refused by the leak gate, by author.
    pub leaks_by_author: BTreeMap<Author, u64>,
    /// First thoughts of the model that were none, by what was wrong; the outline's stand in their place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub first_refused: BTreeMap<Fault, u64>,
    /// Files left out because they alone exceed the context, with their size in tokens.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
    /// Files left out because the model has no token for a character of theirs, with the first such
    /// character.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unencodable: BTreeMap<String, char>,
}

impl Summary {
    /// Counts `steps`; leaks, refusals and files left out are kept as they are.
    pub fn recount(&mut self, steps: &[Step]) {
        self.files = 0;
        self.steps_by_author.clear();
        for step in steps {
            *self.steps_by_author.entry(step.author).or_default() += 1;
            self.files += u64::from(step.written().is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_flat_in_json() {
        let step = Step {
            agent: Agent::File("a.py".into()),
            body: Body::Observation {
                observed: Observed::Content(FileContent {
                    path: "b.py".into(),
                    sha256: Sha256::of(b"x"),
                    text: "x".into(),
                    redactions: vec![],
                }),
            },
            author: Author::Repository,
            trained: false,
        };
        let json = serde_json::to_value(&step).unwrap();
        assert_eq!(json["agent"], "file:a.py");
        assert_eq!(json["kind"], "observation");
        assert_eq!(json["content"]["text"], "x");
        assert_eq!(serde_json::from_value::<Step>(json).unwrap(), step);
    }

    #[test]
    fn thought_survives_json() {
        let step = Step {
            agent: Agent::Main,
            body: Body::Think { text: "plan".into(), subject: Subject::Plan, search: None },
            author: Author::Outline,
            trained: true,
        };
        let json = serde_json::to_string(&step).unwrap();
        assert_eq!(
            json,
            r#"{"agent":"main","kind":"think","text":"plan","subject":{"about":"plan"},"author":"outline","trained":true}"#
        );
        assert_eq!(serde_json::from_str::<Step>(&json).unwrap(), step);
    }

    #[test]
    fn a_write_is_its_file_and_no_other_action_has_one() {
        let file = FileContent { path: "a.py".into(), sha256: Sha256::of(b"x"), text: "x".into(), redactions: vec![] };
        let write = Body::Action { action: Action::Write(file) };
        let json = serde_json::to_value(&write).unwrap();
        assert_eq!((json["action"]["tool"].as_str(), json["action"]["text"].as_str()), (Some("write"), Some("x")));
        assert_eq!(serde_json::from_value::<Body>(json).unwrap(), write);
        for broken in [r#"{"tool":"write","path":"a.py"}"#, r#"{"tool":"read"}"#, r#"{"tool":"erase","path":"a.py"}"#] {
            assert!(serde_json::from_str::<Action>(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn an_id_names_repository_commit_arm_and_part() {
        let mut repository = RepositoryRef { name: "r".into(), source: "r".into(), commit: None, licence: None };
        assert_eq!(trajectory_id(&repository, Arm::Raw, 0), "r/raw#0");
        repository.commit = Some("c".into());
        assert_eq!(trajectory_id(&repository, Arm::Search, 12), "r@c/search#12");
    }

    #[test]
    fn unknown_agents_are_refused() {
        assert!(serde_json::from_str::<Agent>("\"file:\"").is_err());
        assert!(serde_json::from_str::<Agent>("\"root\"").is_err());
    }
}
