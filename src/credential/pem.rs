//! What can be said about PEM text without understanding certificates.

/// Longest text taken for a credential, in bytes; proxies with long VOMS chains stay below 64 KiB.
pub(super) const MAX: usize = 1024 * 1024;

/// Whether a private key may be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locked {
    Refused,
    Accepted,
}

/// Whether the text can be a credential; the error continues "the file …".
pub(super) fn check(pem: &[u8], locked: Locked) -> Result<(), String> {
    if pem.len() > MAX {
        return Err(format!("has {} bytes, expected at most {MAX}", pem.len()));
    }
    if !has(pem, b"-----BEGIN CERTIFICATE-----") && !has(pem, b"-----BEGIN X509 CERTIFICATE-----") {
        return Err("holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    check_key(pem, locked)
}

/// Whether the text holds a private key, and one that can be used without a pass phrase.
pub(super) fn check_key(pem: &[u8], locked: Locked) -> Result<(), String> {
    let encrypted = has(pem, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(pem, b"Proc-Type: 4,ENCRYPTED");
    if encrypted && locked == Locked::Refused {
        return Err("holds an encrypted private key; make a proxy of it (Credential::make_proxy, or grid-proxy-init) and use \
                    that"
            .to_owned());
    }
    if !has(pem, b"PRIVATE KEY-----") {
        return Err("holds no private key (-----BEGIN PRIVATE KEY-----)".to_owned());
    }
    Ok(())
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
