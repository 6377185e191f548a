//! From a TOML file and `--set key=value` to a typed configuration.
//!
//! Unknown keys are refused with the nearest known name; a mistyped value names its key and line.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::include::{self, Blanked};
use recon_pipeline::{Failure, Outcome};

/// Reads `file` (an empty configuration if none), applies `assignments` in order.
pub fn load<T: DeserializeOwned>(file: Option<&Path>, assignments: &[String]) -> Outcome<T> {
    let mut table = match file {
        Some(path) => include::merged(path, &mut |path| read::<T>(path))?,
        None => Table::new(),
    };
    for assignment in assignments {
        assign(&mut table, assignment)?;
    }
    let place = match file {
        Some(path) if assignments.is_empty() => path.display().to_string(),
        _ => "--set".into(),
    };
    Value::Table(table).try_into().map_err(|error: toml::de::Error| explain(&place, &error))
}

/// Parses the file twice: once typed, so that an error has its line; once as a table to assign into. What it includes
/// is not read here.
fn read<T: DeserializeOwned>(path: &Path) -> Outcome<(Table, Vec<String>)> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::input(anyhow::Error::new(error).context(format!("failed to read configuration {}", path.display())))
    })?;
    let place = |error: &toml::de::Error| match error.span() {
        Some(span) => format!("{}:{}", path.display(), 1 + text[..span.start].matches('\n').count()),
        None => path.display().to_string(),
    };
    let Blanked { text: own, included } = Blanked::new(&text).map_err(|error| explain(&place(&error), &error))?;
    toml::from_str::<T>(&own).map_err(|error| explain(&place(&error), &error))?;
    let table = own.parse().map_err(|error| explain(&place(&error), &error))?;
    Ok((table, included))
}

/// Most names in a key: far more than any section is deep, far fewer than recursion can bear.
const MAX_DEPTH: usize = 16;

fn assign(table: &mut Table, assignment: &str) -> Outcome {
    let (key, text) = assignment
        .split_once('=')
        .filter(|(key, _)| !key.trim().is_empty())
        .ok_or_else(|| Failure::input_because(format!("--set {assignment}: expected key=value")))?;
    let depth = key.split('.').count();
    if depth > MAX_DEPTH {
        let begin: String = key.chars().take(40).collect();
        return Err(Failure::input_because(format!("--set {begin}…: the key has {depth} parts, at most {MAX_DEPTH}")));
    }
    let (mut parents, mut at) = (key.trim().split('.').collect::<Vec<_>>(), table);
    let last = parents.pop().expect("splitting gives at least one part");
    for parent in parents {
        let entry = at.entry(parent).or_insert_with(|| Value::Table(Table::new()));
        at = entry
            .as_table_mut()
            .ok_or_else(|| Failure::input_because(format!("--set {assignment}: `{parent}` is not a section")))?;
    }
    at.insert(last.into(), value(text.trim()));
    Ok(())
}

/// TOML if it is TOML, else the text itself: `--set model.name=nano` needs no quotes.
fn value(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.into()))
}

