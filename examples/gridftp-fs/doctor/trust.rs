//! The directory of authorities that the Globus libraries trust.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::x509::{X509, X509Crl};

use super::report::Outcome;
use crate::exit::Code;
use crate::failure::Failure;

/// Names that are shown of many.
const SHOWN: usize = 5;
/// Largest file that is looked into.
const MAX_FILE: u64 = 16 << 20;

/// Looks at it on another thread, as it may be on a file system far away.
pub(super) async fn look() -> Outcome {
    tokio::task::spawn_blocking(judge).await.unwrap_or_else(|_| Outcome::failed(&Failure::interrupted()))
}

/// As the Globus libraries look for it.
fn directory() -> Option<(PathBuf, &'static str)> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = variable("X509_CERT_DIR") {
        return Some((path, " (X509_CERT_DIR)"));
    }
    let home = variable("HOME").map(|home| home.join(".globus/certificates"));
    let machine = PathBuf::from("/etc/grid-security/certificates");
    home.into_iter().chain([machine]).find(|path| path.is_dir()).map(|path| (path, ""))
}

fn judge() -> Outcome {
    let bad = |message: String| {
        Outcome::failed(&Failure::told(Code::Authentication, message)).advise(
            "install the authorities' certificates (package ca-policy-egi-core or igtf-ca-bundle), or set X509_CERT_DIR",
        )
    };
    let Some((path, from)) = directory() else {
        return bad("there is neither ~/.globus/certificates nor /etc/grid-security/certificates".into());
    };
    let shown = path.display().to_string();
    let names = match fs::read_dir(&path) {
        Ok(entries) => entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect::<BTreeSet<_>>(),
        Err(error) => return bad(format!("{shown}{from}: {error}")),
    };
    let authorities: Vec<&String> = names.iter().filter(|name| is_authority(name)).collect();
    if authorities.is_empty() {
        return bad(format!("{shown}{from} holds no authority (no file as in 1a2b3c4d.0)"));
    }
    let without: Vec<&str> = authorities
        .iter()
        .map(|name| stem(name))
        .filter(|hash| !names.contains(&format!("{hash}.signing_policy")))
        .collect();
    let expired: Vec<&str> = authorities
        .iter()
        .filter(|name| is_over(&path.join(name.as_str())))
        .map(|name| name.as_str())
        .collect();
    let stale: Vec<&str> = names
        .iter()
        .filter(|name| name.contains(".r") && is_stale(&path.join(name.as_str())))
        .map(String::as_str)
        .collect();
    let text = format!("{shown}{from}: {} authorities", authorities.len());
    if without.is_empty() && expired.is_empty() && stale.is_empty() {
        return Outcome::good(text);
    }
    let mut outcome = Outcome::warned(text);
    for (names, what) in [
        (without, "no signing_policy, so that nothing of this authority is trusted"),
        (expired, "its time is over"),
        (
            stale,
            "list of revocations out of date, so that nothing of this authority is trusted (run fetch-crl)",
        ),
    ] {
        if !names.is_empty() {
            outcome = outcome.advise(&format!("{}: {what}", some(&names)));
        }
    }
    outcome
}

/// The first few names.
fn some(names: &[&str]) -> String {
    let list = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{list} and {} more", names.len() - SHOWN) } else { list }
}

/// `1a2b3c4d.0`: the hash of a name, and a number for those who share it.
fn is_authority(name: &str) -> bool {
    name.split_once('.').is_some_and(|(hash, number)| {
        hash.len() == 8
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn text(path: &Path) -> Option<Vec<u8>> {
    let small = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MAX_FILE);
    if small { fs::read(path).ok() } else { None }
}

fn now() -> Option<Asn1Time> {
    Asn1Time::days_from_now(0).ok()
}

fn is_over(path: &Path) -> bool {
    let certificate = text(path).and_then(|text| X509::from_pem(&text).ok());
    matches!((certificate, now()), (Some(certificate), Some(now)) if certificate.not_after() < &*now)
}

fn is_stale(path: &Path) -> bool {
    let list = text(path).and_then(|text| X509Crl::from_pem(&text).ok());
    matches!((list, now()), (Some(list), Some(now)) if list.next_update().is_some_and(|next| next < &*now))
}
