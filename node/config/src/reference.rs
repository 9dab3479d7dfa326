//! The reference page of flags and keys, from the tables that the program itself uses.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::{
    Flags,
    keys::{Effect, Key, Kind, leaves},
};

/// The page in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# statusd: flags and config keys\n\n\
         Generated from the tables in node/config by `make generate`; do not edit.\n\n\
         `statusctl config explain` with the same flags prints every effective value and where it comes from. Flags win over\n\
         the environment (`STATUSD_NODEKEY_FILE`, `STATUSD_NODEKEY`), that over config files, later files over earlier ones,\n\
         and files over the fleet.\n\n\
         ## Flags\n\nOne dash or two, `-name value` or `-name=value`; a boolean is a bare word or `=true`, `=false`.\n\n\
         | Flag | Value | Meaning |\n|---|---|---|\n",
    );
    for arg in Flags::command().get_arguments() {
        let Some(name) = arg.get_long() else { continue };
        let value = arg.get_value_names().unwrap_or_default().first().map_or("", |name| name.as_str());
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        row(&mut page, &[&format!("`-{name}`"), &value.replace('|', " or "), &help]);
    }
    page.push_str(
        "\n## Keys\n\nConfig files are JSON objects. Keys match without regard to case; an unknown one is warned of with the \
         nearest known\nname, or refused with `-strict`. Values replace, objects merge by key, lists replace as a whole, `null` \
         empties a list\nand leaves everything else alone.\n\n\
         *live* takes effect when a file changes or at SIGHUP, *start* at the next start. What has no effect is taken, and\n\
         warned of where the reference would act on it.\n\n\
         | Key | Value | Effect | Meaning |\n|---|---|---|---|\n",
    );
    for (path, key) in leaves() {
        row(&mut page, &[&format!("`{path}`"), value(key), effect(key), key.about]);
    }
    page
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
    // A String takes everything.
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn value(key: &Key) -> &'static str {
    match key.kind {
        Kind::Bool => "boolean",
        Kind::UInt(_) => "whole number",
        Kind::Number => "number",
        Kind::Text => "text",
        Kind::Texts => "list of texts",
        Kind::Object(_) | Kind::Open(_) => "object",
        Kind::Topics => "object of `{\"Min\", \"Max\"}` by topic",
    }
}

fn effect(key: &Key) -> &'static str {
    match key.effect {
        Effect::Start => "start",
        Effect::Live => "live",
        Effect::Missing => "none, warned of",
        Effect::Idle => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_flag_and_key() {
        let page = reference();
        for arg in Flags::command().get_arguments() {
            assert!(page.contains(&format!("| `-{}` |", arg.get_long().unwrap())), "{arg}");
        }
        for (path, _) in leaves() {
            assert!(page.contains(&format!("| `{path}` |")), "{path}");
        }
        // Every row of a table has as many cells as its head.
        let mut columns = 0;
        for line in page.lines() {
            let cells = line.replace("\\|", "").matches('|').count();
            assert!(columns == 0 || cells == 0 || cells == columns, "{line}");
            columns = cells;
        }
    }
}
