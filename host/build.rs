//! What goes into the program as bytes: the adapter that plugins in Go are linked with, assembled, and the sources of the
//! SDK, which `plugin new` copies.
//!
//! The adapter is assembled here and not at run time, because the assembler would make the program larger by a megabyte.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names a directory"));
    assemble(Path::new("../sdk/adapters/null-wasi.wat"), &out.join("null-wasi.wasm"));
    list(Path::new("../sdk"), &out.join("sdk.rs"));
}

fn assemble(source: &Path, into: &Path) {
    println!("cargo::rerun-if-changed={}", source.display());
    let assembled = wat::parse_file(source).expect("the adapter is well-formed");
    std::fs::write(into, assembled).expect("cargo's directory can be written to");
}

/// Every file that the SDK's crates are made of, as `SDK: &[(&str, &str)]`: path there, text.
fn list(sdk: &Path, into: &Path) {
    let mut files = Vec::new();
    for part in ["Cargo.toml", "derive", "src", "wit"] {
        let part = sdk.join(part);
        println!("cargo::rerun-if-changed={}", part.display());
        collect(&part, &mut files);
    }
    files.sort();
    let mut text = String::from("const SDK: &[(&str, &str)] = &[\n");
    for file in files {
        let path = file.strip_prefix(sdk).expect("it was found there");
        // By the place of the crate, not of this machine, so that a checkout may be moved with what was built in it.
        let below = Path::new("/").join(&file);
        writeln!(text, "    ({path:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {below:?}))),")
            .expect("a string takes all text");
    }
    text.push_str("];\n");
    std::fs::write(into, text).expect("cargo's directory can be written to");
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
    } else if path.file_name().is_some_and(|name| name != "target") {
        let entries = std::fs::read_dir(path).expect("the sources of the SDK are beside those of the host");
        for entry in entries {
            collect(&entry.expect("a directory can be read to its end").path(), files);
        }
    }
}
