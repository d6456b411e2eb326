//! What the project needs from the system, and which packages bring it on Debian/Ubuntu and on Fedora/EPEL.
//!
//! One table serves the error messages of the library and `cargo xtask deps`. Looking is quick and changes nothing;
//! installing is xtask's business.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something the system has to provide.
#[derive(Debug)]
#[non_exhaustive]
pub struct Component {
    /// The name to tell a person: a program, a pkg-config module or a library.
    pub name: &'static str,
    /// How to see whether it is there.
    pub check: Check,
    /// The package of Debian and Ubuntu.
    pub debian: &'static str,
    /// The package of Fedora, and of EPEL on the RHEL family.
    pub fedora: &'static str,
}

/// How to see whether a [`Component`] is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// A program in `PATH` or one of the usual `sbin` folders.
    Program,
    /// A module that `pkg-config` knows.
    PkgConfig,
    /// The shared library libclang, where bindgen will look for it.
    LibClang,
    /// A module of the system's `python3`, or of one in `PATH`.
    PythonModule,
}

/// The families of systems whose package names are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and what is made from them: `apt-get`.
    Debian,
    /// Fedora, and RHEL, Alma, Rocky, CentOS Stream with EPEL: `dnf`.
    Fedora,
}

macro_rules! components {
    ($($(#[$doc:meta])* $id:ident = $name:literal, $check:ident, $debian:literal, $fedora:literal;)*) => {
        $($(#[$doc])* pub static $id: Component =
            Component { name: $name, check: Check::$check, debian: $debian, fedora: $fedora };)*
        /// Everything the project needs to build, test and demonstrate itself, cargo-nextest apart.
        pub static ALL: &[&Component] = &[$(&$id),*];
    };
}

components! {
    /// The C compiler.
    CC = "cc", Program, "gcc", "gcc";
    /// pkg-config itself; first of the libraries, as it is asked for them.
    PKG_CONFIG = "pkg-config", Program, "pkg-config", "pkgconf-pkg-config";
    /// libclang, which bindgen loads when it runs.
    LIBCLANG = "libclang", LibClang, "libclang-dev", "clang-devel";
    /// Headers and libraries of the client and control libraries.
    FTP_CLIENT = "globus-ftp-client", PkgConfig, "libglobus-ftp-client-dev", "globus-ftp-client-devel";
    /// Headers and libraries of GSSAPI.
    GSSAPI = "globus-gssapi-gsi", PkgConfig, "libglobus-gssapi-gsi-dev", "globus-gssapi-gsi-devel";
    /// Headers and libraries of GSI credentials.
    GSI_CREDENTIAL = "globus-gsi-credential", PkgConfig, "libglobus-gsi-credential-dev", "globus-gsi-credential-devel";
    /// The server.
    SERVER = "globus-gridftp-server", Program, "globus-gridftp-server-progs", "globus-gridftp-server-progs";
    /// The client of the Globus Toolkit: the peer in benchmarks and a second opinion in tests.
    URL_COPY = "globus-url-copy", Program, "globus-gass-copy-progs", "globus-gass-copy-progs";
    /// For people: makes a proxy from a certificate.
    PROXY_INIT = "grid-proxy-init", Program, "globus-proxy-utils", "globus-proxy-utils";
    /// Tells the name under which a CA directory is searched.
    OPENSSL = "openssl", Program, "openssl", "openssl";
    /// Headers of OpenSSL, which makes and reads certificates.
    LIBSSL = "libssl", PkgConfig, "libssl-dev", "openssl-devel";
    /// Brings up loopback in the networks that tests make for themselves.
    IP = "ip", Program, "iproute2", "iproute";
    /// Makes those networks.
    UNSHARE = "unshare", Program, "util-linux", "util-linux";
    /// A plain FTP server made by others.
    PYFTPDLIB = "pyftpdlib", PythonModule, "python3-pyftpdlib", "python3-pyftpdlib";
    /// An ssh server that needs no account of the machine's.
    ASYNCSSH = "asyncssh", PythonModule, "python3-asyncssh", "python3-asyncssh";
    /// The ssh client, which sshftp runs.
    SSH = "ssh", Program, "openssh-client", "openssh-clients";
    /// Makes the keys for both.
    SSH_KEYGEN = "ssh-keygen", Program, "openssh-client", "openssh";
    /// The C++ compiler, for libFuzzer.
    CXX = "c++", Program, "g++", "gcc-c++";
    /// Looks for errors of memory in what no compiler has instrumented.
    VALGRIND = "valgrind", Program, "valgrind", "valgrind";
    /// Authenticates the parts of Slurm to each other.
    MUNGE = "munged", Program, "munge", "munge";
    /// Slurm's controller.
    SLURM_CONTROLLER = "slurmctld", Program, "slurmctld", "slurm-slurmctld";
    /// Slurm's daemon of a node.
    SLURM_NODE = "slurmd", Program, "slurmd", "slurm-slurmd";
    /// Slurm's programs for users.
    SLURM_CLIENT = "sbatch", Program, "slurm-client", "slurm";
}

/// Copies with many transfers at once: a peer of benchmarks, which do without it.
pub static RCLONE: Component =
    Component { name: "rclone", check: Check::Program, debian: "rclone", fedora: "rclone" };

/// What a grid site has to look at files with: a peer of benchmarks, which do without it.
pub static GFAL_STAT: Component = Component {
    name: "gfal-stat",
    check: Check::Program,
    debian: "gfal2-util-scripts gfal2-plugin-gridftp",
    fedora: "gfal2-util-scripts gfal2-plugin-gridftp",
};

/// What only the tests need: programs that are built and servers that are demonstrated do without.
pub static ONLY_FOR_TESTS: &[&Component] = &[
    &PYFTPDLIB,
    &ASYNCSSH,
    &SSH,
    &SSH_KEYGEN,
    &CXX,
    &VALGRIND,
    &MUNGE,
    &SLURM_CONTROLLER,
    &SLURM_NODE,
    &SLURM_CLIENT,
];

impl Component {
    /// Whether nothing but the tests needs it.
    pub fn is_only_for_tests(&self) -> bool {
        ONLY_FOR_TESTS.iter().any(|component| std::ptr::eq(*component, self))
    }

    /// Whether it is there.
    pub fn is_present(&self) -> bool {
        match self.check {
            Check::Program => find_program(self.name).is_some(),
            Check::PkgConfig => Command::new("pkg-config")
                .args(["--exists", self.name])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
            Check::LibClang => has_libclang(),
            Check::PythonModule => python_with(self.name).is_some(),
        }
    }

    /// The package that brings it on systems of this family.
    pub fn package(&self, family: Family) -> &'static str {
        match family {
            Family::Debian => self.debian,
            Family::Fedora => self.fedora,
        }
    }

    /// A sentence for a person: which package to install, on either family, or how to have it done.
    pub fn how_to_install(&self) -> String {
        format!(
            "run `cargo xtask deps`, or `apt-get install {}` (Debian, Ubuntu) or `dnf install {}` (Fedora, or RHEL with \
             EPEL)",
            self.debian, self.fedora
        )
    }

    /// The path of the program; of a module, that of the interpreter that has it.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing), naming the packages.
    pub fn program(&'static self) -> crate::Result<PathBuf> {
        let found = match self.check {
            Check::PythonModule => python_with(self.name),
            Check::Program | Check::PkgConfig | Check::LibClang => find_program(self.name),
        };
        found.ok_or(crate::Error::Missing(self))
    }
}

/// Finds a program in `PATH`, then in the `sbin` folders, which an ordinary user's `PATH` often lacks.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// The first interpreter that can load this module. Packages of the system serve the system's interpreter, which need
/// not be the one that `PATH` finds first.
fn python_with(module: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> =
        ["/usr/bin"].map(PathBuf::from).into_iter().chain(std::env::split_paths(&path)).collect();
    candidates.dedup();
    candidates.into_iter().map(|dir| dir.join("python3")).filter(|file| is_executable(file)).find(|python| {
        Command::new(python)
            .args(["-I", "-c", &format!("import {module}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// The family of the running system, told by `/etc/os-release`; `None` when neither is recognised.
pub fn family() -> Option<Family> {
    family_of(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

fn family_of(os_release: &str) -> Option<Family> {
    let words = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace());
    for word in words {
        match word {
            "debian" | "ubuntu" => return Some(Family::Debian),
            "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => return Some(Family::Fedora),
            _ => {}
        }
    }
    None
}

fn has_libclang() -> bool {
    let is_libclang = |dir: &Path| {
        fs::read_dir(dir).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                // libclang-cpp is the C++ interface and does not help.
                name == "libclang.so" || name.starts_with("libclang.so.") || is_versioned_libclang(&name)
            })
        })
    };
    if let Some(set) = std::env::var_os("LIBCLANG_PATH") {
        let set = PathBuf::from(set);
        return set.is_file() || is_libclang(&set);
    }
    let mut dirs: Vec<PathBuf> = ["/usr/lib64", "/usr/lib", "/usr/local/lib"].map(PathBuf::from).to_vec();
    for entry in fs::read_dir("/usr/lib").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("llvm") {
            dirs.push(entry.path().join("lib"));
        } else if name.contains("-linux-gnu") {
            dirs.push(entry.path());
        }
    }
    dirs.iter().any(|dir| is_libclang(dir))
}

/// `libclang-14.so`, `libclang-14.so.1`.
fn is_versioned_libclang(name: &str) -> bool {
    name.strip_prefix("libclang-")
        .and_then(|rest| rest.split_once(".so"))
        .is_some_and(|(version, _)| version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_by_id_or_by_what_it_is_like() {
        assert_eq!(family_of("NAME=x\nID=debian\n"), Some(Family::Debian));
        assert_eq!(family_of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Some(Family::Debian));
        assert_eq!(family_of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Some(Family::Fedora));
        assert_eq!(family_of("VERSION_ID=39\nID=fedora\n"), Some(Family::Fedora));
        assert_eq!(family_of("ID=arch\n"), None);
        assert_eq!(family_of(""), None);
    }

    #[test]
    fn the_message_for_a_missing_component_names_both_families() {
        let text = crate::Error::Missing(&SERVER).to_string();
        assert!(text.contains("apt-get install globus-gridftp-server-progs"), "{text}");
        assert!(text.contains("dnf install globus-gridftp-server-progs"), "{text}");
        assert!(text.contains("`globus-gridftp-server`"), "{text}");
    }

    #[test]
    fn modules_are_looked_for_by_loading_them() {
        assert_eq!(python_with("no_such_module_of_the_lab"), None);
        assert!(PYFTPDLIB.is_only_for_tests() && !SERVER.is_only_for_tests());
    }

    #[test]
    fn libclang_names() {
        assert!(is_versioned_libclang("libclang-14.so.1"));
        assert!(is_versioned_libclang("libclang-19.so"));
        assert!(!is_versioned_libclang("libclang-cpp.so.14"));
        assert!(!is_versioned_libclang("libclang.a"));
    }

    #[test]
    fn a_program_that_is_not_there_is_not_found() {
        assert_eq!(find_program("no-such-program-of-the-lab"), None);
        assert!(find_program("sh").is_some());
    }
}
