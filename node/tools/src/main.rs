//! `node-canary`, `statusctl` and `bootnode` in one program, chosen by the name it is called by or by the first argument.
//!
//! Owns flags, output and exit codes; what they do is `node_client`'s and `discovery`'s. Must never
//! link the archive. Facts: `spec/operations.md` §5.

mod bootnode;
mod canary;
mod files;
mod flags;
mod statusctl;

use std::{ffi::OsString, path::Path, process::ExitCode};

const USAGE: &str = "usage: node-tools PROGRAM [arguments]

  node-canary   checks whether a node stays connected and serves its history
  statusctl     talks to a node as a client does, makes keys, enodes and QR codes
  bootnode      lets nodes find each other

A link of one of these names to this program does the same. PROGRAM --help lists its arguments.";

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let called = args.first().map(program).unwrap_or_default();
    let name = if matches!(called.as_str(), "node-canary" | "statusctl" | "bootnode") {
        called
    } else {
        args.drain(..args.len().min(1));
        args.first().map(program).unwrap_or_default()
    };
    match name.as_str() {
        "node-canary" => canary::main(args),
        "statusctl" => statusctl::main(args),
        "bootnode" => bootnode::main(args),
        "-h" | "--help" | "help" => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        "" => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        other => {
            eprintln!("node-tools: unknown program {other:?}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// The last part of a path.
fn program(name: &OsString) -> String {
    Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned()
}
