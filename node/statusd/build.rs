//! Notes when the program was built, so that a clock before that moment is seen to be wrong; links the C++ library in.

use std::{
    env, fs, io,
    path::PathBuf,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    let given = env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo:rustc-env=STATUSD_BUILD_TIME={}", given.unwrap_or(now));
    link_cxx_library()
}

/// RocksDB uses a quarter of the C++ library, and in a container nobody shares the rest: linked in, it is a megabyte of
/// resident memory less. A folder that holds the archive alone comes first in the search, so that the shared library is
/// not found. Where the compiler has no archive, or is not the target's, it stays a shared one.
fn link_cxx_library() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=CXX");
    if env::var("TARGET") != env::var("HOST") {
        return Ok(());
    }
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let answer = Command::new(compiler).arg("-print-file-name=libstdc++.a").output()?;
    let archive = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
    // A bare name means that there is none.
    if archive.is_absolute() {
        let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("cxx");
        fs::create_dir_all(&folder)?;
        fs::copy(archive, folder.join("libstdc++.a"))?;
        println!("cargo:rustc-link-search=native={}", folder.display());
    }
    Ok(())
}
