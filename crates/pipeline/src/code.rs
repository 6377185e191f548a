//! What the program is made of, as digests: a changed program does not reuse what an older one made.

use recon_schema::Sha256;

/// Crate → digest over its code and that of everything it uses (`build.rs`).
const CRATES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/code.rs"));

/// Digest over these crates, which must exist, and over what a stage itself does.
pub(crate) fn digest(crates: &[&str]) -> Sha256 {
    let of = |name: &&str| CRATES.iter().find(|(it, _)| it == name).unwrap_or_else(|| panic!("no crate {name}")).1;
    Sha256::of_fields(crates.iter().chain(&["pipeline"]).map(|name| of(name).as_bytes()))
}

/// Names the program that trains: two processes with one name compute the same.
pub fn program() -> String {
    format!("{} with code {}", env!("CARGO_PKG_VERSION"), digest(&["train"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_has_a_digest_of_its_own() {
        let digests: std::collections::BTreeSet<&str> = CRATES.iter().map(|(_, digest)| *digest).collect();
        assert_eq!(digests.len(), CRATES.len());
        assert!(CRATES.iter().any(|(name, _)| *name == "graph"));
        assert_ne!(digest(&["graph"]), digest(&["train"]));
    }
}
