//! What is joined, what is not, who stays, and that nothing but the corpus decides.

use recon_repository::Repository;

use super::*;

/// A text of `words` words that differ by `seed`.
fn text(words: u64, seed: u64) -> String {
    (0..words).map(|at| format!("w{:x} ", (at ^ (seed << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)).collect()
}

/// `text` with every word from `from` on replaced.
fn edited(words: u64, seed: u64, from: u64) -> String {
    let whole = text(words, seed);
    let kept: Vec<&str> = whole.split(' ').take(from as usize).collect();
    format!("{} {}", kept.join(" "), text(words - from, seed + 1_000))
}

fn verdicts(repositories: &[Repository], options: &DuplicateOptions) -> (Vec<bool>, Vec<BTreeSet<usize>>) {
    let directory = tempfile::tempdir().unwrap();
    let mut index = Index::create(directory.path()).unwrap();
    for repository in repositories {
        index.add(&fingerprints(repository)).unwrap();
    }
    let mut verdicts = index.finish(options).unwrap();
    let count = repositories.len() as u64;
    let dropped: Vec<bool> = (0..count).map(|at| verdicts.drops_repository(at)).collect();
    let files = (0..count).map(|at| if dropped[at as usize] { BTreeSet::new() } else { verdicts.dropped_files(at) });
    (dropped.clone(), files.collect())
}

#[test]
fn likeness_estimates_the_jaccard_index() {
    let (whole, half) = (text(4_000, 1), edited(4_000, 1, 2_000));
    let likeness = Signature::of(&whole).unwrap().likeness(&Signature::of(&half).unwrap());
    // 2,000 shared of 6,000 distinct runs.
    assert!((likeness - 1.0 / 3.0).abs() < 0.1, "{likeness}");
    assert_eq!(Signature::of(&whole).unwrap().likeness(&Signature::of(&text(4_000, 2)).unwrap()), 0.0);
    assert_eq!(Signature::of(" +-* "), None);
}

#[test]
fn files_nearly_alike_go_and_others_stay() {
    let repository = Repository::from_files(
        "r",
        [
            ("a.py", text(1_000, 1)),
            ("b.py", edited(1_000, 1, 950)),
            ("c.py", edited(1_000, 1, 500)),
            ("d.py", text(1_000, 1).replace(' ', ",\n")),
            ("e.py", "+".into()),
            ("f.py", "+".into()),
            ("g.py", "-".into()),
        ],
    );
    let (_, files) = verdicts(std::slice::from_ref(&repository), &DuplicateOptions::default());
    assert_eq!(files[0], BTreeSet::from([1, 3, 5]), "b: 0.9; d: layout only; f: equal without words");
    let off = DuplicateOptions { files: false, ..DuplicateOptions::default() };
    assert_eq!(verdicts(&[repository], &off).1[0], BTreeSet::new());
}

#[test]
fn a_file_of_a_repository_that_goes_does_not_keep_another_out() {
    let files = |names: [&str; 3]| names.map(|name| (format!("{name}.py"), text(500, name.len() as u64)));
    let first = Repository::from_files("first", files(["a", "bb", "ccc"]));
    let copy =
        Repository::from_files("copy", files(["a", "bb", "ccc"]).into_iter().chain([("new.py".into(), text(40, 9))]));
    let later =
        Repository::from_files("later", [("x.py", text(40, 9)), ("y.py", text(500, 1)), ("z.py", text(2_000, 7))]);
    let (repositories, files) = verdicts(&[first, copy, later], &DuplicateOptions::default());
    assert_eq!(repositories, [false, true, false]);
    // `x.py` stood first in the copy, which is gone; `y.py` stands in the first, which is not.
    assert_eq!(files[2], BTreeSet::from([1]));
}

#[test]
fn neither_threads_nor_batches_show() {
    let repositories: Vec<Repository> = (0..40)
        .map(|at: u64| {
            let files = (0..10_u64).map(|file| (format!("f{file}.py"), edited(200, file % 4, 180 + (at * file) % 20)));
            Repository::from_files(&format!("r{at}"), files)
        })
        .collect();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| verdicts(&repositories, &DuplicateOptions::default()))
    };
    assert_eq!(with(1), with(7));
    assert!(with(2).0.iter().any(|dropped| *dropped), "something must be dropped for this to tell anything");
}
