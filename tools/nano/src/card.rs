//! The model card: what nano is, what it was made of, and its figures.

use std::fmt::Write as _;

use recon_llama::Config;
use recon_text::llama3::CONTROL_TOKENS;

use crate::measure::Figures;
use crate::packages::Packages;
use crate::recipe;
use crate::select::Corpus;

/// `README.md` of the finished model.
pub(crate) fn card(figures: &Figures, list: &Packages, corpus: &Corpus) -> String {
    let [windows, long] = recipe::phases();
    let steps = |phase: &recipe::Phase| phase.options.steps(0);
    let vocabulary = recipe::VOCABULARY_TOKENS + CONTROL_TOKENS;
    let config = Config::from_json(&recipe::config(vocabulary, recipe::VOCABULARY_TOKENS as u32).to_string())
        .expect("the recipe's configuration is valid");
    let bytes: usize = corpus.training.iter().flat_map(|project| project.files.values()).map(String::len).sum();
    let mut text = format!(
        "---\nlicense: apache-2.0\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n\n\
         # nano\n\n\
         A very small Llama, embedded in recon so that every stage can be run and tested on a laptop without \
         a GPU or a download. It was trained from random weights on two CPU cores by recon's own trainer.\n\n\
         It is small and it behaves so: it knows the form of recon's documents (chat turns, thoughts, tool calls, \
         source files) and the surface of Python, Rust, TypeScript and JavaScript. It does not answer questions, \
         follow instructions or write programs that work. Do not draw conclusions about the method from its \
         scores.\n\n\
         | | |\n|---|---|\n\
         | architecture | Llama: {} layers, hidden {}, {} query and {} key/value heads of {}, feed-forward {}, tied head |\n\
         | parameters | {:.2} million |\n\
         | tokenizer | byte-level BPE, {} tokens and Llama 3's 256 control tokens, Llama-3 chat template |\n\
         | context | {} tokens |\n\
         | weights | bfloat16 |\n\
         | training | {} steps of {} windows of {} tokens, then {} steps of {} tokens |\n\
         | training text | {:.1} MB of source files from {} packages, {:.0} % of the projects with thoughts and reading |\n\n",
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.head_dim,
        config.intermediate_size,
        config.parameters() as f64 / 1e6,
        recipe::VOCABULARY_TOKENS,
        recipe::CONTEXT_TOKENS,
        steps(&windows),
        windows.options.step_rows(),
        windows.row_tokens,
        steps(&long),
        long.row_tokens,
        bytes as f64 / 1e6,
        list.packages.iter().filter(|package| !package.held_out).count(),
        recipe::AGENT_SHARE * 100.0,
    );
    measured(&mut text, figures);
    sources(&mut text, list);
    text
}

fn measured(text: &mut String, figures: &Figures) {
    let Figures { files, bytes, model_bits_per_byte, xz_tar_bits_per_byte, xz_files_bits_per_byte, .. } = figures;
    let table = format!(
        "## Held-out likelihood\n\n\
         {files} files of packages it never saw, {bytes} bytes, as documents of the `raw` arm:\n\n\
         | | bits per byte |\n|---|---|\n\
         | nano | {model_bits_per_byte:.3} |\n\
         | `xz -9`, one tar archive of all files | {xz_tar_bits_per_byte:.3} |\n\
         | `xz -9`, each file alone | {xz_files_bits_per_byte:.3} |\n\n\
         nano pays for the line that names each file, its content and its end; the list of paths is given to it. \
         To measure again:\n\n\
         ```sh\ncargo xtask nano --work /tmp/nano --measure assets/nano\n```\n\n\
         To make it again, about an hour on two cores (the first 20 steps are compared with \
         `tools/nano/first_steps.json` by `--steps-only 20`):\n\n\
         ```sh\ncargo xtask nano --work /tmp/nano\n```\n\n"
    );
    text.push_str(&table);
}

fn sources(text: &mut String, list: &Packages) {
    text.push_str(
        "## Sources and licences\n\n\
         Whole source files, at most a fixed number of bytes a package, fetched by name and version from PyPI, \
         crates.io and npm. All are under permissive licences, as the packages themselves declare them; the \
         copyright stays with their authors. The weights contain no file of theirs; they are released under \
         Apache-2.0. Packages marked * were held out.\n\n\
         | registry | package | version | licence |\n|---|---|---|---|\n",
    );
    for package in &list.packages {
        let mark = if package.held_out { "*" } else { "" };
        let registry = package.registry.name();
        writeln!(text, "| {registry} | {}{mark} | {} | {} |", package.name, package.version, package.licence)
            .expect("writing to a string never fails");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages;

    #[test]
    fn the_card_names_every_source_and_marks_what_was_held_out() {
        let figures = Figures {
            files: 3,
            bytes: 1000,
            tokens: 300,
            nats: 900.0,
            model_bits_per_byte: 1.25,
            xz_tar_bits_per_byte: 1.5,
            xz_files_bits_per_byte: 2.0,
        };
        let list = packages::list().unwrap();
        let sha256 = recon_schema::Sha256::of(b"");
        let card = card(&figures, &list, &Corpus { training: Vec::new(), held_out: Vec::new(), sha256 });
        for package in &list.packages {
            let mark = if package.held_out { "*" } else { "" };
            assert!(card.contains(&format!("| {}{mark} | {} |", package.name, package.version)), "{}", package.name);
        }
        assert!(card.contains("| nano | 1.250 |") && card.contains("1.500"));
    }
}
