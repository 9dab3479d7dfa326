//! The committed corpus, through every target: what a fuzzer once found stays found.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use fuzz_targets::TARGETS;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

#[test]
fn every_input_of_the_corpus_keeps_the_promises() {
    for target in TARGETS {
        let inputs: Vec<_> = fs::read_dir(corpus().join(target.name))
            .unwrap_or_else(|error| panic!("corpus of {}: {error}", target.name))
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(!inputs.is_empty(), "the corpus of {} is empty", target.name);
        for input in inputs {
            let data = fs::read(&input).unwrap();
            let outcome = std::panic::catch_unwind(|| (target.run)(&data));
            assert!(outcome.is_ok(), "{} breaks a promise of {}", input.display(), target.name);
        }
    }
}

#[test]
fn there_is_a_fuzzer_and_a_corpus_for_every_target_and_no_other() {
    let names = |dir: PathBuf| -> BTreeSet<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(corpus()), targets);
    assert_eq!(names(corpus().join("../fuzz_targets")), targets);
    let manifest = fs::read_to_string(corpus().join("../Cargo.toml")).unwrap();
    for target in &targets {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is not in fuzz/Cargo.toml");
    }
}
