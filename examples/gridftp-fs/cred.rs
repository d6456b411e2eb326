//! `cred`: who the user is, as far as GSI is concerned.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gridftp::{CredentialInfo, CredentialKind};
use serde_json::json;

use crate::args::Common;
use crate::context::{Context, remote};
use crate::exit::Code;
use crate::failure::Failure;
use crate::show;
use crate::when;

/// A credential that ends sooner may end before a transfer does.
pub(crate) const SOON: Duration = Duration::from_secs(3600);

/// Where the library looks, in its order; `None` when there is nothing, which it tells itself.
pub(crate) fn place(common: &Common) -> Option<String> {
    if let Some(path) = &common.cred {
        return Some(shown(path));
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(proxy) = variable("X509_USER_PROXY") {
        return Some(shown(&proxy));
    }
    let proxy = PathBuf::from(format!("/tmp/x509up_u{}", rustix::process::getuid().as_raw()));
    if proxy.symlink_metadata().is_ok() {
        return Some(shown(&proxy));
    }
    let pair = |certificate: &Path, key: &Path| format!("{} and {}", shown(certificate), shown(key));
    if let (Some(certificate), Some(key)) = (variable("X509_USER_CERT"), variable("X509_USER_KEY")) {
        return Some(pair(&certificate, &key));
    }
    let globus = variable("HOME")?.join(".globus");
    let (certificate, key) = (globus.join("usercert.pem"), globus.join("userkey.pem"));
    (certificate.symlink_metadata().is_ok() && key.symlink_metadata().is_ok())
        .then(|| pair(&certificate, &key))
}

fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    show::name(path.as_os_str().as_bytes())
}

/// Whether its time has begun.
pub(crate) fn is_early(info: &CredentialInfo) -> bool {
    info.not_before() > std::time::SystemTime::now()
}

pub(crate) fn kind(info: &CredentialInfo) -> &'static str {
    match info.kind() {
        CredentialKind::Full => "certificate",
        CredentialKind::Proxy => "proxy",
        CredentialKind::LimitedProxy => "limited proxy",
        CredentialKind::IndependentProxy => "independent proxy",
        CredentialKind::RestrictedProxy => "restricted proxy",
        _ => "unknown",
    }
}

pub(crate) async fn run(context: &Context, common: &Common) -> Result<Code, Failure> {
    let info = context.credential.info().await.map_err(remote)?;
    let remaining = info.remaining();
    let (expired, early) = (remaining.is_zero(), is_early(&info));
    let place = place(common).unwrap_or_else(|| "unknown".into());
    if context.json {
        let object = json!({
            "file": place,
            "subject": info.subject(),
            "issuer": info.issuer(),
            "identity": info.identity(),
            "serial": info.serial(),
            "kind": kind(&info),
            "kind_in_words": info.kind_in_words(),
            "limited": info.is_limited(),
            "key_bits": info.key_bits(),
            "not_before": when::rfc3339(info.not_before()),
            "expires": when::rfc3339(info.expires()),
            "seconds_left": remaining.as_secs(),
            "valid": !expired && !early,
        });
        context.out.json(&object).await?;
    } else {
        let left = if expired {
            format!("expired on {}", when::rfc3339(info.expires()))
        } else {
            format!("{} left, until {}", when::length(remaining), when::rfc3339(info.expires()))
        };
        for (what, value) in [
            ("file", place),
            ("subject", show::text(info.subject())),
            ("issuer", show::text(info.issuer())),
            ("identity", show::text(info.identity())),
            ("kind", format!("{} ({})", kind(&info), info.kind_in_words())),
            ("key", format!("{} bits", info.key_bits())),
            ("time", left),
        ] {
            context.out.line(&format!("{what:>8}  {value}")).await?;
        }
    }
    if expired {
        let since = when::rfc3339(info.expires());
        return Err(Failure::told(
            Code::Authentication,
            format!(
                "the credential expired on {since}; grid-proxy-init or voms-proxy-init makes another one"
            ),
        ));
    }
    if early {
        let from = when::rfc3339(info.not_before());
        return Err(Failure::told(
            Code::Authentication,
            format!("the credential is good from {from} on, which this machine's clock has not reached"),
        ));
    }
    if remaining < SOON {
        context.note(&format!("the credential ends in {}", when::length(remaining)));
    }
    Ok(Code::Success)
}
