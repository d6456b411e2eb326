//! `doctor`: step by step from a host's name to a file's bytes. What failed does not keep later steps from being taken that
//! make sense without it; the others are shown as skipped.

mod advice;
mod network;
mod probe;
mod report;
mod trust;

use std::time::Duration;

use gridftp::{Error, FeatureSet, Scheme, Url};

use crate::args::{self, Common, verbs};
use crate::context::{Context, remote};
use crate::cred;
use crate::exit::Code;
use crate::failure::Failure;
use crate::show;
use crate::when;
use report::{Outcome, Report};

/// How long an address, or a greeting, may take. Both take one round trip.
const LIMIT: Duration = Duration::from_secs(10);

/// Checksums that storage systems of the grid agree on.
const CHECKSUMS: [&str; 2] = ["ADLER32", "MD5"];

pub(crate) async fn run(context: &Context, common: &Common, words: &verbs::Doctor) -> Result<Code, Failure> {
    let url = args::url(&words.url)?;
    let limit = context.timeout.unwrap_or(LIMIT);
    let is_gsi = url.scheme() == Scheme::Gsiftp;
    let mut report = Report::new(context, &url);

    let (outcome, addresses) = report.timed(network::resolve(&url, limit)).await;
    report.step("name", outcome).await?;

    let mut stream = None;
    if addresses.is_empty() {
        report.step("port", Outcome::skipped("there is no address")).await?;
    } else {
        let (outcome, connected) = report.timed(network::connect(&addresses, limit)).await;
        stream = connected;
        report.step("port", outcome).await?;
    }

    let mut greeted = false;
    match stream {
        None => report.step("greeting", Outcome::skipped("there is no connection")).await?,
        Some(stream) => {
            let (outcome, good) = report.timed(network::greeting(stream, &url, limit)).await;
            greeted = good;
            report.step("greeting", outcome).await?;
        }
    }

    let mut identified = true;
    if is_gsi {
        let (outcome, good) = report.timed(credential(context, common)).await;
        identified = good;
        report.step("credential", outcome).await?;
        let outcome = report.timed(trust::look()).await;
        report.step("trust", outcome).await?;
    } else {
        let why = format!("{} needs none", url.scheme().as_str());
        report.step("credential", Outcome::skipped(&why)).await?;
        report.step("trust", Outcome::skipped(&why)).await?;
    }

    let mut features = None;
    let why = match (greeted, identified) {
        (false, _) => Some("the server did not greet"),
        (true, false) => Some("there is no good credential"),
        (true, true) => None,
    };
    if let Some(why) = why {
        report.step("login", Outcome::skipped(why)).await?;
    } else {
        let result = report.timed(context.client.features(&url)).await;
        let outcome = match result {
            Ok(found) => {
                features = Some(found);
                Outcome::good("logged in")
            }
            Err(error) => refused_login(&error, &url),
        };
        report.step("login", outcome).await?;
    }

    let Some(features) = features else {
        for name in ["features", "data", "file"] {
            report.step(name, Outcome::skipped("there is no login")).await?;
        }
        if words.write {
            report.step("write", Outcome::skipped("there is no login")).await?;
        }
        return report.end().await;
    };
    report.timed(async {}).await;
    report.step("features", judged(&features, is_gsi)).await?;

    let place = probe::look(context, &url).await;
    let outcome = report.timed(probe::list(context, &place)).await;
    report.step("data", outcome).await?;
    let outcome = report.timed(probe::read(context, &url, &place)).await;
    report.step("file", outcome).await?;
    if words.write {
        let outcome = report.timed(probe::write(context, &place)).await;
        report.step("write", outcome).await?;
    }
    report.end().await
}

