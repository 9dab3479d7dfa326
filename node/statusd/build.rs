//! Notes when the program was built, so that a clock before that moment is seen to be wrong; links the C++ library in, and
//! leaves out what is there twice.

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
    make_small()?;
    link_cxx_library()
}

/// Generic code of different types is often the same to the byte: one copy of it is enough. What runs only before main,
/// and what it calls (`startup.ld`), stands together: in between, code that no relay needs was read with it, five megabytes
/// of it. Relocations packed are half a megabyte of resident memory less; the dynamic loader understands them from glibc
/// 2.36 on. Only on this target is the linker always lld, which can do all of it. The script is linked from a copy beside
/// the other results: this program's own are kept for the next checkout that builds here, where the first may be gone.
fn make_small() -> io::Result<()> {
    println!("cargo:rerun-if-changed=startup.ld");
    if env::var("TARGET").is_ok_and(|target| target == "x86_64-unknown-linux-gnu") {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
        println!("cargo:rustc-link-arg-bins=-Wl,-z,keep-text-section-prefix");
        let script = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("startup.ld");
        fs::write(&script, include_str!("startup.ld"))?;
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", script.display());
        if glibc().is_some_and(|version| version >= (2, 36)) {
            println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
    Ok(())
}

/// Version of this machine's glibc, with which the program will run.
fn glibc() -> Option<(u32, u32)> {
    if env::var("TARGET") != env::var("HOST") {
        return None;
    }
    let answer = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
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
