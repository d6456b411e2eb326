//! A throw-away certificate authority and what it signs.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::wan::End;
use crate::{Error, Result, packages, rsa};

const DAY: Duration = Duration::from_secs(86_400);

/// `id-pe-proxyCertInfo`, RFC 3820 §3.8.
const PROXY_CERT_INFO: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 14];
/// `ProxyCertInfo { proxyPolicy { policyLanguage id-ppl-inheritAll } }` in DER.
const INHERIT_ALL: &[u8] =
    &[0x30, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x15, 0x01];
/// The same with Globus' own language for limited proxies, 1.3.6.1.4.1.3536.1.1.1.9.
const LIMITED: &[u8] =
    &[0x30, 0x0f, 0x30, 0x0d, 0x06, 0x0b, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9b, 0x50, 0x01, 0x01, 0x01, 0x09];

/// A certificate authority with a host, a user and their proxies, in a temporary folder that goes away with this value.
///
/// Keys are readable by their owner alone. Everything is valid from yesterday for some weeks, except where the name says
/// otherwise.
#[derive(Debug)]
pub struct Pki {
    dir: TempDir,
    user_subject: String,
}

/// A certificate with its key, able to sign others.
struct Signer {
    params: CertificateParams,
    pem: String,
    key: KeyPair,
}

impl Pki {
    /// Makes a new one; it resembles no other.
    ///
    /// # Panics
    /// When a file cannot be written or `openssl` is not installed; the message says which package to install.
    #[track_caller]
    pub fn new() -> Self {
        Self::try_new().unwrap_or_else(|e| panic!("{e}"))
    }

