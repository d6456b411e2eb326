//! Proxies, made here: RFC 3820, as `grid-proxy-init` makes them.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::KeyUsage;
use openssl::x509::{X509, X509Builder, X509Extension, X509KeyUsage, X509Name, X509Ref};

use super::certificate::{self, INHERIT_ALL, LIMITED, PROXY_CERT_INFO};
use super::files::unusable;
use super::secret::{Passphrase, private_key};
use super::{Credential, der, name};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::protocol::secret::{Secret, erase};

const LIFETIME: Duration = Duration::from_secs(12 * 3600);
const KEY_BITS: u32 = 2048;
const MIN_KEY_BITS: u32 = 2048;
const MAX_KEY_BITS: u32 = 8192;

/// Clocks differ: a proxy begins before it was made.
const EARLIER: Duration = Duration::from_secs(300);

/// X.509 version 3, as it is counted.
const VERSION_3: i32 = 2;

/// Makes a proxy of a credential (RFC 3820), as `grid-proxy-init` does: a certificate with a fresh key, signed by the user's,
/// good for some hours.
///
/// Made by [`Credential::make_proxy`] and [`ProxyBuilder::from_pem`]; ended by [`build`](ProxyBuilder::build), which keeps
/// the proxy in memory, or [`write`](ProxyBuilder::write). Nothing is sent anywhere.
///
/// # Examples
/// ```no_run
/// # async fn example() -> gridftp::Result<()> {
/// use std::time::Duration;
/// use gridftp::{Client, Credential};
///
/// let user = Credential::from_cert_and_key("usercert.pem", "userkey.pem");
/// let proxy = user.make_proxy().passphrase("open sesame").lifetime(Duration::from_secs(3600)).build().await?;
/// let client = Client::builder().credential(proxy).build()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is made before `build` or `write`"]
pub struct ProxyBuilder {
    issuer: Issuer,
    passphrase: Option<Passphrase>,
    lifetime: Duration,
    key_bits: u32,
    limited: bool,
    path_length: Option<u32>,
}

#[derive(Debug)]
enum Issuer {
    Credential(Credential),
    Pem(Bytes),
}

impl Credential {
    /// Starts to make a proxy of this credential, whose private key may be encrypted here.
    ///
    /// The credential is read when the proxy is made. It may be a proxy itself; one that is limited makes limited proxies
    /// only.
    pub fn make_proxy(&self) -> ProxyBuilder {
        ProxyBuilder::new(Issuer::Credential(self.clone()))
    }
}

