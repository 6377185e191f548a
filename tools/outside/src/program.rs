//! Starting other programs: an exit status other than 0 is an error that names the command.
//!
//! [`run`], [`output`] and [`outcome`] are silent: what the program wrote to stderr is the error, or is returned. [`watch`]
//! and [`listen`] let it through as it comes, for programs that take long.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Cargo, in the environment that the tool was started in: cargo describes the package it runs in variables, and build
/// scripts that watch those would run again, with all that depends on them.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| text.starts_with(start)) {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    output(command).map(drop)
}

/// Runs a command to its end; its stdout.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let (success, text, errors) = outcome(command)?;
    ensure!(success, "{command:?} failed:\n{}", errors.trim());
    Ok(text)
}

/// Runs a command to its end: whether it succeeded, its stdout and its stderr.
pub fn outcome(command: &mut Command) -> anyhow::Result<(bool, String, String)> {
    // A stdout that the caller has sent elsewhere stays there.
    let output = command.output().with_context(|| format!("failed to start {command:?}; is it installed?"))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((output.status.success(), text(output.stdout), text(output.stderr)))
}

/// Runs a command to its end; what it prints is seen.
pub fn watch(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("failed to start {command:?}; is it installed?"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Runs a command to its end; its stdout, while its stderr is seen.
pub fn listen(command: &mut Command) -> anyhow::Result<String> {
    output(command.stderr(Stdio::inherit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let failing = || {
            let mut command = Command::new("sh");
            command.args(["-c", "echo told; echo why >&2; exit 3"]);
            command
        };
        let error = run(&mut failing()).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("why"), "{error}");
        assert_eq!(outcome(&mut failing()).unwrap(), (false, "told\n".into(), "why\n".into()));
        assert!(watch(Command::new("sh").args(["-c", "exit 3"])).is_err());
        assert!(listen(Command::new("sh").args(["-c", "exit 3"])).is_err());
        let absent = run(&mut Command::new("no-such-program")).unwrap_err().to_string();
        assert!(absent.contains("no-such-program"), "{absent}");
    }

    #[test]
    fn cargo_is_not_told_of_the_tools_own_package() {
        // Tests run under cargo, so the variables are there to be removed.
        let cargo = cargo();
        let removed = |wanted: &str| cargo.get_envs().any(|(name, value)| name == wanted && value.is_none());
        assert!(removed("CARGO_PKG_NAME") && removed("CARGO_MANIFEST_DIR"));
        assert!(!removed("PATH"));
    }
}
