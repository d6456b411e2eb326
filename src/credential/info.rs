//! What a credential says about itself.

use std::fmt;
use std::time::{Duration, SystemTime};

/// What stands in a GSI credential: whose it is, of which kind, and how long it is good for.
///
/// Made by [`Credential::info`](crate::Credential::info). Names are in the form of Globus, `/O=Grid/CN=Somebody`, to the
/// byte as `grid-proxy-info` prints them and gridmap files hold them: bytes outside of printable ASCII stand as `\xC3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialInfo {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) identity: String,
    pub(super) serial: String,
    pub(super) kind: CredentialKind,
    pub(super) form: Option<ProxyForm>,
    pub(super) limited: bool,
    pub(super) path_length: Option<u32>,
    pub(super) not_before: SystemTime,
    pub(super) expires: SystemTime,
    pub(super) chain_length: usize,
    pub(super) key_bits: u32,
}

/// What a credential lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialKind {
    /// The end entity's own certificate, no proxy.
    Full,
    /// A proxy with all rights of its issuer (`id-ppl-inheritAll`).
    Proxy,
    /// A limited proxy: good for data, refused by services that start jobs.
    LimitedProxy,
    /// A proxy without any rights of its issuer (`id-ppl-independent`).
    IndependentProxy,
    /// A proxy whose rights are restricted by a policy of some other language.
    RestrictedProxy,
}

/// Which convention a proxy follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyForm {
    /// RFC 3820.
    Rfc3820,
    /// The draft of it that the Globus Toolkit 3 used.
    Draft,
    /// That of the Globus Toolkit 2, marked by nothing but the name: `/CN=proxy` or `/CN=limited proxy`.
    Legacy,
}

impl CredentialInfo {
    /// The subject of the certificate that is presented; for a proxy this includes the proxy's own common names.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who signed the certificate that is presented: for a proxy, its user (or the proxy before).
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whose credential it is: the subject of the end entity's certificate, without anything that proxies have added. This
    /// is what servers look up in their gridmap.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The serial number of the certificate that is presented, in hexadecimal digits: no two proxies of an issuer have
    /// the same.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// What the credential that is presented lets its holder do.
    pub fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// Which convention the proxy follows; `None` for what is no proxy.
    pub fn form(&self) -> Option<ProxyForm> {
        self.form
    }

    /// Whether it, or any proxy it was made from, is limited. Servers treat it as limited then.
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// How many further proxies may be made from it, one from the other; `None` for any number.
    pub fn path_length(&self) -> Option<u32> {
        self.path_length
    }

    /// When its time begins: the latest of the chain's beginnings.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When its time is over: the earliest of the chain's ends.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// How long it is still good for, by this machine's clock; zero when its time is over.
    pub fn remaining(&self) -> Duration {
        self.expires.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)
    }

    /// How many certificates it holds: its own, and those of its chain.
    pub fn chain_length(&self) -> usize {
        self.chain_length
    }

    /// The length of its key in bits.
    pub fn key_bits(&self) -> u32 {
        self.key_bits
    }

    /// The kind in the words of `grid-proxy-info -type`: `RFC 3820 compliant impersonation proxy`.
    pub fn kind_in_words(&self) -> &'static str {
        match (self.form, self.kind) {
            (None, _) | (_, CredentialKind::Full) => "end entity credential",
            (Some(ProxyForm::Legacy), CredentialKind::LimitedProxy) => "limited legacy globus proxy",
            (Some(ProxyForm::Legacy), _) => "full legacy globus proxy",
            (Some(ProxyForm::Rfc3820), CredentialKind::Proxy) => "RFC 3820 compliant impersonation proxy",
            (Some(ProxyForm::Rfc3820), CredentialKind::LimitedProxy) => "RFC 3820 compliant limited proxy",
            (Some(ProxyForm::Rfc3820), CredentialKind::IndependentProxy) => {
                "RFC 3820 compliant independent proxy"
            }
            (Some(ProxyForm::Rfc3820), CredentialKind::RestrictedProxy) => {
                "RFC 3820 compliant restricted proxy"
            }
            (Some(ProxyForm::Draft), CredentialKind::Proxy) => {
                "Proxy draft (pre-RFC) compliant impersonation proxy"
            }
            (Some(ProxyForm::Draft), CredentialKind::LimitedProxy) => {
                "Proxy draft (pre-RFC) compliant limited proxy"
            }
            (Some(ProxyForm::Draft), CredentialKind::IndependentProxy) => {
                "Proxy draft (pre-RFC) compliant independent proxy"
            }
            (Some(ProxyForm::Draft), CredentialKind::RestrictedProxy) => {
                "Proxy draft (pre-RFC) compliant restricted proxy"
            }
        }
    }
}

impl fmt::Display for CredentialInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.identity, self.kind_in_words())
    }
}
