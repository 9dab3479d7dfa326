//! The table of `docs/reference/conformance.md` is whole, and every test that it names exists in the sources.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const TABLE: &str = include_str!("../../../docs/reference/conformance.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Section of the table, name of the line, and what its last cell says.
fn lines() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in TABLE.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let Some(cells) = line.strip_prefix("| ") else { continue };
        let cells: Vec<&str> = cells.trim_end_matches('|').split(" | ").map(str::trim).collect();
        let [id, _, shown] = cells[..] else { panic!("want three cells: {line}") };
        if shown != "tests" {
            found.push((section, id, shown));
        }
    }
    found
}

/// The directories of the workspace's crates by name.
fn crates() -> BTreeMap<String, PathBuf> {
    let quoted = |line: &str| line.split('"').nth(1).unwrap().to_owned();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.lines().skip_while(|line| *line != "members = [").skip(1);
    members
        .take_while(|line| *line != "]")
        .map(|line| {
            let dir = root().join(quoted(line));
            let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
            (quoted(manifest.lines().find(|line| line.starts_with("name = ")).unwrap()), dir)
        })
        .collect()
}

/// Whether this source has a test of this name: a function with an attribute that makes it one.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let head = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        let attributes = || lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        (line.starts_with(&head) || line.starts_with(&format!("async {head}")))
            && attributes().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

/// Whether this file has a case of this name for other crates' tests, and the macro beside it makes it one of each.
fn has_case(file: &Path, name: &str) -> bool {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    read(file).contains(&format!("pub fn {name}<"))
        && read(&file.with_file_name("mod.rs")).lines().any(|line| line.trim() == name)
}

/// What is wrong with a name, `crate::file::test`.
fn wrong(crates: &BTreeMap<String, PathBuf>, test: &str) -> Option<String> {
    let [crate_name, file, name] = test.split("::").collect::<Vec<_>>()[..] else {
        return Some("want crate::file::test".to_owned());
    };
    let Some(dir) = crates.get(crate_name) else { return Some(format!("there is no crate {crate_name}")) };
    let files: Vec<PathBuf> =
        ["src", "tests", "tests/it"].iter().map(|below| dir.join(below).join(format!("{file}.rs"))).collect();
    let modules = [dir.join("src").join(file).join("mod.rs")];
    let there: Vec<&PathBuf> = files.iter().chain(&modules).filter(|path| path.exists()).collect();
    if there.is_empty() {
        return Some(format!("{crate_name} has no file {file}.rs below src, tests or tests/it"));
    }
    let exists = |path: &&PathBuf| has_test(&fs::read_to_string(path).unwrap(), name) || has_case(path, name);
    (!there.iter().any(exists)).then(|| format!("{file}.rs of {crate_name} has no test {name}"))
}

#[test]
fn every_test_that_the_table_names_exists() {
    let crates = crates();
    let mut errors = Vec::new();
    for (_, id, shown) in lines() {
        if shown.starts_with("None: ") || shown.starts_with("Later: ") {
            continue;
        }
        let tests: Vec<&str> = shown.split_whitespace().collect();
        assert!(!tests.is_empty(), "{id} names no test and does not say why");
        for test in tests {
            let name = test.strip_prefix('`').and_then(|test| test.strip_suffix('`'));
            let name = name.unwrap_or_else(|| panic!("{id}: want tests in backticks, or None:, or Later:"));
            errors.extend(wrong(&crates, name).map(|error| format!("{id}: {error}")));
        }
    }
    assert!(errors.is_empty(), "docs/reference/conformance.md:\n{}", errors.join("\n"));
}

#[test]
fn names_that_do_not_exist_are_found() {
    let crates = crates();
    let good = "waku::handshake::s01_both_versions_offered";
    assert_eq!(wrong(&crates, good), None);
    assert_eq!(wrong(&crates, "archive::conformance/cases::topics_select"), None);
    for bad in [
        "waku::handshake::s01_both_versions_offere",
        "waku::handshake::hex",
        "waku::handshakes::s01_both_versions_offered",
        "waky::handshake::s01_both_versions_offered",
        "s01_both_versions_offered",
        "archive::conformance/cases::run",
    ] {
        assert!(wrong(&crates, bad).is_some(), "{bad}");
    }
    assert!(!has_test("fn helper() {}", "helper"), "a function that no attribute makes a test");
}

/// `spec/waku-mailserver.md` §4.14, §9 to §12, `spec/devp2p.md` §10, §11: each once, none left out.
#[test]
fn the_table_is_whole() {
    let numbered = |letter: char, ranges: &[std::ops::RangeInclusive<u32>]| -> Vec<String> {
        ranges.iter().flat_map(Clone::clone).map(|n| format!("{letter}{n:02}")).collect()
    };
    let of = |title: &str| -> Vec<String> {
        let lines = lines().into_iter().filter(|(section, ..)| section.starts_with(title));
        lines.map(|(_, id, _)| id.to_owned()).collect()
    };
    assert_eq!(of("Scenarios"), numbered('S', &[1..=18, 20..=40, 45..=50, 60..=106]));
    assert_eq!(of("Vectors"), numbered('V', &[1..=49]));
    assert_eq!(of("Defects"), numbered('Q', &[1..=39]));
    assert_eq!(of("What a node must implement"), numbered('D', &[1..=24]));
    assert_eq!(of("Malformed input"), numbered('M', &[1..=14]));
    let others = ["The reference's own tests", "Packets of discovery", "The other vectors"].map(of);
    for (ids, count) in others.iter().zip([61, 17, 10]) {
        assert_eq!(
            (ids.len(), ids.iter().collect::<BTreeSet<_>>().len()),
            (count, count),
            "each once: {ids:?}"
        );
    }
}
