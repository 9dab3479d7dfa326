//! What takes too long for every run: `make soak`.

use std::time::Duration;

use e2e_tests::{Access, test};

use crate::healed::survives_a_cut;

#[test]
#[ignore = "more than ten minutes; make soak"]
fn a_replica_that_was_cut_off_for_ten_minutes_gets_what_it_missed() {
    test("soak-cut-off", Access::Shared, |env| async move {
        survives_a_cut(&env, Duration::from_secs(600)).await;
    });
}
