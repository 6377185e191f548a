//! Chat messages with tool calls, one record an agent.
//!
//! Source: OpenAI, Chat Completions and fine-tuning formats: a call's arguments are JSON in a
//! string, an answer names its call, and `weight` says whether a message is trained.

use recon_schema::trajectory::{Action, Trajectory};
use serde_json::{Value, json};

use crate::conversation::{Conversation, Turn, conversations};

/// The records of a trajectory.
pub fn records(trajectory: &Trajectory) -> Vec<Value> {
    conversations(trajectory).iter().map(|it| record(trajectory, it)).collect()
}

fn record(trajectory: &Trajectory, Conversation { agent, given, turns }: &Conversation) -> Value {
    let mut messages: Vec<Value> = Vec::new();
    messages.extend(given.first().map(|text| json!({"role": "system", "content": text})));
    messages.extend(given.iter().skip(1).map(|text| json!({"role": "user", "content": text})));
    for (at, turn) in turns.iter().enumerate() {
        messages.extend(of_turn(turn, &format!("call_{at}")));
    }
    let repository = &trajectory.repository;
    json!({
        "messages": messages,
        "tools": tools(),
        "metadata": {
            "trajectory": trajectory.id,
            "agent": agent,
            "repository": repository.name,
            "commit": repository.commit,
            "licence": repository.licence,
        },
    })
}

fn of_turn(Turn { thought, action, observed, trained }: &Turn, id: &str) -> Vec<Value> {
    let mut messages = Vec::new();
    if thought.is_some() || action.is_some() {
        let mut message = json!({"role": "assistant", "content": thought, "weight": u8::from(*trained)});
        if let Some(action) = action {
            let function = json!({"name": action.tool(), "arguments": arguments(action).to_string()});
            message["tool_calls"] = json!([{"id": id, "type": "function", "function": function}]);
        }
        messages.push(message);
    }
    if let Some(text) = observed {
        // What no call led to was told, not answered.
        messages.push(match action {
            Some(_) => json!({"role": "tool", "tool_call_id": id, "content": text}),
            None => json!({"role": "user", "content": text}),
        });
    }
    messages
}

/// What a tool is given.
pub(crate) fn arguments(action: &Action) -> Value {
    match action {
        Action::Delegate { path } | Action::Read { path } => json!({"path": path}),
        Action::Draft { path, text } => json!({"path": path, "content": text}),
        Action::Write(file) => json!({"path": file.path, "content": file.text}),
        Action::Done => json!({}),
    }
}

/// The tools as JSON Schema.
pub(crate) fn tools() -> Value {
    let tool = |name: &str, description: &str, parameters: &[&str]| {
        let properties: Value = parameters.iter().map(|it| ((*it).to_owned(), json!({"type": "string"}))).collect();
        let parameters = json!({"type": "object", "properties": properties, "required": parameters});
        json!({"type": "function", "function": {"name": name, "description": description, "parameters": parameters}})
    };
    json!([
        tool("delegate", "Have a sub-agent write a file.", &["path"]),
        tool("read", "Read a file that exists.", &["path"]),
        tool("draft", "Try out what a file might be.", &["path", "content"]),
        tool("write", "Write a file.", &["path", "content"]),
        tool("done", "End the work.", &[]),
    ])
}
