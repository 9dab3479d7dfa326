//! What the programs of the reference take from Go's flags: one dash. The words for yes and no are `node_config`'s.

use std::ffi::OsString;

/// Go programs take `-flag` for `--flag`, and `--n` for `-n`.
pub(crate) fn two_dashes(args: Vec<OsString>) -> impl Iterator<Item = OsString> {
    let mut values = false;
    args.into_iter().map(move |arg| {
        values |= arg == "--";
        let text = arg.to_str().unwrap_or_default();
        let single = text
            .strip_prefix('-')
            .filter(|rest| rest.len() > 1 && rest.starts_with(|c: char| c.is_ascii_alphabetic()));
        if single.is_some() && !values { format!("-{text}").into() } else { arg }
    })
}
