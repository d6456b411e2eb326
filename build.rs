//! Turns what `globus-sys` found (`DEP_GLOBUS_…`) into cfgs; nothing else.
//!
//! `globus_ftp_control_at_least = "9.10"` holds when the library built against is that version or newer. Versions get a
//! line here when the code distinguishes them; 9.10 (Debian 12) is the one whose behaviour the engine was written against.

#![allow(clippy::print_stdout)] // it is how a build script speaks to cargo

const DISTINGUISHED: &[(&str, &[&str])] = &[("ftp_control", &["9.10"])];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for (library, versions) in DISTINGUISHED {
        let values = versions.iter().map(|version| format!("{version:?}")).collect::<Vec<_>>().join(", ");
        println!("cargo::rustc-check-cfg=cfg(globus_{library}_at_least, values({values}))");

        // Not set when the documentation is built without the libraries (`DOCS_RS`): no cfg then.
        let Ok(found) = std::env::var(format!("DEP_GLOBUS_VERSION_{}", library.to_uppercase())) else {
            continue;
        };
        for version in versions.iter().filter(|version| parts(&found) >= parts(version)) {
            println!("cargo::rustc-cfg=globus_{library}_at_least={version:?}");
        }
    }
}

/// `9.10` as numbers, so that it counts as newer than `9.8`.
fn parts(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}