    /// Makes a new one.
    ///
    /// # Errors
    /// When a file cannot be written or `openssl` is not installed.
    pub fn try_new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("gridftp-pki-")
            .tempdir()
            .map_err(Error::io("making a folder in", &std::env::temp_dir()))?;
        // A server that changes to another user still has to find the CA's certificate.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))
            .map_err(Error::io("opening to others", dir.path()))?;
        let mut pki = Self { dir, user_subject: "/O=Lab/CN=Tester".into() };
        pki.fill()?;
        Ok(pki)
    }

    fn fill(&mut self) -> Result<()> {
        let ca = Signer::authority("Lab CA", rsa::key("ca"))?;
        self.write_ca_dir("certificates", &ca)?;

        let mut names = vec!["localhost".to_owned(), End::B.name().to_owned()];
        if let Some(host) = host_name().filter(|name| name != "localhost") {
            names.push(host);
        }
        ca.issue("localhost", Role::Host(names))?.write(self, "host")?;
        ca.issue("elsewhere.example", Role::Host(vec!["elsewhere.example".into()]))?
            .write(self, "wrong-host")?;

        let user = ca.issue("Tester", Role::User)?;
        user.write(self, "user")?;
        let soon = OffsetDateTime::now_utc() + 20 * DAY;
        user.proxy(INHERIT_ALL, soon)?.write_proxy(self, "proxy", &user)?;
        user.proxy(LIMITED, soon)?.write_proxy(self, "limited-proxy", &user)?;
        let an_hour_ago = OffsetDateTime::now_utc() - Duration::from_secs(3600);
        user.proxy(INHERIT_ALL, an_hour_ago)?.write_proxy(self, "expired-proxy", &user)?;

        // The same names, signed by somebody no one here trusts.
        let stranger_key = KeyPair::generate().map_err(failed("Other CA"));
        let stranger = Signer::authority("Other CA", stranger_key)?;
        self.write_ca_dir("untrusted-certificates", &stranger)?;
        let user = stranger.issue("Tester", Role::User)?;
        user.write(self, "untrusted-user")?;
        user.proxy(INHERIT_ALL, soon)?.write_proxy(self, "untrusted-proxy", &user)?;

        self.write("gridmap", &format!("\"{}\" {}\n", self.user_subject, crate::server::user_name()?), 0o644)
    }

    /// A folder as `X509_CERT_DIR` wants it: the certificate under its hash, and beside it what it may sign.
    fn write_ca_dir(&self, name: &str, ca: &Signer) -> Result<()> {
        let dir = self.path(name);
        fs::DirBuilder::new().mode(0o755).create(&dir).map_err(Error::io("making the folder", &dir))?;
        let pem = format!("{name}/ca.pem");
        self.write(&pem, &ca.pem, 0o644)?;
        let hash = subject_hash(&self.path(&pem))?;
        fs::rename(self.path(&pem), dir.join(format!("{hash}.0")))
            .map_err(Error::io("renaming into", &dir))?;
        let common_name = ca.common_name();
        self.write(
            &format!("{name}/{hash}.signing_policy"),
            &format!(
                "access_id_CA  X509   '/O=Lab/CN={common_name}'\npos_rights    globus CA:sign\ncond_subjects globus '\"/O=Lab/*\"'\n"
            ),
            0o644,
        )
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<()> {
        let path = self.path(name);
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(Error::io("writing", &path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The folder everything is in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The trusted CA's folder, for `X509_CERT_DIR`: `<hash>.0` and `<hash>.signing_policy`.
    pub fn ca_dir(&self) -> PathBuf {
        self.path("certificates")
    }

    /// The user's RFC 3820 proxy with all the user's rights: its certificate, its key, the user's certificate.
    pub fn proxy(&self) -> PathBuf {
        self.path("proxy.pem")
    }

    /// A proxy whose time was over an hour ago.
    pub fn expired_proxy(&self) -> PathBuf {
        self.path("expired-proxy.pem")
    }

    /// A limited proxy: good for data, not for starting jobs.
    pub fn limited_proxy(&self) -> PathBuf {
        self.path("limited-proxy.pem")
    }

    /// The user's certificate.
    pub fn user_cert(&self) -> PathBuf {
        self.path("user.pem")
    }

    /// The user's key, without a pass phrase.
    pub fn user_key(&self) -> PathBuf {
        self.path("user.key")
    }

    /// The user's subject in the slashed form of gridmap files.
    pub fn user_subject(&self) -> &str {
        &self.user_subject
    }

    /// The server's certificate, for `localhost`, the far end of a link, and the machine's name.
    pub fn host_cert(&self) -> PathBuf {
        self.path("host.pem")
    }

    /// The key of [`host_cert`](Self::host_cert).
    pub fn host_key(&self) -> PathBuf {
        self.path("host.key")
    }

    /// A trusted host certificate for `elsewhere.example`.
    pub fn wrong_host_cert(&self) -> PathBuf {
        self.path("wrong-host.pem")
    }

    /// The key of [`wrong_host_cert`](Self::wrong_host_cert).
    pub fn wrong_host_key(&self) -> PathBuf {
        self.path("wrong-host.key")
    }

    /// A CA folder that holds only the stranger: for a client that must not trust our host.
    pub fn untrusted_ca_dir(&self) -> PathBuf {
        self.path("untrusted-certificates")
    }

    /// A proxy with the user's name under the stranger's CA: a server must refuse it.
    pub fn untrusted_proxy(&self) -> PathBuf {
        self.path("untrusted-proxy.pem")
    }

    /// The user certificate signed by the stranger.
    pub fn untrusted_user_cert(&self) -> PathBuf {
        self.path("untrusted-user.pem")
    }

    /// The key of [`untrusted_user_cert`](Self::untrusted_user_cert).
    pub fn untrusted_user_key(&self) -> PathBuf {
        self.path("untrusted-user.key")
    }

    /// The gridmap: the user's subject is the account the tests run under.
    pub fn gridmap(&self) -> PathBuf {
        self.path("gridmap")
    }

    /// The environment of a client that has everything: CA folder, proxy, user certificate and key.
    pub fn env(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("X509_CERT_DIR", self.ca_dir()),
            ("X509_USER_PROXY", self.proxy()),
            ("X509_USER_CERT", self.user_cert()),
            ("X509_USER_KEY", self.user_key()),
        ]
    }

    /// The environment of a client that has this proxy and nothing else: with a certificate to fall back to, Globus
    /// takes that where the proxy is no good.
    pub fn env_with_proxy(&self, proxy: &Path) -> Vec<(&'static str, PathBuf)> {
        let mut env = self.env_without_credential();
        env[1].1 = proxy.to_owned();
        env
    }

    /// The environment of a client that has no credential at all, whatever the machine's own user has at the usual
    /// places.
    pub fn env_without_credential(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("X509_CERT_DIR", self.ca_dir()),
            ("X509_USER_PROXY", self.path("no-proxy")),
            ("X509_USER_CERT", self.path("no-certificate")),
            ("X509_USER_KEY", self.path("no-key")),
            ("HOME", self.path("no-home")),
        ]
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

enum Role {
    Host(Vec<String>),
    User,
}

impl Signer {
    fn authority(common_name: &str, key: Result<KeyPair>) -> Result<Self> {
        let mut params = params(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        make(params, key, None)
    }

    fn issue(&self, common_name: &str, role: Role) -> Result<Self> {
        let mut params = params(common_name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let mut key = "user";
        if let Role::Host(names) = role {
            key = "host";
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            params.subject_alt_names =
                CertificateParams::new(names).map_err(failed(common_name))?.subject_alt_names;
        }
        make(params, rsa::key(key), Some(self))
    }

    /// A proxy certificate: the issuer's name with one more common name, which is its serial number (RFC 3820 §3.4).
    fn proxy(&self, policy: &[u8], until: OffsetDateTime) -> Result<Self> {
        let serial = serial();
        let mut params = CertificateParams::default();
        params.distinguished_name = self.params.distinguished_name.clone();
        // rcgen keeps one value for each attribute type. Spelt by its number, the second common name is another type
        // to rcgen and the same in the certificate.
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), serial.to_string());
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = OffsetDateTime::now_utc() - DAY;
        params.not_after = until;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        let mut info = CustomExtension::from_oid_content(PROXY_CERT_INFO, policy.to_vec());
        info.set_criticality(true);
        params.custom_extensions = vec![info];
        make(params, rsa::key("proxy"), Some(self))
    }

    fn common_name(&self) -> String {
        common_name(&self.params)
    }

    fn write(&self, pki: &Pki, name: &str) -> Result<()> {
        pki.write(&format!("{name}.pem"), &self.pem, 0o644)?;
        pki.write(&format!("{name}.key"), &self.key.serialize_pem(), 0o600)
    }

    fn write_proxy(&self, pki: &Pki, name: &str, user: &Self) -> Result<()> {
        pki.write(
            &format!("{name}.pem"),
            &format!("{}{}{}", self.pem, self.key.serialize_pem(), user.pem),
            0o600,
        )
    }
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Lab");
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - DAY;
    params.not_after = now + 30 * DAY;
    params
}

fn make(params: CertificateParams, key: Result<KeyPair>, issuer: Option<&Signer>) -> Result<Signer> {
    let key = key?;
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, &Issuer::from_params(&issuer.params, &issuer.key)),
        None => params.self_signed(&key),
    };
    let pem = certificate.map_err(failed(&common_name(&params)))?.pem();
    Ok(Signer { params, pem, key })
}

fn failed(subject: &str) -> impl FnOnce(rcgen::Error) -> Error {
    let subject = subject.to_owned();
    move |source| Error::Certificate { subject, source }
}

/// A number no other proxy of this process has: its name must differ from its siblings'.
fn serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0);
    (now << 20) + NEXT.fetch_add(1, Ordering::Relaxed)
}

fn common_name(params: &CertificateParams) -> String {
    match params.distinguished_name.get(&DnType::CommonName) {
        Some(rcgen::DnValue::Utf8String(name)) => name.clone(),
        _ => String::new(),
    }
}

/// The hash OpenSSL looks a CA up by.
fn subject_hash(pem: &Path) -> Result<String> {
    let openssl = packages::OPENSSL.program()?;
    let output = Command::new(openssl)
        .args(["x509", "-noout", "-subject_hash", "-in"])
        .arg(pem)
        .output()
        .map_err(Error::io("running openssl on", pem))?;
    if !output.status.success() {
        return Err(Error::Program {
            what: format!("openssl x509 -subject_hash of {}", pem.display()),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The machine's host name, if it is one a certificate can carry.
fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    good.then_some(name)
}
