//! The words around the options in the help.

use std::fmt::Write as _;

use super::table::{Does, GLOBUS_URL_COPY};
use crate::exit;
use crate::generate::roff;

pub(crate) const ABOUT: &str = "\
Copies files and trees between GridFTP and FTP servers and this machine, or from server to server.
What has its final name afterwards is whole and checked; what fails is told, with why.";

pub(crate) const USAGE: &str = "\
gridftp-cp [OPTIONS] SOURCE... DEST
       gridftp-cp [OPTIONS] -f FILE";

pub(crate) const NOTES: &str = "\
Examples:
  gridftp-cp gsiftp://dtn.example.org/data/run7.root .           a file
  gridftp-cp -r gsiftp://dtn.example.org/data/run7/ run7         a tree
  gridftp-cp -r --sync --delete run7/ gsiftp://se.example.org/run7   make a tree equal to another one
  gridftp-cp 'gsiftp://dtn.example.org/data/*.root' here/        what matches
  gridftp-cp -r --resume gsiftp://a.example.org/x/ gsiftp://b.example.org/x   server to server; again goes on
  tar c results | gridftp-cp - ftp://ftp.example.org/in/results.tar   a stream
  gridftp-cp -f list.txt --shard 0/4                             a quarter of a list

SOURCE and DEST are ftp://, gsiftp:// or sshftp:// URLs, file:// URLs, paths, or - for standard input
and output. A DEST that ends with / or is a folder gets the source's file name, and is needed for several
sources. With -r the contents of SOURCE/ go to DEST; SOURCE without the slash goes to DEST/SOURCE if DEST
ends with a slash, and to DEST otherwise: the same command always has the same meaning.

Copies are written under a temporary name in the destination's folder, and renamed when they are complete.
Devices and pipes are written directly, and so is a part (-off, -len) of a file that exists.

Options of globus-url-copy keep their meaning, with one dash or two; gridftp-cp(1) has the list. SIZE is a
number of bytes, or one with K, M, G or T behind it (powers of 1024).
";

/// The exit codes, for the end of the help.
pub(crate) fn codes() -> String {
    let mut text = "\nExit codes:\n".to_owned();
    for (_, number, meaning) in exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {number:>3}  {meaning}");
    }
    text
}

/// What the manual page has behind the options: exit codes, and every option of `globus-url-copy`.
pub(crate) fn manual() -> String {
    let mut text = ".SH EXIT STATUS\n".to_owned();
    for (_, number, meaning) in exit::ALL {
        let _ = writeln!(text, ".TP\n{number}\n{}", roff(meaning));
    }
    text += ".SH OPTIONS OF GLOBUS-URL-COPY\nWith one dash, or for the long ones two.\n";
    for row in GLOBUS_URL_COPY {
        let names: Vec<_> = row.names.iter().map(|name| format!("-{name}")).collect();
        let value = row.value.map(|value| format!(" {value}")).unwrap_or_default();
        let does = match row.does {
            Does::Is(own) => format!("--{own}"),
            Does::Warns(what) => format!("a warning: {what}"),
            Does::Refused(why) => format!("refused: {why}"),
        };
        let note = if row.note.is_empty() { String::new() } else { format!("; {}", row.note) };
        let _ = writeln!(text, ".TP\n{}{value}\n{}{}", roff(&names.join(", ")), roff(&does), roff(&note));
    }
    text += ".SH ENVIRONMENT\n";
    for (name, meaning) in ENVIRONMENT {
        let _ = writeln!(text, ".TP\n{name}\n{}", roff(meaning));
    }
    text
}

const ENVIRONMENT: &[(&str, &str)] = &[
    ("X509_USER_PROXY, X509_USER_CERT, X509_USER_KEY", "the credential, where no option says so"),
    ("X509_CERT_DIR", "the folder of trusted authorities"),
    ("GLOBUS_TCP_PORT_RANGE", "ports on which this machine listens, as MIN,MAX"),
    ("GLOBUS_TCP_SOURCE_RANGE", "ports from which this machine connects data channels, as MIN,MAX"),
    (
        "GLOBUS_FTP_CLIENT_DATA_IP",
        "the address that servers are told to connect to, where this machine is behind a gateway",
    ),
    ("GLOBUS_REMOTE_SSHFTP", "what ssh runs at the server for sshftp URLs"),
    ("GUC_STALL_TIMEOUT", "seconds, where --timeout-stall is not given"),
    (
        "SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT, SLURM_PROCID, …",
        "the share, for --shard without a value",
    ),
    ("XDG_STATE_HOME", "the folder in which --resume remembers"),
    ("NO_COLOR", "no colours"),
];
