//! globus-url-copy's half of a case, for comparison: it is asked for the same, with a stall timeout, and has ten seconds.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gridftp::options::TransferMode;
use gridftp_lab::hostile::{Hostile, Play, Splice};
use gridftp_lab::packages;

use super::cases::{Case, Expect, Op, contents};
use super::table::{Outcome, ended};

const LIMIT: Duration = Duration::from_secs(10);

/// Whether it has an operation like this one.
pub(super) fn has(case: &Case) -> bool {
    !matches!(
        case.op,
        Op::Stat | Op::Size | Op::Modified | Op::RemoveAll | Op::RemoveFile | Op::Crowd | Op::GetTwice
    )
}

pub(super) fn run(case: &Case) -> Outcome {
    let guc = packages::URL_COPY.program().unwrap();
    let victim = super::ours::victim();
    let server = Hostile::start((case.play)(victim.local_addr().unwrap().port()));
    let other = Hostile::start(Play::new().folder("/in").file("/in/f", contents()));
    let folder = tempfile::tempdir().unwrap();
    let (own, got) = (folder.path().join("own"), folder.path().join("in/got"));
    std::fs::create_dir(folder.path().join("in")).unwrap();
    std::fs::write(&own, contents()).unwrap();
    let file = |path: &Path| format!("file://{}", path.display());
    let fast = |streams: u16| vec!["-fast".to_owned(), "-p".into(), streams.to_string()];
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let spliced = match case.op {
        Op::Spliced { words, instead } => {
            let (port, path) = super::table::real_server();
            Some((Splice::before(port, words, instead), path))
        }
        _ => None,
    };
    let (options, from, to) = match case.op {
        Op::GetE(streams) => (fast(streams), server.url("/f"), file(&got)),
        Op::GetStriped => (words(&["-fast", "-stripe"]), server.url("/f"), file(&got)),
        Op::GetMany => {
            (words(&["-fast", "-r", "-cd"]), format!("{}/", server.url("/many")), file(&got) + "/")
        }
        Op::Put(0) | Op::PutLarge | Op::PutProgram(_) => (Vec::new(), file(&own), server.url("/in/new")),
        Op::Put(streams) => (fast(streams), file(&own), server.url("/in/new")),
        Op::List => (words(&["-list"]), format!("{}/", server.url("/d")), String::new()),
        Op::Walk(mode) => {
            let mut options = words(&["-r", "-cd"]);
            options.extend((mode == TransferMode::ExtendedBlock).then(|| "-fast".to_owned()));
            (options, format!("{}/", server.url("/d")), file(&got) + "/")
        }
        Op::Checksum => (words(&["-verify-checksum"]), server.url("/f"), file(&got)),
        Op::Third => (Vec::new(), server.url("/f"), other.url("/in/new")),
        Op::ThirdTo => (Vec::new(), other.url("/in/f"), server.url("/in/new")),
        Op::Gsi => (Vec::new(), server.gsi_url("/f"), file(&got)),
        Op::GetProgram(options) => (words(options), server.url("/f"), file(&got)),
        _ => (Vec::new(), server.url("/f"), file(&got)),
    };
    let from = match &spliced {
        Some((splice, path)) => format!("gsiftp://localhost:{}{path}", splice.port()),
        None => from,
    };
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(guc);
    command.args(["-st", "5"]).args(options).arg(from);
    if !to.is_empty() {
        command.arg(to);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = gridftp_lab::ended_within(&mut child, LIMIT);
    let judged = match status {
        None => Err("hung".into()),
        Some(status) if status.code().is_none() => Err(ended(status)),
        Some(status) => judge(case, status.success(), &got, &server),
    };
    Outcome::of(start, judged)
}

fn judge(case: &Case, success: bool, got: &Path, server: &Hostile) -> Result<String, String> {
    let whole = match case.op {
        Op::Put(_) | Op::PutProgram(_) => server.stored("/in/new") == Some(contents()),
        // A file with a hole of a terabyte is not read.
        _ => {
            std::fs::metadata(got).is_ok_and(|it| it.len() < 10_000_000)
                && std::fs::read(got).ok() == Some(contents())
        }
    };
    let single = matches!(case.op, Op::Get | Op::GetE(_) | Op::GetStriped | Op::GetProgram(_) | Op::Checksum);
    match (&case.expect, success) {
        (Expect::Fails(..) | Expect::FailsIn(..), true) => Err("says success".into()),
        (Expect::Fails(..) | Expect::FailsIn(..), false) if single && got.exists() => {
            Err("fails, and leaves a part under the name".into())
        }
        (Expect::Fails(..) | Expect::FailsIn(..), false) => Ok("fails".into()),
        (Expect::Right, true) if whole || !single => Ok("right".into()),
        (Expect::Right, true) => Err("says success, wrong bytes".into()),
        (Expect::Right, false) => Err("fails".into()),
        (Expect::That(_), success) => Ok(if success { "says success" } else { "fails" }.into()),
    }
}