impl ProxyBuilder {
    fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            passphrase: None,
            lifetime: LIFETIME,
            key_bits: KEY_BITS,
            limited: false,
            path_length: None,
        }
    }

    /// Starts with a certificate (and its chain, if it needs one) and its private key as PEM text from memory. The key may
    /// be of any PEM form, encrypted or not.
    pub fn from_pem(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        let text = [certificate.as_ref(), b"\n", key.as_ref()].concat();
        Self::new(Issuer::Pem(text.into()))
    }

    /// The pass phrase of the private key, as bytes. Overwritten in memory when the proxy was made.
    pub fn passphrase(mut self, phrase: impl Into<Vec<u8>>) -> Self {
        self.passphrase = Some(Passphrase::Known(Secret::new(phrase.into())));
        self
    }

    /// Asks for the pass phrase, if the private key needs one: the function is called at most once, on a thread where it
    /// may block.
    pub fn passphrase_with<F>(mut self, ask: F) -> Self
    where
        F: FnOnce() -> io::Result<Vec<u8>> + Send + 'static,
    {
        self.passphrase = Some(Passphrase::Asked(Box::new(ask)));
        self
    }

    /// How long the proxy is good for; never longer than what it is made from. Default: 12 hours.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The length of the proxy's RSA key, 2,048 to 8,192 bits. Default: 2,048.
    pub fn key_bits(mut self, bits: u32) -> Self {
        self.key_bits = bits;
        self
    }

    /// Whether the proxy is limited: good for data, refused by services that start jobs. Default: false.
    pub fn limited(mut self, limited: bool) -> Self {
        self.limited = limited;
        self
    }

    /// How many further proxies may be made from it, one from the other. A delegation makes one. Default: any number.
    pub fn path_length(mut self, proxies: u32) -> Self {
        self.path_length = Some(proxies);
        self
    }

    /// Makes the proxy and keeps it in memory.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a lifetime of zero or a length of the key outside of its range;
    /// [`Authentication`](crate::ErrorKind::Authentication) for a credential that cannot be read or makes no proxies: with a
    /// [`PassphraseError`](crate::PassphraseError) as its source when the pass phrase is missing or wrong;
    /// [`CredentialExpired`](crate::ErrorKind::CredentialExpired) for one whose time is over.
    ///
    /// # Cancel safety
    /// Cancel safe; the work under way is done for nothing.
    pub async fn build(self) -> Result<Credential> {
        let pem = self.pem().await?;
        Credential::from_pem(pem)
    }

    /// Makes the proxy and writes it to a file of mode 0600: certificate, private key, chain. The file appears at once and
    /// whole, in place of one that was there.
    ///
    /// # Errors
    /// As [`ProxyBuilder::build`]; [`LocalIo`](crate::ErrorKind::LocalIo) when the file cannot be written.
    ///
    /// # Cancel safety
    /// Cancel safe: the file is written wholly or not at all.
    pub async fn write(self, path: impl AsRef<Path>) -> Result<Credential> {
        let path = path.as_ref().to_owned();
        let pem = self.pem().await?;
        let file = path.clone();
        let written = tokio::task::spawn_blocking(move || write_whole(&file, &pem)).await;
        let result = written.unwrap_or_else(|_| Err(io::Error::other("the runtime was shut down")));
        result.map_err(|source| {
            let message = format!("cannot write the proxy to {path:?}: {source}");
            Error::new(ErrorKind::LocalIo, Phase::Credential, message)
                .with_side(Side::Local)
                .with_source(source)
        })?;
        Ok(Credential::from_proxy_file(path))
    }

    async fn pem(self) -> Result<Bytes> {
        if self.lifetime.is_zero() {
            return Err(Error::invalid("a lifetime of 0 s for a proxy, expected more"));
        }
        if !(MIN_KEY_BITS..=MAX_KEY_BITS).contains(&self.key_bits) {
            return Err(Error::invalid(format!(
                "a key of {} bits for a proxy, expected {MIN_KEY_BITS} to {MAX_KEY_BITS}",
                self.key_bits
            )));
        }
        let text = match &self.issuer {
            Issuer::Credential(credential) => credential.load_locked().await?,
            Issuer::Pem(text) => text.clone(),
        };
        // A key takes long enough to find that other futures of this thread would notice.
        let making = tokio::task::spawn_blocking(move || self.sign(&text)).await;
        making.unwrap_or_else(|_| Err(unusable("making the proxy was interrupted")))
    }

    fn sign(self, text: &[u8]) -> Result<Bytes> {
        let chain = certificate::chain(text)?;
        let info = certificate::describe(text)?;
        let issuer = &chain[0];
        let now = SystemTime::now();
        if info.expires() <= now {
            let message = format!("the credential of \"{info}\" is expired, no proxy can be made of it");
            return Err(
                Error::new(ErrorKind::CredentialExpired, Phase::Credential, message).with_side(Side::Local)
            );
        }
        match (info.form(), info.path_length()) {
            (Some(super::ProxyForm::Draft | super::ProxyForm::Legacy), _) => {
                return Err(unusable(format!("a {} makes no proxies after RFC 3820", info.kind_in_words())));
            }
            (_, Some(0)) => return Err(unusable("the proxy says that no further proxy may be made of it")),
            _ => {}
        }
        let usage = issuer.key_usage();
        if usage.is_some_and(|usage| !usage.contains(X509KeyUsage::DIGITAL_SIGNATURE)) {
            return Err(unusable("the certificate's key must not be used for signing, so not for proxies"));
        }
        let issuer_key = private_key(text, self.passphrase)?;
        let same = issuer.public_key().map_err(failed)?.public_eq(&issuer_key);
        if !same {
            return Err(unusable("certificate and private key do not belong together"));
        }
        let key = PKey::from_rsa(Rsa::generate(self.key_bits).map_err(failed)?).map_err(failed)?;
        let limited = self.limited || info.is_limited();
        let begin = now.checked_sub(EARLIER).unwrap_or(now).max(info.not_before().min(now));
        let end =
            now.checked_add(self.lifetime).map_or_else(|| info.expires(), |end| end.min(info.expires()));
        let policy = if limited { LIMITED } else { INHERIT_ALL };
        let certificate = Template { issuer, begin, end, policy, path_length: self.path_length }
            .sign(&key, &issuer_key, usage)
            .map_err(failed)?;
        let first = certificate.to_pem().map_err(failed)?;
        // The older form of a key, which every program around understands.
        let secret = key.rsa().and_then(|rsa| rsa.private_key_to_pem()).map(Secret::new).map_err(failed)?;
        let mut parts = vec![first, secret.bytes().to_vec()];
        for certificate in &chain {
            parts.push(certificate.to_pem().map_err(failed)?);
        }
        // In one piece, so that none with a part of the key is left behind.
        let pem = Secret::new(parts.concat());
        parts.iter_mut().for_each(|part| erase(part));
        Ok(Bytes::from_owner(pem))
    }
}

