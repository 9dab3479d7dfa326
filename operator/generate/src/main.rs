//! Writes what is generated from the types: the CustomResourceDefinition, the samples, and the references of the resource
//! and of the node's flags and keys.
//!
//! The files are committed; `--check` says which differ from what the types give now. Nothing else writes them.

mod reference;
mod samples;

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use serde_json::Value;

/// Most bytes of the definition as JSON: `kubectl apply` keeps a copy of it in an annotation of at most 256 KiB.
const MAX_CRD_BYTES: usize = 200 * 1024;

/// Writes crds/, manifests/samples/ and docs/reference/ from the types.
#[derive(Parser)]
struct Args {
    /// Write nothing; fail when a committed file differs.
    #[arg(long)]
    check: bool,
    /// Root of the repository.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(stale) if stale.is_empty() => ExitCode::SUCCESS,
        Ok(stale) => {
            for file in stale {
                eprintln!("{} differs from what the types give; run `make generate`", file.display());
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("operator-generate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut stale = Vec::new();
    for (path, content) in files()? {
        let path = args.root.join(path);
        if args.check {
            if read(&path)?.as_deref() != Some(content.as_str()) {
                stale.push(path);
            }
        } else if read(&path)?.as_deref() != Some(content.as_str()) {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            fs::write(&path, content)?;
            println!("wrote {}", path.display());
        }
    }
    Ok(stale)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every generated file, path and content.
fn files() -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let crd = serde_json::to_value(statusnode_api::crd())?;
    let size = crd.to_string().len();
    if size > MAX_CRD_BYTES {
        return Err(format!("the definition has {size} bytes as JSON, more than {MAX_CRD_BYTES}").into());
    }
    let mut files = vec![
        ("crds/statusnodes.yaml".to_owned(), yaml("", &crd)?),
        ("docs/reference/statusnode.md".to_owned(), reference::reference(&crd)),
        ("docs/reference/statusd.md".to_owned(), node_config::reference()),
    ];
    for sample in samples::samples() {
        let path = format!("manifests/samples/{}.yaml", sample.name);
        files.push((path, yaml(sample.comment, &sample.manifest)?));
    }
    Ok(files)
}

fn yaml(comment: &str, value: &Value) -> Result<String, Box<dyn Error>> {
    let mut text = "# Generated from the types in operator/api by `make generate`; do not edit.\n".to_owned();
    for line in comment.lines() {
        text.push_str("# ");
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&serde_yaml::to_string(value)?);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_files_are_what_the_types_give() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let stale = run(&Args { check: true, root }).unwrap();
        assert!(stale.is_empty(), "run `make generate`: {stale:?}");
    }

    #[test]
    fn check_sees_a_changed_and_a_missing_file() {
        let root = std::env::temp_dir().join(format!("operator-generate-{}", std::process::id()));
        let check = Args { check: true, root: root.clone() };
        let all = files().unwrap().len();
        assert_eq!(run(&check).unwrap().len(), all);
        run(&Args { check: false, root: root.clone() }).unwrap();
        assert_eq!(run(&check).unwrap(), Vec::<PathBuf>::new());
        let changed = root.join("crds/statusnodes.yaml");
        fs::write(&changed, "x").unwrap();
        assert_eq!(run(&check).unwrap(), vec![changed]);
        fs::remove_dir_all(root).unwrap();
    }
}
