//! placeholder
pub(crate) fn run(_root: &std::path::Path, _only: Option<&str>) -> anyhow::Result<bool> {
    Ok(false)
}
