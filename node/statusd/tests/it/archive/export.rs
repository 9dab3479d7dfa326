//! `statusd archive export` and `import`.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use archive::conformance::envelope;
use waku_wire::WireEnvelope;

use super::{archive_of, count, done, filled, hourly, node_with, now, refused, rows, run, sorted};
use crate::program::{SOON, Setup, until};

/// A file with these, and the setup that it came from.
fn exported(envelopes: &[WireEnvelope]) -> (Setup, String) {
    let setup = Setup::default();
    filled(&archive_of(&setup), envelopes);
    let file = setup.path("history.envelopes").to_str().unwrap().to_owned();
    let said = done(&run(&setup, &["export", &file]));
    assert!(said.contains(&format!("{} envelopes exported", envelopes.len())), "{said}");
    (setup, file)
}

#[test]
fn what_is_exported_is_imported_byte_for_byte_and_once() {
    let (_from, file) = exported(&hourly(200));
    let mut setup = Setup::default();
    let said = done(&run(&setup, &["import", &file, "-dry-run"]));
    assert!(said.contains("200 envelopes read, 200 would be stored, 0 there already"), "{said}");
    assert!(!archive_of(&setup).exists(), "a dry run makes nothing");
    let said = done(&run(&setup, &["import", &file]));
    assert!(said.contains("200 envelopes read, 200 stored, 0 there already"), "{said}");
    assert_eq!(rows(&archive_of(&setup)), sorted(&hourly(200)));
    for (args, word) in
        [(vec!["import", &file, "-dry-run"], "0 would be stored"), (vec!["import", &file], "0 stored")]
    {
        let said = done(&run(&setup, &args));
        assert!(said.contains(word) && said.contains("200 there already"), "{said}");
    }
    done(&run(&setup, &["verify"]));
    setup.config["APIModules"] = "admin,mailserver".into();
    let node = setup.start();
    assert_eq!(count(&node), 200);
}

#[test]
fn a_running_node_is_exported_and_not_imported_into() {
    let (setup, _node) = node_with(&hourly(10));
    let file = setup.path("file").to_str().unwrap().to_owned();
    done(&run(&setup, &["export", &file]));
    refused(&run(&setup, &["export", &file]), 1, &["exists already"]);
    refused(&run(&setup, &["import", &file]), 12, &["in use", "stop it"]);
    let said = done(&run(&setup, &["import", &file, "-dry-run"]));
    assert!(said.contains("10 there already"), "{said}");
}

#[test]
fn only_what_the_node_would_have_kept_is_imported() {
    let odd = [
        envelope(now() - 2 * 86_400, [1; 4], 1, 100),
        envelope(now() + 3000, [1; 4], 2, 100),
        envelope(now() - 100, [1; 4], 3, 3000),
    ];
    let (_from, file) = exported(&[&hourly(10)[..], &odd].concat());
    let mut setup = Setup::default();
    setup.config["WakuConfig"]["MailServerDataRetention"] = 1.into();
    setup.config["WakuConfig"]["MaxMessageSize"] = 2048.into();
    let said = done(&run(&setup, &["import", &file]));
    assert!(said.contains("13 envelopes read, 10 stored"), "{said}");
    for word in ["1 too old", "1 from the future", "1 too large"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    assert_eq!(rows(&archive_of(&setup)), sorted(&hourly(10)));
    setup.config["WakuConfig"]["MinimumPoW"] = 1e6.into();
    let said = done(&run(&setup, &["import", &file]));
    assert!(said.contains("0 stored") && said.contains("10 of too little proof of work"), "{said}");
}

#[test]
fn a_file_that_was_cut_or_changed_stores_nothing() {
    let (_from, file) = exported(&hourly(50));
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    let setup = Setup::default();
    for content in [&whole[..whole.len() - 1], &changed, b"something else that is longer than a header"] {
        fs::write(&file, content).unwrap();
        refused(&run(&setup, &["import", &file]), 1, &["cannot be imported", "export it again"]);
        assert!(!archive_of(&setup).exists());
    }
    refused(&run(&setup, &["import", "/nonexistent"]), 1, &["/nonexistent", "statusd archive export"]);
}

#[test]
fn standard_output_and_input_are_files_too() {
    let (setup, _file) = exported(&hourly(20));
    let output = run(&setup, &["export", "-"]);
    let other = Setup::default();
    other.command();
    let mut import = Command::new(env!("CARGO_BIN_EXE_statusd"))
        .args(["archive", "import", "-", "-c"])
        .arg(other.path("config.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    import.stdin.take().unwrap().write_all(&output.stdout).unwrap();
    assert!(import.wait().unwrap().success());
    assert_eq!(rows(&archive_of(&other)), sorted(&hourly(20)));
}

/// Killed at some moment of its work, and run again.
#[test]
fn an_import_that_was_killed_goes_on_where_it_was() {
    const ROWS: u32 = 40_000;
    let base = now() - 90_000;
    let all: Vec<WireEnvelope> =
        (0..ROWS).map(|n| envelope(base + n, [0, 0, 0, (n % 7) as u8], n, 200)).collect();
    let (_from, file) = exported(&all);
    let setup = Setup::default();
    setup.command();
    let mut first = Command::new(env!("CARGO_BIN_EXE_statusd"))
        .args(["archive", "import", &file, "-c"])
        .arg(setup.path("config.json"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // A log that has grown says that some is stored.
    let has_begun = || {
        let files = fs::read_dir(archive_of(&setup)).ok()?.filter_map(Result::ok);
        let logs = files.filter(|file| file.path().extension().is_some_and(|it| it == "log"));
        logs.filter_map(|log| log.metadata().ok()).any(|log| log.len() > 100_000).then_some(())
    };
    until("something is stored", SOON, has_begun);
    first.kill().unwrap();
    first.wait().unwrap();
    let said = done(&run(&setup, &["import", &file]));
    let present = said.split(", ").find_map(|part| part.split_once(" there already")?.0.parse::<u32>().ok());
    assert!(present.is_some_and(|count| count > 0), "{said}");
    let stats = done(&run(&setup, &["stats"]));
    assert!(stats.contains(&format!("envelopes  {ROWS}")), "{stats}");
    done(&run(&setup, &["verify"]));
}
