//! Finds the Globus libraries, binds their headers, compiles the shim.
//!
//! 1. [`probe`]: pkg-config for every library; one error that lists all that are missing.
//! 2. [`bind`]: bindgen over `wrapper.h` into `OUT_DIR/bindings.rs`.
//! 3. [`shim`]: the C compiler over `shim.c`.
//!
//! Under `DOCS_RS` no library is there: nothing is probed or compiled, and the checked-in `bindings/pregenerated.rs`
//! is documented instead (cfg `globus_sys_pregenerated`).
//!
//! What reaches packages that depend on this one directly (as `DEP_GLOBUS_…` in their build scripts):
//! `DEP_GLOBUS_INCLUDE`, the header folders joined as in `PATH`, and for each library its version,
//! `DEP_GLOBUS_VERSION_FTP_CONTROL=9.10` and so on.

#![allow(clippy::print_stdout)] // it is how a build script speaks to cargo

mod bind;
mod probe;
mod shim;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rustc-check-cfg=cfg(globus_sys_pregenerated)");
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=wrapper.h");
    println!("cargo::rerun-if-changed=openssl-names");
    println!("cargo::rerun-if-changed=shim.c");

    if env::var_os("DOCS_RS").is_some() {
        println!("cargo::rustc-cfg=globus_sys_pregenerated");
        return ExitCode::SUCCESS;
    }
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\n{message}\n");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let with_ftp_client = env::var_os("CARGO_FEATURE_FTP_CLIENT").is_some();
    let out =
        PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: this program is run by cargo")?);

    let found = probe::libraries(with_ftp_client)?;
    bind::generate(&found, with_ftp_client, &out)?;
    shim::compile(&found);
    found.export()
}
