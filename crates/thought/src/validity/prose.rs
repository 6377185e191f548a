//! The form of a thought: natural language, and nothing that a turn, a tool or a program would say.

use recon_schema::trajectory::Fault;

use super::Found;

/// What templates of many models spell for control.
const CONTROL: [&str; 8] = ["<|", "|>", "[INST]", "[/INST]", "<<SYS>>", "</s>", "<tool_call>", "<tool_response>"];
/// Roles as headers name them.
const ROLES: [&str; 5] = ["system", "user", "assistant", "tool", "human"];
/// Words that a line of prose does not begin with, in one of the languages parsed.
const CODE: [&str; 24] = [
    "def ",
    "class ",
    "import ",
    "from ",
    "return ",
    "fn ",
    "pub ",
    "let ",
    "const ",
    "var ",
    "func ",
    "function ",
    "#include",
    "package ",
    "public ",
    "private ",
    "static ",
    "struct ",
    "impl ",
    "@",
    "if (",
    "for (",
    "while (",
    "});",
];
/// Words without which no English text of some length gets by.
const LITTLE: [&str; 40] = [
    "the", "a", "an", "and", "or", "of", "to", "in", "is", "are", "be", "it", "its", "for", "with", "that", "this",
    "on", "by", "as", "from", "which", "will", "must", "should", "can", "we", "i", "at", "has", "have", "not", "when",
    "what", "then", "into", "any", "each", "how", "if",
];
/// From so many words on, the share of little words is judged.
const JUDGED_WORDS: usize = 8;

/// An answer without white space around it, with Unix line ends, and without a line that only
/// announces it (`Here is the thought:`).
pub(super) fn trimmed(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    match text.split_once('\n') {
        Some((first, rest)) if announces(first) => rest.trim().to_owned(),
        _ => text.to_owned(),
    }
}

fn announces(line: &str) -> bool {
    let line = line.trim().trim_matches('*').to_lowercase();
    let begins = ["here is", "here's", "here are", "sure", "certainly", "okay", "thought", "my thought"];
    line.ends_with(':') && line.len() < 120 && begins.iter().any(|word| line.starts_with(word))
}

/// Refuses what is no natural language.
pub(super) fn form(text: &str) -> Result<(), Found> {
    if text.is_empty() {
        return Err((Fault::Empty, "the answer is empty".into()));
    }
    let broken = |c: char| c == char::REPLACEMENT_CHARACTER || (c.is_control() && !matches!(c, '\n' | '\t'));
    if text.contains(broken) || !text.contains(char::is_alphabetic) {
        return Err((Fault::Unreadable, "the answer is not readable text".into()));
    }
    if let Some(word) = CONTROL.iter().find(|word| text.contains(**word)) {
        return Err((Fault::Control, format!("it spells `{word}`, as a chat template does")));
    }
    if let Some(line) = text.lines().find(|line| is_header(line)) {
        return Err((Fault::Control, format!("it opens a turn: {}", line.trim())));
    }
    if let Some(line) = text.lines().find(|line| is_action(line)) {
        return Err((Fault::Action, format!("it acts in JSON: {}", recon_repository::line::clip(line.trim(), 60))));
    }
    if text.contains("```") || text.contains("~~~") {
        return Err((Fault::Code, "it holds a fenced block".into()));
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let (code, all) = lines.fold((0, 0), |(code, all), line| (code + usize::from(is_code(line)), all + 1));
    if code > 1 || code == all {
        return Err((Fault::Code, format!("{code} of {all} lines are code")));
    }
    natural(text)
}

/// `### user`, `assistant:`, a role on a line of its own.
fn is_header(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    let bare = line.trim_start_matches(['#', '*', ' ']).trim_end_matches(['*', ' ']);
    ROLES.iter().any(|role| {
        let rest = bare.strip_prefix(role);
        rest.is_some_and(|rest| rest.is_empty() || rest == ":" || (rest.starts_with(": ") && *role != "tool"))
    })
}

fn is_action(line: &str) -> bool {
    let line = line.trim();
    let opens = ["{\"", "[{", "{'"].iter().any(|start| line.starts_with(start));
    opens || ["\"tool\":", "\"action\":", "\"arguments\":", "\"function\":"].iter().any(|key| line.contains(key))
}

fn is_code(line: &str) -> bool {
    let line = line.trim();
    let ends = [";", "{", "}", "):", "]:", "else:", "try:"].iter().any(|end| line.ends_with(end));
    let is_short_statement = || {
        CODE.iter().any(|word| line.starts_with(word))
            && !line.ends_with(['.', '!', '?', ':', ','])
            && line.split_whitespace().count() < 12
    };
    let assigns = || {
        let Some((name, _)) = line.split_once(" = ") else { return false };
        !name.contains(' ') && !line.ends_with('.')
    };
    line.starts_with(">>>") || ends || is_short_statement() || assigns()
}

/// Refuses what has no sentence's words: outside code, mostly letters and digits, and the little words of English.
fn natural(text: &str) -> Result<(), Found> {
    let spoken: String = text.split('`').step_by(2).collect();
    let printed = spoken.chars().filter(|c| !c.is_whitespace()).count();
    let letters = spoken.chars().filter(|c| c.is_alphanumeric()).count();
    if letters * 10 < printed * 7 {
        return Err((Fault::NotProse, format!("{letters} of {printed} characters are letters or digits")));
    }
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let words: Vec<String> = spoken.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect();
    let little = words.iter().filter(|word| LITTLE.contains(&word.as_str())).count();
    if words.len() >= JUDGED_WORDS && little * 10 < words.len() {
        return Err((Fault::NotProse, format!("{little} of {} words join others", words.len())));
    }
    Ok(())
}
