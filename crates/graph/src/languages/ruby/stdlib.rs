//! The libraries that come with Ruby.
//!
//! Source: the standard library and the default and bundled gems of Ruby 3.4 ("Ruby Standard
//! Library", stdgems.org), by the first part of the path they are required by.

/// Whether a path that starts so is required from Ruby itself.
pub(super) fn contains(first: &str) -> bool {
    LIBRARIES.binary_search(&first).is_ok()
}

/// Sorted by bytes.
#[rustfmt::skip]
const LIBRARIES: [&str; 90] = [
    "English", "abbrev", "base64", "benchmark", "bigdecimal", "bundler", "cgi", "coverage", "csv", "date", "dbm",
    "debug", "delegate", "did_you_mean", "digest", "drb", "erb", "error_highlight", "etc", "expect", "fcntl",
    "fiber", "fiddle", "fileutils", "find", "forwardable", "getoptlong", "io", "ipaddr", "irb", "json", "logger",
    "matrix", "minitest", "mkmf", "monitor", "mutex_m", "net", "nkf", "objspace", "observer", "open-uri", "open3",
    "openssl", "optparse", "ostruct", "pathname", "power_assert", "pp", "prettyprint", "prime", "prism", "pstore",
    "psych", "pty", "racc", "rake", "random", "rbconfig", "rbs", "rdoc", "readline", "reline", "resolv", "resolv-replace",
    "rinda", "ripper", "rubygems", "securerandom", "set", "shellwords", "singleton", "socket", "stringio", "strscan",
    "syntax_suggest", "syslog", "tempfile", "test", "thread", "time", "timeout", "tmpdir", "tsort", "un", "uri",
    "weakref", "win32ole", "yaml", "zlib",
];

#[cfg(test)]
mod tests {
    use super::LIBRARIES;

    #[test]
    fn the_list_is_sorted() {
        assert!(LIBRARIES.is_sorted(), "a list out of order is searched in vain");
    }
}
