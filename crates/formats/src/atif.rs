//! The Agent Trajectory Interchange Format: the main agent's trajectory, with those of its sub-agents inside.
//!
//! Source: Harbor, RFC 0001, version 1.7: steps are numbered from 1, sources are `system`, `user`
//! and `agent`, an observation's results name the calls they answer, and a delegation's result
//! names the sub-agent's trajectory, which lies in that of its parent.

use recon_schema::trajectory::{Action, Agent, Trajectory};
use serde_json::{Value, json};

use crate::conversation::{Conversation, Turn, conversations};
use crate::messages::{arguments, tools};

/// The record of a trajectory.
pub fn record(trajectory: &Trajectory) -> Value {
    let all = conversations(trajectory);
    let (main, others) = all.split_first().expect("a trajectory has a main agent");
    let mut record = of_agent(trajectory, main);
    if !others.is_empty() {
        record["subagent_trajectories"] = others.iter().map(|it| of_agent(trajectory, it)).collect();
    }
    let repository = &trajectory.repository;
    record["extra"] =
        json!({"repository": repository.name, "commit": repository.commit, "licence": repository.licence});
    record
}

/// Names the trajectory of one agent.
fn name(trajectory: &Trajectory, agent: &Agent) -> String {
    format!("{}/{}", trajectory.id, String::from(agent.clone()))
}

fn of_agent(trajectory: &Trajectory, Conversation { agent, given, turns }: &Conversation) -> Value {
    let mut steps: Vec<Value> = Vec::new();
    for (at, text) in given.iter().enumerate() {
        let source = if at == 0 { "system" } else { "user" };
        steps.push(json!({"step_id": steps.len() + 1, "source": source, "message": text}));
    }
    for turn in turns {
        let step = step(trajectory, turn, steps.len() + 1);
        steps.push(step);
    }
    let mut described = json!({"name": "recon", "version": env!("CARGO_PKG_VERSION"), "tool_definitions": tools()});
    if let Some(model) = &trajectory.model {
        described["model_name"] = json!(model.name);
    }
    json!({
        "schema_version": "ATIF-v1.7",
        "session_id": trajectory.id,
        "trajectory_id": name(trajectory, agent),
        "agent": described,
        "steps": steps,
    })
}

fn step(trajectory: &Trajectory, Turn { thought, action, observed, .. }: &Turn, number: usize) -> Value {
    let source = if thought.is_some() || action.is_some() { "agent" } else { "user" };
    let mut step = json!({"step_id": number, "source": source, "message": thought.as_deref().unwrap_or_default()});
    let call = format!("call_{number}");
    if let Some(action) = action {
        let call = json!({"tool_call_id": call, "function_name": action.tool(), "arguments": arguments(action)});
        step["tool_calls"] = json!([call]);
    }
    match (observed, action) {
        (None, _) => {}
        (Some(text), None) => step["message"] = json!(text),
        (Some(text), Some(action)) => {
            let mut result = json!({"source_call_id": call, "content": text});
            if let Action::Delegate { path } = action {
                let of = name(trajectory, &Agent::File(path.clone()));
                result["subagent_trajectory_ref"] = json!([{"trajectory_id": of}]);
            }
            step["observation"] = json!({"results": [result]});
        }
    }
    step
}
