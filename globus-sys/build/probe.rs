//! pkg-config for every library that is used, by its own name.
//!
//! Debian's `.pc` files name what a library itself needs only as private requirements, so asking for
//! `globus-ftp-control` alone links nothing else: each library whose symbols are bound is asked for here.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::path::PathBuf;

/// A library by the middle part of its names: pkg-config's `globus-NAME`, Debian's `libglobus-NAME-dev`, Fedora's
/// `globus-NAME-devel`.
struct Library {
    name: &'static str,
    /// The major version of the Grid Community Toolkit 6.2, the first series these bindings were written for.
    at_least: &'static str,
}

const LIBRARIES: &[Library] = &[
    Library { name: "common", at_least: "18" },
    Library { name: "xio", at_least: "6" },
    Library { name: "io", at_least: "12" },
    Library { name: "ftp-control", at_least: "9" },
    Library { name: "gssapi-gsi", at_least: "14" },
    Library { name: "gssapi-error", at_least: "6" },
    Library { name: "gss-assist", at_least: "12" },
    Library { name: "gsi-openssl-error", at_least: "4" },
    Library { name: "gsi-cert-utils", at_least: "10" },
    Library { name: "gsi-callback", at_least: "6" },
    Library { name: "gsi-credential", at_least: "8" },
    Library { name: "gsi-sysconfig", at_least: "9" },
];

const FTP_CLIENT: Library = Library { name: "ftp-client", at_least: "9" };

/// What pkg-config told.
pub(crate) struct Found {
    pub(crate) include_paths: BTreeSet<PathBuf>,
    /// Name and version of each library, in the order of [`LIBRARIES`].
    pub(crate) versions: Vec<(&'static str, String)>,
}

impl Found {
    /// Hands on what packages that depend on this one, and the tests of this one, want to know.
    pub(crate) fn export(&self) -> Result<(), String> {
        let include =
            env::join_paths(&self.include_paths).map_err(|e| format!("an include path with a colon: {e}"))?;
        println!("cargo::metadata=include={}", include.display());
        let mut all = String::new();
        for (name, version) in &self.versions {
            println!("cargo::metadata=version_{}={version}", name.replace('-', "_"));
            let _ = write!(all, "{name} {version},");
        }
        println!("cargo::rustc-env=GLOBUS_SYS_VERSIONS={}", all.trim_end_matches(','));
        Ok(())
    }
}

/// Asks for all libraries and prints the linker's instructions; on any failure says all that is wrong at once.
pub(crate) fn libraries(with_ftp_client: bool) -> Result<Found, String> {
    let mut found = Found { include_paths: BTreeSet::new(), versions: Vec::new() };
    let mut missing = Vec::new();
    let mut too_old = Vec::new();

    for library in LIBRARIES.iter().chain(with_ftp_client.then_some(&FTP_CLIENT)) {
        let package = format!("globus-{}", library.name);
        match pkg_config::Config::new().print_system_libs(false).probe(&package) {
            Ok(answer) if is_older(&answer.version, library.at_least) => {
                too_old.push(format!("{package} {} (needed: {} or newer)", answer.version, library.at_least));
            }
            Ok(answer) => {
                found.include_paths.extend(answer.include_paths);
                found.versions.push((library.name, answer.version));
            }
            Err(pkg_config::Error::Command { command, cause }) => {
                return Err(no_pkg_config(&command, &cause));
            }
            // Cross-compiling without configuration, GLOBUS_…_NO_PKG_CONFIG and the like: pkg-config's words say it best.
            Err(error @ (pkg_config::Error::CrossCompilation | pkg_config::Error::EnvNoPkgConfig(_))) => {
                return Err(format!("globus-sys: {error}"));
            }
            Err(_) => missing.push(library.name),
        }
    }
    if missing.is_empty() && too_old.is_empty() { Ok(found) } else { Err(explain(&missing, &too_old)) }
}

/// Compares major versions; the libraries' versions are `major.minor`, and the major one counts the interface.
fn is_older(version: &str, at_least: &str) -> bool {
    let major = |text: &str| text.split('.').next().and_then(|n| n.parse::<u32>().ok());
    major(version) < major(at_least)
}

fn explain(missing: &[&str], too_old: &[String]) -> String {
    let mut text =
        String::from("globus-sys: the Globus (Grid Community Toolkit) libraries are not all there.\n");
    if !missing.is_empty() {
        let list = |before: &str, after: &str| {
            missing.iter().map(|name| format!("{before}{name}{after}")).collect::<Vec<_>>().join(" ")
        };
        let _ = write!(
            text,
            "\n  not found by pkg-config:  {}\n\n  Debian, Ubuntu:\n    sudo apt-get install {}\n  \
             Fedora, or Enterprise Linux with EPEL:\n    sudo dnf install {}\n\n  \
             If they are installed in a place of their own, name the folder of their .pc files in PKG_CONFIG_PATH.\n",
            list("globus-", ""),
            list("libglobus-", "-dev"),
            list("globus-", "-devel"),
        );
    }
    if !too_old.is_empty() {
        let _ = write!(text, "\n  too old:  {}\n", too_old.join(", "));
    }
    text
}

fn no_pkg_config(command: &str, cause: &std::io::Error) -> String {
    format!(
        "globus-sys: cannot run pkg-config, which finds the Globus libraries: `{command}`: {cause}\n\n  \
         Debian, Ubuntu:\n    sudo apt-get install pkg-config\n  \
         Fedora, or Enterprise Linux:\n    sudo dnf install pkgconf-pkg-config"
    )
}
