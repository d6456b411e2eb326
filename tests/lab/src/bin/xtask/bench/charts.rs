//! `cargo xtask bench charts`: series instead of pairs. Each point is one run, whose copy is compared with its original; slow
//! programs get fewer files or bytes, so that no point takes much longer than half a minute.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gridftp_lab::packages;

use super::figures::figure;
use super::lab::{Lab, Plan, check_tree, clear, file_url, scaled};
use super::measure;
use super::peers;
use super::results::{Axis, Chart, Series};
use super::rows::FAR;
use super::session::{Session, size, words};

mod growth;

/// What a point should take, in seconds.
const LONG: f64 = 15.0;

/// A chart, or two of the same runs.
pub(crate) struct Measurement {
    name: &'static str,
    make: fn(&mut Session) -> Result<Vec<Chart>>,
}

const ALL: [Measurement; 4] = [
    Measurement { name: "files-by-distance", make: files_by_distance },
    Measurement { name: "speed-by-loss", make: speed_by_loss },
    Measurement { name: "growth-files", make: growth::files },
    Measurement { name: "growth-bytes", make: growth::bytes },
];

/// Those whose name contains this.
pub(crate) fn named(name: &str) -> impl Iterator<Item = Measurement> {
    ALL.into_iter().filter(move |chart| chart.name.contains(name))
}

impl Measurement {
    /// Measures it. A failure is told, and leaves the others.
    pub(crate) fn measure(&self, session: &mut Session) -> Vec<Chart> {
        println!("==== {}", self.name);
        (self.make)(session).unwrap_or_else(|error| {
            session.fail(self.name, &error);
            Vec::new()
        })
    }
}

/// A program that copies.
struct Copier {
    name: String,
    kind: Kind,
    program: PathBuf,
    flags: String,
    /// One file after another: its speed with a few files is its speed with many, and tells how many to give it.
    /// Others are slow to begin, and get all there are.
    even: Option<u64>,
}

enum Kind {
    /// From a URL to a URL.
    Copy,
    Rclone,
}

impl Copier {
    fn guc(flags: &'static str, even: Option<u64>) -> Result<Self> {
        let program = packages::URL_COPY.program()?;
        Ok(Self {
            name: format!("guc {flags}").trim().to_owned(),
            kind: Kind::Copy,
            program,
            flags: flags.to_owned(),
            even,
        })
    }

    fn ours(session: &mut Session, flags: &'static str) -> Result<Self> {
        let program = session.program("gridftp-cp")?;
        Ok(Self {
            name: "gridftp-cp".to_owned(),
            kind: Kind::Copy,
            program,
            flags: flags.to_owned(),
            even: None,
        })
    }

    /// The contents of a folder at the server into a new one here.
    fn folder(&self, lab: &Lab, from: &str) -> Command {
        let copy = lab.path("copy");
        match self.kind {
            Kind::Copy => {
                let ends = [format!("{}/", lab.url(from)), format!("{}/", file_url(&copy))];
                lab.command(&self.program, &words(&self.flags, &[&ends[0], &ends[1]]))
            }
            Kind::Rclone => {
                let (server, path) = (lab.server(), lab.path(from).display().to_string());
                let (host, port) = (server.host(), server.port().to_string());
                let fixed = ["--ftp-host", host, "--ftp-port", &port];
                let ends = [format!(":ftp:{path}"), copy.display().to_string()];
                lab.command(&self.program, &[words(&self.flags, &fixed), ends.to_vec()].concat())
            }
        }
    }

    fn file(&self, lab: &Lab, from: &str) -> Command {
        let ends = [lab.url(from), file_url(&lab.path("copy"))];
        lab.command(&self.program, &words(&self.flags, &[&ends[0], &ends[1]]))
    }
}

/// rclone wants passwords in a form of its own, and takes no answer but yes to its question for UTF-8.
fn rclone() -> Result<Copier, String> {
    let program = peers::find(&packages::RCLONE)?;
    let output =
        Command::new(&program).args(["obscure", "anonymous"]).output().map_err(|error| error.to_string())?;
    let password = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let flags = format!(
        "copy --transfers 16 --checkers 16 --ftp-user anonymous --ftp-pass {password} --ftp-disable-utf8 --config /dev/null"
    );
    Ok(Copier {
        name: "rclone, 16 transfers".to_owned(),
        kind: Kind::Rclone,
        program,
        flags,
        even: Some(160),
    })
}

/// The points of each program at each place; a program that fails is told, and has those it came to.
fn series<'a>(
    session: &mut Session,
    copiers: &'a [Copier],
    xs: &[f64],
    point: &dyn Fn(&'a Copier, f64) -> Result<f64>,
) -> Vec<Series> {
    let mut all = Vec::new();
    for copier in copiers {
        let mut points = Vec::new();
        for &x in xs {
            match point(copier, x) {
                Ok(y) => points.push((x, y)),
                Err(error) => {
                    session.fail(&copier.name, &error);
                    break;
                }
            }
        }
        if !points.is_empty() {
            all.push(Series { name: copier.name.clone(), points });
        }
    }
    all
}

