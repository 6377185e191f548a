//! Which language a file is written in: by its path, or by the interpreter that its first line names.
//!
//! One table for everybody who asks: what is read first where a budget is short, which rules of
//! cleaning apply, and which parser `graph` hands the file to.

use crate::{paths, shebang};

/// Every language, lower case, as it stands in records.
pub const NAMES: [&str; 15] = [
    "python",
    "rust",
    "typescript",
    "javascript",
    "vue",
    "svelte",
    "go",
    "c",
    "cpp",
    "cuda",
    "java",
    "kotlin",
    "csharp",
    "ruby",
    "php",
];

/// The language of a file of this path; none for other text.
pub fn of_path(path: &str) -> Option<&'static str> {
    if matches!(paths::file_name(path), "Rakefile" | "Gemfile" | "Guardfile" | "Capfile") {
        return Some("ruby");
    }
    Some(match paths::extension(path) {
        "py" | "pyi" | "pyw" => "python",
        "rs" => "rust",
        "ts" | "tsx" | "mts" | "cts" => "typescript",
        "js" | "jsx" | "mjs" | "cjs" => "javascript",
        "vue" => "vue",
        "svelte" => "svelte",
        "go" => "go",
        "c" | "h" => "c",
        "cc" | "cpp" | "cxx" | "c++" | "C" | "hh" | "hpp" | "hxx" | "h++" | "H" | "ipp" | "inl" | "ixx" | "tcc"
        | "tpp" | "txx" | "cppm" | "ccm" | "cxxm" | "c++m" | "mpp" | "mxx" => "cpp",
        "cu" | "cuh" => "cuda",
        "java" => "java",
        "kt" | "kts" => "kotlin",
        "cs" | "csx" => "csharp",
        "rb" | "rake" | "gemspec" | "ru" => "ruby",
        "php" | "phtml" | "inc" => "php",
        _ => return None,
    })
}

/// The language of a file: by its path, or where that has no extension by the interpreter its first line names.
pub fn of(path: &str, text: &str) -> Option<&'static str> {
    of_path(path).or_else(|| of_interpreter(shebang::interpreter(path, text)?))
}

fn of_interpreter(program: &str) -> Option<&'static str> {
    Some(match program {
        "python" | "pypy" | "pythonw" => "python",
        "php" | "php-cli" | "php-cgi" => "php",
        "ruby" | "jruby" | "truffleruby" | "macruby" | "rake" => "ruby",
        "node" | "nodejs" | "bun" | "zx" => "javascript",
        "deno" | "ts-node" | "ts-node-esm" | "tsx" => "typescript",
        _ => return None,
    })
}
