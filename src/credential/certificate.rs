//! Certificates of a credential, read by OpenSSL: kinds of proxies, names, lifetimes.

use std::time::{Duration, SystemTime};

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::x509::{X509, X509Ref};

use super::der::{INTEGER, OCTET_STRING, OID, SEQUENCE, Values, dotted, inside, small};
use super::files::unusable;
use super::info::{CredentialInfo, CredentialKind, ProxyForm};
use super::name;
use crate::error::{Error, Result};

pub(super) const PROXY_CERT_INFO: &str = "1.3.6.1.5.5.7.1.14";
const PROXY_CERT_INFO_DRAFT: &str = "1.3.6.1.4.1.3536.1.222";

pub(super) const INHERIT_ALL: &str = "1.3.6.1.5.5.7.21.1";
const INDEPENDENT: &str = "1.3.6.1.5.5.7.21.2";
pub(super) const LIMITED: &str = "1.3.6.1.4.1.3536.1.1.1.9";

/// The explicit tag of the path length in the draft's extension.
const DRAFT_PATH_LENGTH: u8 = 0xa1;

/// What makes a certificate a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) form: ProxyForm,
    pub(super) kind: CredentialKind,
    pub(super) path_length: Option<u32>,
}

/// The certificates in PEM text, in their order: first the one that is presented.
pub(super) fn chain(pem: &[u8]) -> Result<Vec<X509>> {
    let certificates = X509::stack_from_pem(pem).map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(unusable("the credential holds no certificate"));
    }
    Ok(certificates)
}

/// What a credential's certificates say.
pub(super) fn describe(pem: &[u8]) -> Result<CredentialInfo> {
    let chain = chain(pem)?;
    let proxies = chain.iter().map(|one| proxy_of(one)).collect::<Result<Vec<_>>>()?;
    let mut not_before = SystemTime::UNIX_EPOCH;
    let mut expires: Option<SystemTime> = None;
    for certificate in &chain {
        not_before = not_before.max(time(certificate.not_before())?);
        let end = time(certificate.not_after())?;
        expires = Some(expires.map_or(end, |earliest| earliest.min(end)));
    }
    let leaf = &chain[0];
    let own = proxies[0];
    // Beyond the first certificate that is no proxy stand authorities, whatever they call themselves.
    let used = proxies.iter().take_while(|proxy| proxy.is_some()).flatten();
    let limited = used.clone().any(|proxy| proxy.kind == CredentialKind::LimitedProxy);
    let path_length = used
        .enumerate()
        .filter_map(|(above, proxy)| Some(proxy.path_length?.saturating_sub(u32::try_from(above).ok()?)))
        .min();
    let serial = leaf.serial_number().to_bn().and_then(|number| number.to_hex_str()).map_err(unreadable)?;
    Ok(CredentialInfo {
        subject: subject(leaf)?,
        issuer: oneline(leaf.issuer_name().to_der())?,
        identity: identity(&chain, &proxies)?,
        serial: serial.to_string(),
        kind: own.map_or(CredentialKind::Full, |proxy| proxy.kind),
        form: own.map(|proxy| proxy.form),
        limited,
        path_length,
        not_before,
        expires: expires.unwrap_or(SystemTime::UNIX_EPOCH),
        chain_length: chain.len(),
        key_bits: leaf.public_key().map_err(unreadable)?.bits(),
    })
}

fn identity(chain: &[X509], proxies: &[Option<Proxy>]) -> Result<String> {
    if let Some(at) = proxies.iter().position(Option::is_none) {
        return subject(&chain[at]);
    }
    // The end entity's certificate is not there; its name is that of the last proxy's issuer.
    match chain.last() {
        Some(last) => oneline(last.issuer_name().to_der()),
        None => Err(unusable("the credential holds no certificate")),
    }
}

pub(super) fn subject(certificate: &X509Ref) -> Result<String> {
    oneline(certificate.subject_name().to_der())
}

fn oneline(der: Result<Vec<u8>, ErrorStack>) -> Result<String> {
    name::oneline(&der.map_err(unreadable)?)
        .ok_or_else(|| unusable("a certificate of the credential holds a name that cannot be read"))
}

/// Whether a certificate is a proxy, and which.
pub(super) fn proxy_of(certificate: &X509Ref) -> Result<Option<Proxy>> {
    let der = certificate.to_der().map_err(unreadable)?;
    for (oid, form) in [(PROXY_CERT_INFO, ProxyForm::Rfc3820), (PROXY_CERT_INFO_DRAFT, ProxyForm::Draft)] {
        if let Some(contents) = extension(&der, oid) {
            let proxy = proxy_cert_info(contents, form);
            return proxy.map(Some).ok_or_else(|| {
                unusable("the credential's proxyCertInfo (RFC 3820) is not what the standard says")
            });
        }
    }
    let subject = certificate.subject_name().to_der().map_err(unreadable)?;
    let issuer = certificate.issuer_name().to_der().map_err(unreadable)?;
    let Some((last, rest)) = name::split_last_common_name(&subject) else { return Ok(None) };
    if rest != issuer {
        return Ok(None);
    }
    let kind = match &last[..] {
        b"proxy" => CredentialKind::Proxy,
        b"limited proxy" => CredentialKind::LimitedProxy,
        _ => return Ok(None),
    };
    Ok(Some(Proxy { form: ProxyForm::Legacy, kind, path_length: None }))
}

fn proxy_cert_info(contents: &[u8], form: ProxyForm) -> Option<Proxy> {
    let mut policy = None;
    let mut path_length = None;
    // The RFC has the length in front of the policy, the draft behind it with a tag of its own.
    for (tag, contents) in inside(contents, SEQUENCE)? {
        match tag {
            INTEGER => path_length = Some(small(contents)?),
            DRAFT_PATH_LENGTH => path_length = Some(small(Values(contents).tagged(INTEGER)?)?),
            SEQUENCE => policy = Some(contents),
            _ => return None,
        }
    }
    let language = dotted(Values(policy?).tagged(OID)?)?;
    let kind = match &language[..] {
        INHERIT_ALL => CredentialKind::Proxy,
        LIMITED => CredentialKind::LimitedProxy,
        INDEPENDENT => CredentialKind::IndependentProxy,
        _ => CredentialKind::RestrictedProxy,
    };
    Some(Proxy { form, kind, path_length })
}

/// The contents of an extension, looked up by its number.
fn extension<'a>(certificate: &'a [u8], oid: &str) -> Option<&'a [u8]> {
    let signed = inside(certificate, SEQUENCE)?.tagged(SEQUENCE)?;
    let (_, extensions) = Values(signed).find(|&(tag, _)| tag == 0xa3)?;
    inside(extensions, SEQUENCE)?.find_map(|(_, extension)| {
        let mut fields = Values(extension);
        if dotted(fields.tagged(OID)?)? != oid {
            return None;
        }
        // Whether it is critical may stand in between.
        fields.find(|&(tag, _)| tag == OCTET_STRING).map(|(_, contents)| contents)
    })
}

pub(super) fn time(time: &Asn1TimeRef) -> Result<SystemTime> {
    let since = Asn1Time::from_unix(0).and_then(|epoch| epoch.diff(time)).map_err(unreadable)?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    moment.ok_or_else(|| unusable("a certificate of the credential has a time that cannot be"))
}

/// OpenSSL does not understand what is there.
pub(super) fn unreadable(error: ErrorStack) -> Error {
    unusable("a certificate of the credential cannot be read").with_source(error)
}