/// Copies that many files of a folder made for it; gives files per second.
fn files_per_second(copier: &Copier, lab: &Lab, count: u64, bytes: u64) -> Result<f64> {
    // A run that failed may have left something.
    clear(&lab.path("source"))?;
    let tree = lab.tree("source", count, bytes, 0)?;
    clear(&lab.path("copy"))?;
    let (wall, ..) = measure::time(&mut copier.folder(lab, "source"))?;
    check_tree(&tree, &lab.path("copy"))?;
    clear(&lab.path("source"))?;
    Ok(figure(count) / wall.as_secs_f64())
}

/// Files of 4 KiB, against the round trip.
fn files_by_distance(session: &mut Session) -> Result<Vec<Chart>> {
    let link = "rtt=0 rate=1gbit";
    let Some(lab) = session.across("files-by-distance", Plan { wan: Some(link), ..Plan::default() })? else {
        return Ok(Vec::new());
    };
    let mut copiers = vec![
        Copier::ours(session, "-r")?,
        Copier::guc("-r -cd -cc 32 -fast", None)?,
        Copier::guc("-r -cd", Some(16))?,
    ];
    match rclone() {
        Ok(rclone) => copiers.push(rclone),
        Err(why) => session.leave_out("files-by-distance / rclone", &why),
    }
    let full = session.sized(2000, 40);
    let point = |copier: &Copier, rtt: f64| -> Result<f64> {
        lab.set_link(&format!("rtt={rtt}ms"))?;
        let count = match copier.even {
            None => full,
            Some(few) => {
                let few = few.min(full);
                scaled(files_per_second(copier, &lab, few, 4096)?, LONG, few, full)
            }
        };
        let speed = files_per_second(copier, &lab, count, 4096)?;
        println!("{}, {rtt} ms: {speed:.1} files/s ({count} files)", copier.name);
        Ok(speed)
    };
    let series = series(session, &copiers, &[0.0, 10.0, 50.0, 150.0], &point);
    Ok(vec![Chart {
        name: "files-by-distance".to_owned(),
        title: "Files of 4 KiB fetched, by round trip (1 Gbit/s)".to_owned(),
        x: Axis { label: "round trip, ms".to_owned(), log: false },
        y: Axis { label: "files per second".to_owned(), log: true },
        series,
        measured: session.stamp(),
    }])
}

/// A large file, against the share of segments that is lost.
fn speed_by_loss(session: &mut Session) -> Result<Vec<Chart>> {
    let Some(lab) = session.across("speed-by-loss", Plan { wan: Some(FAR), ..Plan::default() })? else {
        return Ok(Vec::new());
    };
    let copiers = [
        Copier::ours(session, "")?,
        Copier::guc("-fast", None)?,
        Copier::guc("-fast -p 16", None)?,
        Copier::guc("-fast -p 64", None)?,
    ];
    let full = session.sized(512 << 20, 4 << 20);
    let point = |copier: &Copier, loss: f64| -> Result<f64> {
        lab.set_link(&format!("loss={loss}%"))?;
        // A larger one as long as it is quick: the beginning of a connection is slow, and a small file is all beginning.
        let mut bytes = full.min(16 << 20);
        let (mut time, mut speed) = file_speed(copier, &lab, bytes)?;
        while bytes < full && time.as_secs_f64() < LONG / 4.0 {
            bytes = (bytes * 4).min(full);
            (time, speed) = file_speed(copier, &lab, bytes)?;
        }
        println!("{}, {loss} % lost: {speed:.1} MB/s ({})", copier.name, size(bytes));
        Ok(speed)
    };
    let series = series(session, &copiers, &[0.0, 0.01, 0.1, 0.5, 1.0], &point);
    Ok(vec![Chart {
        name: "speed-by-loss".to_owned(),
        title: "A large file fetched, by loss (50 ms, 1 Gbit/s, cubic)".to_owned(),
        x: Axis { label: "segments lost, %".to_owned(), log: false },
        y: Axis { label: "MB/s".to_owned(), log: true },
        series,
        measured: session.stamp(),
    }])
}

fn file_speed(copier: &Copier, lab: &Lab, bytes: u64) -> Result<(Duration, f64)> {
    let original = lab.file("source", bytes)?;
    clear(&lab.path("copy"))?;
    let (wall, ..) = measure::time(&mut copier.file(lab, "source"))?;
    original.check(&lab.path("copy")).with_context(|| copier.name.clone())?;
    clear(&lab.path("copy"))?;
    clear(&lab.path("source"))?;
    Ok((wall, crate::step::rate(bytes, wall)))
}
