//! What helps against what goes wrong in a login, or with data connections.

use gridftp::{ErrorKind, Phase, Scheme};

/// Of a login: by the kind where it says enough, else by the words of OpenSSL and Globus.
pub(crate) fn login(kind: ErrorKind, phase: Phase, text: &str, scheme: Scheme) -> Vec<&'static str> {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let mut advice = Vec::new();
    match kind {
        ErrorKind::CredentialExpired => {
            advice.push("your credential's or the server's certificate is over: see `gridftp-fs cred`");
            advice.push("if yours is good, either the server's administrator must renew its certificate, or a clock is wrong: compare `date -u`");
        }
        ErrorKind::Authorization => {
            advice.push("the server knows who you are and has no account for you: its administrator must map your identity (`gridftp-fs cred`) in the gridmap, or your VO");
            advice.push("with a VO, a proxy by voms-proxy-init may be what it wants");
        }
        ErrorKind::Authentication if phase == Phase::Credential => {
            advice.push("make a proxy by grid-proxy-init or voms-proxy-init, or name a file by --cred");
        }
        ErrorKind::Authentication if scheme == Scheme::Gsiftp => {
            if has(&["another name", "service name", "expected name"]) {
                advice.push("use the host name of the server's certificate in the URL, or tell the name it has by --subject");
            }
            if has(&["signing policy", "signing_policy"]) {
                advice.push("the authority's signing_policy file is missing, or does not allow this name: install it beside the authority's certificate");
            }
            if has(&["not yet valid"]) {
                advice.push(
                    "a certificate is not valid yet: a clock is wrong, here or there; compare `date -u`",
                );
            }
            if has(&["crl", "revo"]) {
                advice.push(
                    "a certificate was revoked, or a list of revocations is out of date: run fetch-crl",
                );
            }
            if has(&["self signed", "self-signed", "untrusted", "local issuer", "trusted ca", "unknown ca"]) {
                advice.push("an authority is not trusted: install its certificate and signing_policy in the directory of step 5; if it is yours that the server does not know, its administrator must");
            }
            if advice.is_empty() {
                advice.push("either side may not trust the other's authority: see step 5, and ask the server's administrator for its log");
                advice.push("a clock that is wrong by minutes has the same effect: compare `date -u`");
            }
        }
        ErrorKind::Authentication => {
            advice.push("give user and password in the URL (ftp://user:password@host/); anonymous users may not be allowed");
        }
        ErrorKind::Unsupported | ErrorKind::Refused | ErrorKind::Protocol if scheme == Scheme::Gsiftp => {
            advice.push("the server may not know GSI: is it a plain FTP server (ftp://)?");
        }
        ErrorKind::ServerBusy => advice.push("try again later"),
        ErrorKind::Timeout(_) => advice.push(
            "the server greets and then is silent: it may be overloaded, or wait for a mapping service",
        ),
        ErrorKind::ConnectionLost => {
            advice
                .push("the server ended the connection: its log says why; too many connections, or a crash");
        }
        _ => {}
    }
    advice
}

/// Of a data connection.
pub(crate) fn data(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Connect | ErrorKind::Timeout(_) | ErrorKind::ConnectionLost => Some(
            "the control connection works and the data connection does not: a firewall must let this machine reach the server's data ports (GLOBUS_TCP_PORT_RANGE there, often 50000-51000), or the server tells an address of its inner network",
        ),
        ErrorKind::Authentication => Some(
            "the data connection was not authenticated: another host than the one of the login answers it",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_to_advice() {
        let of = |text| login(ErrorKind::Authentication, Phase::Login, text, Scheme::Gsiftp).join(" ");
        assert!(
            of("the server's certificate is for another name than the one in the URL").contains("--subject")
        );
        assert!(of("error in signing policy: CA policy file").contains("signing_policy"));
        assert!(of("Untrusted self-signed certificate in chain with hash 1").contains("not trusted"));
        assert!(of("certificate is not yet valid").contains("clock"));
        assert!(of("something else").contains("log"));
    }
}
