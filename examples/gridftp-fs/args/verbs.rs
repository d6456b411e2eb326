//! The verbs with their own options.

use std::ffi::OsString;
use std::time::SystemTime;

use clap::{Args, Subcommand};

use crate::size;
use crate::size_test::SizeTest;
use crate::when::{self, Moment};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List folders
    #[command(after_help = "Examples:\n  gridftp-fs ls -l gsiftp://dtn.example.org/data/\n  \
        gridftp-fs ls -R --json gsiftp://dtn.example.org/data/run7 | jq -r .name\n\nTimes are in UTC.")]
    Ls(Ls),
    /// Show all that a server tells about files and folders
    #[command(after_help = "Example:\n  gridftp-fs stat gsiftp://dtn.example.org/data/run7.root")]
    Stat(Urls),
    /// Write files to standard output
    #[command(after_help = "Example:\n  gridftp-fs cat --length 1K gsiftp://dtn.example.org/data/README")]
    Cat(Cat),
    /// Store a file, or standard input, under its name only when it is whole
    #[command(
        after_help = "Examples:\n  tar c run7 | gridftp-fs put - gsiftp://dtn.example.org/data/run7.tar\n  \
        gridftp-fs put run7.root gsiftp://dtn.example.org/data/"
    )]
    Put(Put),
    /// Make folders
    #[command(after_help = "Example:\n  gridftp-fs mkdir -p gsiftp://dtn.example.org/data/2026/run7")]
    Mkdir(Mkdir),
    /// Remove files and links, with -r folders and what is in them
    #[command(after_help = "Example:\n  gridftp-fs rm -r gsiftp://dtn.example.org/data/2025")]
    Rm(Rm),
    /// Remove empty folders
    #[command(after_help = "Example:\n  gridftp-fs rmdir gsiftp://dtn.example.org/data/2025")]
    Rmdir(Urls),
    /// Give a file or folder another name, or move it to another folder of its server
    #[command(
        after_help = "Example:\n  gridftp-fs mv gsiftp://dtn.example.org/data/a gsiftp://dtn.example.org/old/"
    )]
    Mv(Mv),
    /// Change permissions
    #[command(after_help = "Examples:\n  gridftp-fs chmod 640 gsiftp://dtn.example.org/data/a\n  \
        gridftp-fs chmod -R g+rX,o= gsiftp://dtn.example.org/data\n\nWithout u, g, o or a in front, all three are meant.")]
    Chmod(Chmod),
    /// Give files to another group
    #[command(after_help = "Example:\n  gridftp-fs chgrp -R atlas gsiftp://dtn.example.org/data")]
    Chgrp(Chgrp),
    /// Make a symbolic link
    #[command(after_help = "Example:\n  gridftp-fs ln -s /data/run7 gsiftp://dtn.example.org/data/latest")]
    Ln(Ln),
    /// Set the time of the last change; makes empty files where there are none
    #[command(after_help = "Examples:\n  gridftp-fs touch gsiftp://dtn.example.org/data/done\n  \
        gridftp-fs touch -d 2026-05-01T12:00:00Z gsiftp://dtn.example.org/data/a")]
    Touch(Touch),
    /// Sum up the sizes of files, folder by folder
    #[command(after_help = "Example:\n  gridftp-fs du -s --human gsiftp://dtn.example.org/data\n\n\
        Sizes of files as they are told, links left out.")]
    Du(Du),
    /// Look for files; shows their URLs
    #[command(
        after_help = "Examples:\n  gridftp-fs find gsiftp://dtn.example.org/data --name '*.root' --size +1G\n  \
        gridftp-fs find gsiftp://dtn.example.org/tmp --type f --older 30d -0 | xargs -0 gridftp-fs rm"
    )]
    Find(Find),
    /// Show checksums, computed by the server where it can
    #[command(after_help = "Example:\n  gridftp-fs sum -a adler32 gsiftp://dtn.example.org/data/run7.root")]
    Sum(Sum),
    /// Show what servers say they can do
    #[command(after_help = "Example:\n  gridftp-fs features gsiftp://dtn.example.org/")]
    Features(Urls),
    /// Show the free space, where a server tells it
    #[command(after_help = "Example:\n  gridftp-fs df gsiftp://dtn.example.org/data")]
    Df(Urls),
    /// Show the credential that would be used
    #[command(after_help = "Example:\n  gridftp-fs cred --cred /tmp/x509up_u1000")]
    Cred,
    /// Find out step by step why a server cannot be used
    #[command(after_help = "Example:\n  gridftp-fs doctor --write gsiftp://dtn.example.org/data/")]
    Doctor(Doctor),
}

