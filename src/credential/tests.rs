//! Where a credential is looked for, and which files are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::files::{self, Places};
use super::*;
use crate::{ErrorKind, Phase, Side};

const CERT: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nBB==\n-----END PRIVATE KEY-----\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Places where nothing is.
    fn places(&self) -> Places {
        Places {
            home: Some(self.0.path().join("home")),
            default_proxy: self.0.path().join("x509up_u0"),
            ..Places::default()
        }
    }
}

fn search(places: &Places) -> Result<Bytes> {
    files::search(places, Locked::Refused)
}

fn read_proxy(path: &Path) -> Result<Bytes> {
    files::read_proxy(path, Locked::Refused)
}

fn read_pair(certificate: &Path, key: &Path) -> Result<Bytes> {
    files::read_pair(certificate, key, Locked::Refused)
}

#[track_caller]
fn refused(result: Result<Bytes>, part: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!((error.phase(), error.side()), (Phase::Credential, Some(Side::Local)));
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn the_search_keeps_its_order() {
    let folder = Folder::new();
    let mut places = folder.places();
    refused(search(&places), "no credential found");
    refused(search(&places), "x509up_u0");

    folder.file("home/.globus/usercert.pem", &format!("{CERT}home"), 0o644);
    refused(search(&places), "no credential found");
    folder.file("home/.globus/userkey.pem", KEY, 0o400);
    assert_eq!(search(&places).unwrap(), format!("{CERT}home\n{KEY}"));

    places.certificate = Some(folder.file("cert", &format!("{CERT}env"), 0o644));
    refused(search(&places), "X509_USER_KEY is not, expected both");
    places.key = Some(folder.file("key", KEY, 0o600));
    assert_eq!(search(&places).unwrap(), format!("{CERT}env\n{KEY}"));

    folder.file("x509up_u0", &format!("{CERT}{KEY}tmp"), 0o600);
    assert_eq!(search(&places).unwrap(), format!("{CERT}{KEY}tmp"));

    places.proxy = Some(folder.0.path().join("absent"));
    refused(search(&places), "X509_USER_PROXY names it");
    places.proxy = Some(folder.file("proxy", &format!("{CERT}{KEY}"), 0o600));
    assert_eq!(search(&places).unwrap(), format!("{CERT}{KEY}"));
}

#[test]
fn keys_open_to_others_are_refused() {
    let folder = Folder::new();
    let text = format!("{CERT}{KEY}");
    for mode in [0o640, 0o604, 0o644, 0o610, 0o601, 0o666] {
        refused(read_proxy(&folder.file("proxy", &text, mode)), &format!("mode {mode:04o}"));
    }
    for mode in [0o600, 0o400, 0o700] {
        assert_eq!(read_proxy(&folder.file("proxy", &text, mode)).unwrap(), text);
    }
    let (cert, key) = (folder.file("cert", CERT, 0o644), folder.file("key", KEY, 0o644));
    refused(read_pair(&cert, &key), "mode 0644");
}

#[test]
fn what_is_no_credential_is_named() {
    let folder = Folder::new();
    refused(read_proxy(&folder.0.path().join("absent")), "cannot read");
    refused(read_proxy(folder.0.path()), "no regular file");
    refused(read_proxy(&folder.file("a", CERT, 0o600)), "no private key");
    refused(read_proxy(&folder.file("b", KEY, 0o600)), "no certificate");
    let encrypted = KEY.replace("PRIVATE", "ENCRYPTED PRIVATE");
    refused(read_proxy(&folder.file("c", &format!("{CERT}{encrypted}"), 0o600)), "grid-proxy-init");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
    refused(read_proxy(&folder.file("d", &format!("{CERT}{old}"), 0o600)), "grid-proxy-init");
    let huge = format!("{CERT}{KEY}{}", "x".repeat(1024 * 1024));
    refused(read_proxy(&folder.file("e", &huge, 0o600)), "more than 1048576 bytes");
    let (cert, key) = (folder.file("f", KEY, 0o644), folder.file("g", KEY, 0o600));
    refused(read_pair(&cert, &key), "no certificate");
    refused(read_pair(&cert, &folder.file("h", CERT, 0o600)), "no private key");
}

#[test]
fn a_pipe_in_the_place_of_a_file_does_not_block() {
    let folder = Folder::new();
    let path = folder.0.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    refused(read_proxy(&path), "no regular file");
}

#[test]
fn values_are_checked_when_they_are_built() {
    for (user, password) in [("a\rb", "p"), ("a", "p\nq"), ("a\0", "p"), ("", "p"), ("a", "\x7f")] {
        let error = Credential::user_password(user, password).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(Credential::user_password("a", "x".repeat(1025)).is_err());
    assert!(Credential::anonymous_as("me@\r\nhere").is_err());
    assert_eq!(Credential::from_pem(CERT).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(Credential::from_pem(format!("{CERT}{KEY}")).is_ok());
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", Credential::user_password("u\u{7f2}ser", "hunter2").unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    let shown = format!("{:?}", Credential::from_pem(format!("{CERT}{KEY}")).unwrap());
    assert_eq!(shown, "Credential(118 bytes of PEM text)");
}

#[test]
fn equal_sources_are_equal() {
    let pem = format!("{CERT}{KEY}");
    assert_eq!(Credential::from_pem(pem.clone()).unwrap(), Credential::from_pem(pem).unwrap());
    assert_ne!(Credential::user_password("a", "b").unwrap(), Credential::user_password("a", "c").unwrap());
    assert_ne!(Credential::anonymous(), Credential::default_search());
}
