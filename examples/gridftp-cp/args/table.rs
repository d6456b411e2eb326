//! Every option of `globus-url-copy`, and what becomes of it here. This is data: `words` goes by it, the help and the manual
//! page list it, and a test walks it.

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// The long option of this program that means the same.
    Is(&'static str),
    /// Heard, and not done: this is what is said.
    Warns(&'static str),
    /// Not to be had: this is why, and what to do instead.
    Refused(&'static str),
}

/// An option of `globus-url-copy`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Its names, without the dash.
    pub(crate) names: &'static [&'static str],
    /// What its value is, if it has one.
    pub(crate) value: Option<&'static str>,
    pub(crate) does: Does,
    /// What is different here, where something is.
    pub(crate) note: &'static str,
}

const fn is(names: &'static [&'static str], own: &'static str, note: &'static str) -> Row {
    Row { names, value: None, does: Does::Is(own), note }
}

const fn takes(
    names: &'static [&'static str],
    value: &'static str,
    own: &'static str,
    note: &'static str,
) -> Row {
    Row { names, value: Some(value), does: Does::Is(own), note }
}

/// All of them, as version 10.12 has them.
pub(crate) const GLOBUS_URL_COPY: &[Row] = &[
    is(&["help", "usage"], "help", ""),
    is(&["version"], "version", ""),
    is(&["versions"], "versions", ""),
    is(&["c", "continue-on-error"], "continue-on-error", "always so: one failure never ends the others"),
    is(&["a", "ascii"], "ascii", ""),
    is(&["b", "binary"], "binary", ""),
    takes(&["f", "filename"], "FILE", "from-file", "also JSON lines and NUL, and - for standard input"),
    is(&["cd", "create-dest"], "create-dest", ""),
    is(
        &["r", "recurse"],
        "recursive",
        "links are followed, every folder is copied, what is left out is told",
    ),
    is(&["fast", "fast-data-channels"], "fast", ""),
    takes(&["t", "transfer-time"], "SECONDS", "timeout-total", "ends with exit code 7, not 0"),
    is(&["q", "quiet"], "quiet", ""),
    is(&["v", "verbose"], "verbose", ""),
    is(&["vb", "verbose-perf"], "verbose-perf", ""),
    is(&["dbg", "debugftp"], "debugftp", ""),
    is(&["rst", "restart"], "restart", "always so, for each file, and only where trying again can help"),
    takes(&["rst-retries", "restart-retries"], "N", "rst-retries", "for each file, not for the whole run"),
    takes(&["rst-interval", "restart-interval"], "SECONDS", "rst-interval", ""),
    takes(&["rst-timeout", "restart-timeout"], "SECONDS", "retry-within", "from a file's first failure on"),
    takes(&["st", "stall-timeout"], "SECONDS", "timeout-stall", "for everything, listings included"),
    takes(&["df", "dumpfile"], "FILE", "dumpfile", "what failed is in it too"),
    takes(&["do", "dump-only"], "FILE", "dump-only", ""),
    is(&["rp", "relative-paths"], "relative-paths", ""),
    takes(&["s", "subject"], "DN", "subject", ""),
    takes(&["ss", "source-subject"], "DN", "source-subject", ""),
    takes(&["ds", "dest-subject"], "DN", "dest-subject", ""),
    takes(&["tcp-bs", "tcp-buffer-size"], "SIZE", "tcp-buffer-size", ""),
    takes(&["bs", "block-size"], "SIZE", "block-size", "whole files choose their own"),
    takes(&["p", "parallel"], "N", "parallel", ""),
    is(&["notpt", "no-third-party-transfers"], "through-client", ""),
    is(&["nodcau", "no-data-channel-authentication"], "nodcau", ""),
    is(&["dcsafe", "data-channel-safe"], "dcsafe", "an error where it cannot be had"),
    is(&["dcpriv", "data-channel-private"], "dcpriv", "an error where it cannot be had"),
    takes(&["off", "partial-offset"], "SIZE", "partial-offset", ""),
    takes(&["len", "partial-length"], "SIZE", "partial-length", ""),
    takes(&["list", "list-url"], "URL", "list", ""),
    is(&["stripe", "striped"], "stripe", ""),
    takes(&["sbs", "striped-block-size"], "SIZE", "striped-block-size", ""),
    is(&["ipv6", "IPv6"], "ipv6", "always so"),
    is(&["udt", "u"], "udt", "between two servers that have the driver"),
    is(&["g2", "gridftp2"], "gridftp2", "what it saves, pipelines save"),
    is(&["no-g2", "nogridftp2"], "no-gridftp2", "always so"),
    is(&["dp", "delayed-pasv"], "delayed-pasv", ""),
    takes(&["mn", "module-name"], "NAME", "module-name", ""),
    takes(&["mp", "module-parameters"], "TEXT", "module-parameters", ""),
    takes(&["smn", "src-module-name"], "NAME", "source-module-name", ""),
    takes(&["smp", "src-module-parameters"], "TEXT", "source-module-parameters", ""),
    takes(&["dmn", "dst-module-name"], "NAME", "dest-module-name", ""),
    takes(&["dmp", "dst-module-parameters"], "TEXT", "dest-module-parameters", ""),
    takes(&["aa", "authz-assert"], "FILE", "authz-assert", ""),
    takes(&["saa", "src-authz-assert"], "FILE", "source-authz-assert", ""),
    takes(&["daa", "dst-authz-assert"], "FILE", "dest-authz-assert", ""),
    is(&["cache-aa", "cache-authz-assert"], "cache-authz-assert", "always so, for the life of a session"),
    is(&["cache-saa", "cache-src-authz-assert"], "cache-authz-assert", "the same"),
    is(&["cache-daa", "cache-dst-authz-assert"], "cache-authz-assert", "the same"),
    is(&["pp", "pipeline"], "pipeline", "always so for small files, in all directions, and verified"),
    takes(&["ppq", "pipelineq"], "N", "pipeline-queue", "the depth is chosen by what is under way"),
    takes(&["cc", "concurrency"], "N", "concurrency", ""),
    Row {
        names: &["nlb", "nl-bottleneck"],
        value: None,
        does: Does::Warns("there is no NetLogger here; -vb and --json tell the rates"),
        note: "",
    },
    Row {
        names: &["nli", "nl-interval"],
        value: Some("MILLISECONDS"),
        does: Does::Warns("there is no NetLogger here; -vb and --json tell the rates"),
        note: "",
    },
    takes(&["SP", "sp", "src-pipe"], "COMMAND", "source-pipe", ""),
    takes(&["DP", "dst-pipe"], "COMMAND", "dest-pipe", ""),
    takes(&["P", "pipe"], "COMMAND", "pipe", ""),
    takes(&["dcstack", "data-channel-stack"], "DRIVERS", "data-channel-stack", ""),
    takes(&["src-dcstack", "source-data-channel-stack"], "DRIVERS", "source-data-channel-stack", ""),
    takes(&["dst-dcstack", "dest-data-channel-stack"], "DRIVERS", "dest-data-channel-stack", ""),
    takes(&["fsstack", "file-system-stack"], "DRIVERS", "file-system-stack", ""),
    takes(&["src-fsstack", "source-file-system-stack"], "DRIVERS", "source-file-system-stack", ""),
    takes(&["dst-fsstack", "dest-file-system-stack"], "DRIVERS", "dest-file-system-stack", ""),
    takes(&["cred"], "FILE", "cred", ""),
    takes(&["sc", "src-cred"], "FILE", "source-cred", ""),
    takes(&["dc", "dst-cred"], "FILE", "dest-cred", ""),
    takes(&["data-cred"], "FILE", "data-cred", ""),
    takes(&["af", "alias-file"], "FILE", "alias-file", ""),
    is(&["sync"], "sync", ""),
    takes(&["sync-level"], "0-3", "sync-level", ""),
    takes(&["checksum-alg", "algo"], "NAME", "checksum-alg", ""),
    is(&["verify-checksum", "checksum"], "verify-checksum", "every file, those of pipelines too"),
    is(&["allo", "allocate"], "allocate", ""),
    is(&["no-allo", "no-allocate"], "no-allocate", ""),
    is(&["cp", "copy-perms"], "copy-perms", "it does so: globus-url-copy does not"),
    is(&["preserve"], "preserve", "it does so: globus-url-copy does not"),
    Row {
        names: &["X", "extentions"],
        value: Some("NAME"),
        does: Does::Refused("extensions of globus-url-copy are libraries that only it can load"),
        note: "",
    },
    Row {
        names: &["CP", "plugin"],
        value: Some("NAMES"),
        does: Does::Refused(
            "plug-ins of the C client library cannot be loaded; restarts and rates are built in",
        ),
        note: "",
    },
    Row {
        names: &["MC", "multicast"],
        value: Some("FILE"),
        does: Does::Refused(
            "copies to several places are several copies: give a list with -f, one line for each place",
        ),
        note: "",
    },
];

/// The row of an option.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    GLOBUS_URL_COPY.iter().find(|row| row.names.contains(&name))
}