/// One clear line from serde's message, and the nearest name as a hint.
fn explain(place: &str, error: &toml::de::Error) -> Failure {
    let message = error.message();
    // Without a line the key says where: it stands behind the message, where there is one.
    let place = match error.to_string().lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`')) {
        Some(key) => format!("{place} {key}"),
        None => place.to_owned(),
    };
    let failure = Failure::input_because(format!("{place}: {message}"));
    if message.starts_with("wanted exactly 1 element") {
        return failure
            .hint("only one of its keys can be set: give all of it, as in `--set 'train.duration={ epochs = 1 }'`");
    }
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    match quoted.split_first() {
        Some((name, known)) if unknown => {
            let nearest = known.iter().max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)));
            let failure = Failure::input_because(format!("{place}: unknown {} `{name}`", kind(message)));
            match nearest {
                Some(nearest) if strsim::jaro(name, nearest) > 0.7 => {
                    failure.hint(format!("did you mean `{nearest}`?"))
                }
                _ if known.is_empty() => failure,
                _ => failure.hint(format!("known here: {}", known.join(", "))),
            }
        }
        _ => failure,
    }
}

fn kind(message: &str) -> &'static str {
    if message.starts_with("unknown field") { "key" } else { "value" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Outer {
        name: String,
        train: Inner,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        learning_rate: f64,
        steps: u32,
    }

    fn in_folder(files: &[(&str, &str)]) -> Outcome<Outer> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        load(Some(&folder.path().join(files[0].0)), &[])
    }

    #[test]
    fn what_a_file_says_wins_over_what_it_includes() {
        let outer = in_folder(&[
            ("arms/a.toml", "# an arm\ninclude = [\"../common.toml\", \"own.toml\"]\nname = \"a\"\n"),
            ("common.toml", "name = \"common\"\n[train]\nsteps = 3\nlearning_rate = 0.5\n"),
            ("arms/own.toml", "[train]\nsteps = 4\n"),
        ]);
        assert_eq!(outer.unwrap(), Outer { name: "a".into(), train: Inner { learning_rate: 0.5, steps: 4 } });
    }

    #[test]
    fn a_fault_in_an_included_file_has_its_own_place() {
        let with =
            |common| in_folder(&[("a.toml", "include = \"common.toml\"\nname = \"a\"\n"), ("common.toml", common)]);
        let failure = with("[train]\nsteps = 3\nstepps = 3\n").unwrap_err();
        assert!(failure.message().contains("common.toml:3: unknown key `stepps`"), "{}", failure.message());
        let failure = with("include = \"a.toml\"\n").unwrap_err();
        assert!(failure.message().contains("includes itself"), "{}", failure.message());
        let failure = in_folder(&[("a.toml", "include = \"absent.toml\"\n")]).unwrap_err();
        assert!(failure.message().contains("absent.toml"), "{}", failure.message());
        // A line below the inclusion keeps its number.
        let failure = in_folder(&[("a.toml", "include = [\n]\nnane = 1\n")]).unwrap_err();
        assert!(failure.message().contains("a.toml:3: unknown key `nane`"), "{}", failure.message());
        let failure = in_folder(&[("a.toml", "include = 3\n")]).unwrap_err();
        assert!(failure.message().contains("a.toml:1:"), "{}", failure.message());
    }

    fn from_file(text: &str, assignments: &[&str]) -> Outcome<Outer> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let assignments: Vec<String> = assignments.iter().map(ToString::to_string).collect();
        load(Some(file.path()), &assignments)
    }

    #[test]
    fn assignments_win_over_the_file() {
        let text = "name = \"a\"\n[train]\nsteps = 3\n";
        let outer = from_file(text, &["train.steps=7", "train.learning_rate=1e-3", "name=plain words"]).unwrap();
        assert_eq!(outer, Outer { name: "plain words".into(), train: Inner { learning_rate: 1e-3, steps: 7 } });
    }

    #[test]
    fn a_mistyped_key_gets_the_nearest_name_and_its_line() {
        let failure = from_file("name = \"a\"\n[train]\nlerning_rate = 1\n", &[]).unwrap_err();
        assert!(failure.message().ends_with(":3: unknown key `lerning_rate`"), "{}", failure.message());
        assert_eq!(failure.hint.as_deref(), Some("did you mean `learning_rate`?"));
        let failure = from_file("", &["train.stepps=1"]).unwrap_err();
        assert_eq!(failure.message(), "--set train: unknown key `stepps`");
        assert_eq!(failure.hint.as_deref(), Some("did you mean `steps`?"));
    }

    #[test]
    fn a_mistyped_value_names_its_line() {
        let failure = from_file("[train]\nsteps = \"many\"\n", &[]).unwrap_err();
        assert!(failure.message().contains(":2: invalid type: string \"many\""), "{}", failure.message());
    }

    #[test]
    fn depth_is_bounded_in_keys_values_and_files() {
        let dots = "a.".repeat(60_000) + "a";
        let failure = from_file("", &[&format!("{dots}=1")]).unwrap_err();
        assert!(failure.message().contains("60001 parts, at most 16"), "{}", failure.message());
        assert!(failure.message().len() < 200, "{}", failure.message().len());
        // What the parser bounds: it must be an error here too, and not the end of the stack.
        let (open, close) = ("[".repeat(60_000), "]".repeat(60_000));
        assert!(from_file("", &[&format!("train={open}{close}")]).is_err());
        assert!(from_file("", &[&format!("train={{ {dots} = 1 }}")]).is_err());
        assert!(from_file(&format!("{dots} = 1\n"), &[]).is_err());
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        for assignment in ["steps", "=3", "name.deep=1"] {
            let failure = from_file("name = \"a\"\n", &[assignment]).unwrap_err();
            assert!(failure.message().contains(assignment), "{}", failure.message());
        }
    }
}
