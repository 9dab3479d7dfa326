//! `statusd archive prune`.

use super::{HOUR, archive_of, count, done, filled, hourly, node_with, now, refused, rows, run};
use crate::program::Setup;

/// That so many of 48 rows of [`hourly`] are left as have an hour not older than `age`, at some second since `begin`.
fn is_kept(left: usize, age: u32, begin: u32) {
    let kept = |now: u32| {
        let floor = (now - age) / HOUR * HOUR;
        hourly(48).iter().filter(|envelope| envelope.sent() >= floor).count()
    };
    assert!([kept(begin), kept(now())].contains(&left), "{left} left, not {}", kept(begin));
}

#[test]
fn a_dry_run_says_what_the_real_one_does_and_changes_nothing() {
    let setup = Setup::default();
    let begin = now();
    filled(&archive_of(&setup), &hourly(48));
    let told = done(&run(&setup, &["prune", "-max-age", "12h", "-dry-run"]));
    assert_eq!(rows(&archive_of(&setup)).len(), 48);
    let done = done(&run(&setup, &["prune", "-max-age", "12h"]));
    assert_eq!(told.strip_prefix("would evict"), done.strip_prefix("evicted"), "{told}{done}");
    let left = rows(&archive_of(&setup)).len();
    is_kept(left, 12 * HOUR, begin);
    assert!(done.contains(&format!("{} envelopes", 48 - left)), "{done}");
}

#[test]
fn bytes_are_a_bound_too() {
    let setup = Setup::default();
    let envelopes = hourly(48);
    filled(&archive_of(&setup), &envelopes);
    let ten: usize = envelopes[..10].iter().map(|envelope| envelope.raw().len() + 60).sum();
    done(&run(&setup, &["prune", "-max-bytes", &ten.to_string()]));
    assert_eq!(rows(&archive_of(&setup)).len(), 10);
}

#[test]
fn without_bounds_it_is_what_the_configuration_keeps() {
    let mut setup = Setup::default();
    setup.config["WakuConfig"]["MailServerDataRetention"] = 1.into();
    filled(&archive_of(&setup), &hourly(48));
    let begin = now();
    done(&run(&setup, &["prune"]));
    is_kept(rows(&archive_of(&setup)).len(), 24 * HOUR, begin);
}

#[test]
fn a_running_node_prunes_itself() {
    let (setup, node) = node_with(&hourly(48));
    let begin = now();
    let said = done(&run(&setup, &["prune", "-max-age", "6h"]));
    let left = count(&node);
    assert!(said.contains(&format!("evicted {} envelopes", 48 - left)), "{said}");
    is_kept(left.try_into().unwrap(), 6 * HOUR, begin);
}

#[test]
fn a_running_node_without_a_socket_cannot_be_asked() {
    let setup = Setup::default();
    let _node = setup.start();
    refused(&run(&setup, &["prune", "-max-age", "1d"]), 12, &["in use", "-ipc"]);
}