#[derive(Debug, Args)]
pub(crate) struct Urls {
    #[arg(value_name = "URL", required = true)]
    pub(crate) urls: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Permissions, owner, group, size and time as well
    #[arg(short = 'l', long)]
    pub(crate) long: bool,
    /// Folders in folders as well
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Folders themselves, not what is in them
    #[arg(short = 'd', long)]
    pub(crate) directory: bool,
    /// Names that begin with a dot as well
    #[arg(short = 'a', long)]
    pub(crate) all: bool,
    /// Sizes as in 1.5M
    #[arg(long)]
    pub(crate) human: bool,
    #[command(flatten)]
    pub(crate) urls: Urls,
}

#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// From this byte on
    #[arg(long, value_name = "SIZE", value_parser = size::bytes, default_value = "0", hide_default_value = true)]
    pub(crate) offset: u64,
    /// At most so many bytes
    #[arg(long, value_name = "SIZE", value_parser = size::bytes)]
    pub(crate) length: Option<u64>,
    #[command(flatten)]
    pub(crate) urls: Urls,
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    /// A local file, or - for standard input
    pub(crate) file: OsString,
    /// Where it goes; a folder gets it under its own name
    #[arg(value_name = "URL")]
    pub(crate) url: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct Mkdir {
    /// The folders above as well, and no failure if it is there
    #[arg(short = 'p', long)]
    pub(crate) parents: bool,
    #[command(flatten)]
    pub(crate) urls: Urls,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Folders with everything in them
    #[arg(short = 'r', long, short_alias = 'R')]
    pub(crate) recursive: bool,
    /// No failure for what is not there
    #[arg(short = 'f', long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) urls: Urls,
}

#[derive(Debug, Args)]
pub(crate) struct Mv {
    #[arg(value_name = "FROM")]
    pub(crate) from: OsString,
    /// The new name, or a folder to move it into
    #[arg(value_name = "TO")]
    pub(crate) to: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct Chmod {
    /// Everything in folders as well; links are left as they are
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Octal digits, or changes as in u+w,go-r
    #[arg(value_name = "MODE")]
    pub(crate) mode: String,
    #[command(flatten)]
    pub(crate) urls: Urls,
}

#[derive(Debug, Args)]
pub(crate) struct Chgrp {
    /// Everything in folders as well; links are left as they are
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Its name or number
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) urls: Urls,
}

#[derive(Debug, Args)]
pub(crate) struct Ln {
    /// The link is a symbolic one; servers have no other
    #[arg(short = 's', long, required = true)]
    pub(crate) symbolic: bool,
    /// The path at the server that the link leads to
    #[arg(value_name = "TARGET")]
    pub(crate) target: OsString,
    /// The link
    #[arg(value_name = "URL")]
    pub(crate) url: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct Touch {
    /// This time instead of now: 2026-05-01, 2026-05-01T12:00:00Z, @SECONDS; UTC unless it says otherwise
    #[arg(short = 'd', long, value_name = "TIME", value_parser = when::time)]
    pub(crate) date: Option<SystemTime>,
    /// Make no files
    #[arg(short = 'c', long)]
    pub(crate) no_create: bool,
    #[command(flatten)]
    pub(crate) urls: Urls,
}

#[derive(Debug, Args)]
pub(crate) struct Du {
    /// One sum per URL
    #[arg(short = 's', long)]
    pub(crate) summarize: bool,
    /// Sizes as in 1.5M
    #[arg(long)]
    pub(crate) human: bool,
    #[command(flatten)]
    pub(crate) urls: Urls,
}

#[derive(Debug, Args)]
pub(crate) struct Find {
    /// Names that match, as in *.root; case counts
    #[arg(long, value_name = "GLOB")]
    pub(crate) name: Option<String>,
    /// Files (f), folders (d) or links (l)
    #[arg(long = "type", value_name = "f|d|l", value_parser = ["f", "d", "l"])]
    pub(crate) kind: Option<String>,
    /// More than (+), less than (-), or just so many bytes, with K, M, G or T for powers of 1024
    #[arg(long, value_name = "[+-]SIZE", value_parser = SizeTest::parse, allow_hyphen_values = true)]
    pub(crate) size: Option<SizeTest>,
    /// Changed within that time (2d, 3h), or after that moment
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    pub(crate) newer: Option<Moment>,
    /// Not changed within that time, or before that moment
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    pub(crate) older: Option<Moment>,
    /// So many folders deep; 0 for the URL itself
    #[arg(long, value_name = "N")]
    pub(crate) max_depth: Option<usize>,
    /// A zero byte behind each URL, for xargs -0
    #[arg(short = '0', long, conflicts_with = "json")]
    pub(crate) null: bool,
    #[command(flatten)]
    pub(crate) urls: Urls,
}

#[derive(Debug, Args)]
pub(crate) struct Sum {
    /// md5, adler32, crc32, sha1, sha256, sha512, or another one of the server's
    #[arg(short = 'a', long, value_name = "ALGORITHM", default_value = "md5")]
    pub(crate) algorithm: String,
    #[command(flatten)]
    pub(crate) urls: Urls,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Store, read and remove a small file as well
    #[arg(long)]
    pub(crate) write: bool,
    #[arg(value_name = "URL")]
    pub(crate) url: OsString,
}