/// A proxy certificate to be.
struct Template<'a> {
    issuer: &'a X509Ref,
    begin: SystemTime,
    end: SystemTime,
    policy: &'a str,
    path_length: Option<u32>,
}

impl Template<'_> {
    fn sign(
        self,
        key: &PKey<Private>,
        issuer_key: &PKey<Private>,
        usage: Option<X509KeyUsage>,
    ) -> Result<X509, ErrorStack> {
        let mut random = [0; 8];
        openssl::rand::rand_bytes(&mut random)?;
        // Positive, and never zero.
        random[0] = random[0] & 0x7f | 0x40;
        let serial = BigNum::from_slice(&random)?;
        let mut builder = X509Builder::new()?;
        builder.set_version(VERSION_3)?;
        builder.set_serial_number(&*Asn1Integer::from_bn(&serial)?)?;
        // The issuer's name with the serial number as one more common name, to the byte: a name put together anew would
        // lose elements that stand beside each other.
        let issuer_name = self.issuer.subject_name().to_der()?;
        let name = name::with_common_name(&issuer_name, &serial.to_dec_str()?).ok_or_else(ErrorStack::get)?;
        builder.set_subject_name(&*X509Name::from_der(&name)?)?;
        builder.set_issuer_name(self.issuer.subject_name())?;
        builder.set_not_before(&*asn1(self.begin)?)?;
        builder.set_not_after(&*asn1(self.end)?)?;
        builder.set_pubkey(key)?;
        let mut key_usage = KeyUsage::new();
        key_usage.critical().digital_signature();
        if usage.is_none_or(|usage| usage.contains(X509KeyUsage::KEY_ENCIPHERMENT)) {
            key_usage.key_encipherment();
        }
        builder.append_extension(key_usage.build()?)?;
        let contents = Asn1OctetString::new_from_bytes(&self.proxy_cert_info()?)?;
        let oid = Asn1Object::from_str(PROXY_CERT_INFO)?;
        builder.append_extension(X509Extension::new_from_der(&oid, true, &contents)?)?;
        // Keys of this kind bring their own digest.
        let digest = match issuer_key.id() {
            Id::ED25519 | Id::ED448 => MessageDigest::null(),
            _ => MessageDigest::sha256(),
        };
        builder.sign(issuer_key, digest)?;
        Ok(builder.build())
    }

    /// `ProxyCertInfo` of RFC 3820 §3.8.
    fn proxy_cert_info(&self) -> Result<Vec<u8>, ErrorStack> {
        let policy = der::value(der::OID, Asn1Object::from_str(self.policy)?.as_slice());
        let mut info = self.path_length.map_or_else(Vec::new, der::integer);
        info.extend(der::value(der::SEQUENCE, &policy));
        Ok(der::value(der::SEQUENCE, &info))
    }
}

fn asn1(time: SystemTime) -> Result<Asn1Time, ErrorStack> {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Asn1Time::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn failed(error: ErrorStack) -> Error {
    unusable("OpenSSL could not make the proxy").with_source(error)
}

/// Writes a file that others cannot read, under another name until it is whole.
fn write_whole(path: &Path, pem: &[u8]) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    };
    let mut random = [0; 8];
    openssl::rand::rand_bytes(&mut random)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{:016x}", u64::from_ne_bytes(random)));
    let hidden = path.with_file_name(hidden);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&hidden)?;
    let unfinished = Unfinished(Some(hidden.clone()));
    file.write_all(pem)?;
    file.sync_all()?;
    fs::rename(&hidden, path)?;
    unfinished.keep();
    Ok(())
}

/// A file that is removed unless it was kept.
struct Unfinished(Option<PathBuf>);

impl Unfinished {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Nothing can be done about it, and the reason for it is told already.
            let _ = fs::remove_file(path);
        }
    }
}

impl fmt::Debug for ProxyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer = match &self.issuer {
            Issuer::Credential(credential) => format!("{credential:?}"),
            Issuer::Pem(text) => format!("{} bytes of PEM text", text.len()),
        };
        f.debug_struct("ProxyBuilder")
            .field("issuer", &issuer)
            .field("passphrase", &self.passphrase)
            .field("lifetime", &self.lifetime)
            .field("key_bits", &self.key_bits)
            .field("limited", &self.limited)
            .field("path_length", &self.path_length)
            .finish()
    }
}
