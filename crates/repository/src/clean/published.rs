//! Values that standards and manuals publish as examples.
//!
//! A value → whether it is known to be nobody's. Everyone who writes a client copies these values
//! into its tests and its documentation, and a model should learn them as they stand.

/// Values of standards and manuals, as they stand there.
const PUBLISHED: &[&str] = &[
    // RFC 5849 (OAuth 1.0), its predecessor and its test cases.
    "ad180jjd733klru7",
    "dpf43f3p2l4k3l03",
    "hh5s93j4hdidpola",
    "hdhd0244k9j7ao03",
    "kd94hf93k423kf44",
    "kkk9d7dh3k39sjv7",
    "nnch734d00sl2jdk",
    "pfkkdhi9sl3r4s00",
    // RFC 6749, RFC 6750 (OAuth 2.0), RFC 7009, RFC 7636, RFC 7662.
    "2YotnFZFEjr1zCsicMWpAA",
    "tGzv3JOkF0XG5Qx2TlKWIA",
    "7Fjfp0ZBr1KtDRbnfVdmIw",
    "gX1fBat3bV",
    "SplxlOBeZQQYbYS6WxSbIA",
    "mF_9.B5f-4.1JqM",
    "45ghiukldjahdnhzdauz",
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    // OpenID Connect Core 1.0.
    "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
    "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk",
    // RFC 7617, RFC 2617 (Basic authentication).
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    "dGVzdDoxMjPCow==",
    // Amazon's manuals of signatures, before its keys said that they are examples.
    "uV3F3YluFJax1cknvbcGwgjvx4QpvB+leU8dUj2o",
    "0PN5J17HBGZHT7JJ3X82",
    // The emulators of Azure and of Cosmos DB: one key for all.
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==",
    // Stripe's manual.
    "4eC39HqLyjWDarjtT1zdp7dc",
    "BQokikJOvBiI2HlWgH4olfQ2",
    // The manuals of Flask, FastAPI and Starlette.
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "5f352379324c22463451387a0aec5d2f",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "43n080musdfjt54t-09sdgr",
];

/// Payloads of web tokens, from their beginning: those of jwt.io, of RFC 7519 and of PyJWT's manual.
/// A header that says that nothing is signed is one too.
const PUBLISHED_CLAIMS: &[&str] = &[
    "eyJhbGciOiJub25lI",
    "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lI",
    "eyJzdWIiOiIxMjM0NTY3ODkwIn0",
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    "eyJzb21lIjoicGF5bG9hZCJ9",
];

/// Whether a standard or a manual has the value.
pub(super) fn is_published(value: &[u8]) -> bool {
    PUBLISHED.iter().any(|it| it.as_bytes() == value)
}

/// Whether a web token is one of a standard or a manual, or signed by nobody.
pub(super) fn is_published_token(token: &[u8]) -> bool {
    token.split(|byte| *byte == b'.').any(|part| PUBLISHED_CLAIMS.iter().any(|it| part.starts_with(it.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_tokens_of_manuals_are_known_by_their_claims() {
        let of = |claims: &str| is_published_token(format!("eyJhbGciOiJIUzI1NiJ9.{claims}.sig").as_bytes());
        assert!(of("eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ"));
        assert!(is_published_token(b"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30."));
        assert!(!of("eyJpc3MiOiJhIiwic3ViIjoiNDIifQ"));
        assert!(is_published(b"2YotnFZFEjr1zCsicMWpAA") && !is_published(b"2YotnFZFEjr1zCsicMWpAB"));
    }
}