/// The user's credential, and whether a login can be tried with it.
async fn credential(context: &Context, common: &Common) -> (Outcome, bool) {
    let info = match context.credential.info().await {
        Ok(info) => info,
        Err(error) => {
            let outcome = Outcome::failed(&remote(error))
                .advise("make a proxy by grid-proxy-init or voms-proxy-init, or name a file by --cred");
            return (outcome, false);
        }
    };
    let left = info.remaining();
    let place = cred::place(common).unwrap_or_default();
    if left.is_zero() {
        let message = format!("{place}: expired on {}", when::rfc3339(info.expires()));
        let outcome = Outcome::failed(&Failure::told(Code::Authentication, message))
            .advise("make another proxy by grid-proxy-init or voms-proxy-init");
        return (outcome, false);
    }
    if cred::is_early(&info) {
        let message = format!("{place}: good from {} on", when::rfc3339(info.not_before()));
        let outcome = Outcome::failed(&Failure::told(Code::Authentication, message))
            .advise("this machine's clock is behind: compare `date -u` with another machine's");
        return (outcome, false);
    }
    let text =
        format!("{} ({}), {} left", show::text(info.identity()), cred::kind(&info), when::length(left));
    if left < cred::SOON {
        return (Outcome::warned(text).advise("the credential ends within an hour: renew it"), true);
    }
    (Outcome::good(text), true)
}

fn refused_login(error: &Error, url: &Url) -> Outcome {
    let failure = remote(error.clone());
    let text = failure.line().unwrap_or_default();
    let mut outcome = Outcome::failed(&failure);
    for advice in advice::login(error.kind(), error.phase(), &text, url.scheme()) {
        outcome = outcome.advise(advice);
    }
    outcome
}

/// What the server can do that matters for transfers.
fn judged(features: &FeatureSet, is_gsi: bool) -> Outcome {
    let wanted: [(&str, bool, &str); 7] = [
        ("MLST", features.mlst(), "facts about files are pieced together from LIST, SIZE and MDTM"),
        ("SIZE", features.size(), "sizes cannot be compared"),
        ("REST STREAM", features.rest_stream(), "transfers cannot be gone on with in the middle"),
        ("UTF8", features.utf8(), "names that are not ASCII may come out wrong"),
        ("CKSM", features.cksm(), "checksums need the file to be read back"),
        ("PARALLEL", features.parallel(), "one data connection per transfer"),
        ("ERET", features.eret(), "parts of files are cut off by closing the connection"),
    ];
    // Plain FTP servers have none of the last three, and nobody misses them.
    let wanted = if is_gsi { &wanted[..] } else { &wanted[..4] };
    let there: Vec<&str> = features_there(features);
    let mut text = there.join(", ");
    let checksums: Vec<String> = features.checksums().map(show::text).collect();
    if !checksums.is_empty() {
        text = format!("{text} ({})", checksums.join(" "));
    }
    let missing: Vec<_> = wanted.iter().filter(|(_, has, _)| !has).collect();
    if features.is_empty() {
        return Outcome::warned("the server lists no features")
            .advise("it knows the commands of 1985 only: expect little");
    }
    // UTF8 is worth a word, not a warning: GridFTP servers have names of bytes.
    let grave = missing.iter().any(|(name, ..)| *name != "UTF8");
    let mut outcome = if grave { Outcome::warned(text) } else { Outcome::good(text) };
    for (name, _, consequence) in missing {
        if grave {
            outcome = outcome.advise(&format!("{name} is missing: {consequence}"));
        }
    }
    if features.cksm() && !CHECKSUMS.iter().any(|known| checksums.iter().any(|name| name == known)) {
        outcome = outcome.advise("the server computes neither ADLER32 nor MD5");
    }
    outcome
}

fn features_there(features: &FeatureSet) -> Vec<&'static str> {
    [
        ("MLST", features.mlst()),
        ("SIZE", features.size()),
        ("MDTM", features.mdtm()),
        ("MFMT", features.mfmt()),
        ("REST STREAM", features.rest_stream()),
        ("UTF8", features.utf8()),
        ("PARALLEL", features.parallel()),
        ("ERET", features.eret()),
        ("ESTO", features.esto()),
        ("SPAS", features.spas()),
        ("DCAU", features.dcau()),
        ("CKSM", features.cksm()),
    ]
    .into_iter()
    .filter_map(|(name, has)| has.then_some(name))
    .collect()
}
