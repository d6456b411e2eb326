//! Credentials: what they say, proxies made here, renewal, the end of their time, delegation.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use gridftp::options::{DataChannelAuth, Delegation, ProtectionLevel, TransferMode};
use gridftp::{
    Client, Credential, CredentialInfo, CredentialKind, ErrorKind, PassphraseError, ProxyForm, Side,
};
use gridftp_lab::{Pki, PlainServer, Server, random_bytes, sha256};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use openssl::x509::{X509, X509Name};

use crate::fake::Fake;
use crate::support::{anonymous, builder, trusting, with_proxy};

fn run(program: &str, arguments: &[&str], environment: &[(&str, &Path)]) -> Output {
    Command::new(program).args(arguments).envs(environment.iter().copied()).output().unwrap()
}

#[track_caller]
fn output(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments, &[]);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// What `grid-proxy-info` prints, for one of its questions.
#[track_caller]
fn grid_proxy_info(file: &Path, question: &str) -> String {
    output("grid-proxy-info", &["-file", file.to_str().unwrap(), question])
}

/// Everything that is said must be what Globus says.
#[track_caller]
fn agrees(info: &CredentialInfo, file: &Path) {
    assert_eq!(info.subject(), grid_proxy_info(file, "-subject"));
    assert_eq!(info.issuer(), grid_proxy_info(file, "-issuer"));
    assert_eq!(info.identity(), grid_proxy_info(file, "-identity"));
    assert_eq!(info.kind_in_words(), grid_proxy_info(file, "-type"));
    assert_eq!(info.key_bits().to_string(), grid_proxy_info(file, "-strength"));
    let left: i64 = grid_proxy_info(file, "-timeleft").parse().unwrap();
    let ours = i64::try_from(info.remaining().as_secs()).unwrap();
    assert!((ours - left.max(0)).abs() <= 2, "{ours} s, {left} s");
}

fn secret(path: &Path, text: &[u8]) -> PathBuf {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_owned()
}

/// Certificate and key in one file.
fn together(folder: &Path, name: &str, certificate: &Path, key: &Path) -> PathBuf {
    let text = [fs::read(certificate).unwrap(), fs::read(key).unwrap()].concat();
    secret(&folder.join(name), &text)
}

/// A certificate that signs itself, with a name as `openssl req` takes it.
fn with_name(folder: &Path, name: &str, subject: &[&str]) -> (PathBuf, PathBuf) {
    let config = folder.join("req.cnf");
    fs::write(&config, "[req]\ndistinguished_name = dn\nstring_mask = utf8only\n[dn]\n").unwrap();
    let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let mut arguments = vec!["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-utf8", "-days", "2"];
    arguments.extend(["-config", config.to_str().unwrap(), "-out", certificate.to_str().unwrap()]);
    arguments.extend(["-keyout", key.to_str().unwrap()]);
    arguments.extend(subject);
    output("openssl", &arguments);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    (certificate, key)
}

#[tokio::test]
async fn a_credential_says_what_grid_proxy_info_says() {
    let pki = Pki::new();
    let folder = tempfile::tempdir().unwrap();
    let user = together(folder.path(), "user", &pki.user_cert(), &pki.user_key());
    for (file, kind, form) in [
        (pki.proxy(), CredentialKind::Proxy, Some(ProxyForm::Rfc3820)),
        (pki.limited_proxy(), CredentialKind::LimitedProxy, Some(ProxyForm::Rfc3820)),
        (pki.expired_proxy(), CredentialKind::Proxy, Some(ProxyForm::Rfc3820)),
        (user.clone(), CredentialKind::Full, None),
    ] {
        let info = Credential::from_proxy_file(&file).info().await.unwrap();
        assert_eq!((info.kind(), info.form()), (kind, form));
        assert_eq!(info.identity(), pki.user_subject());
        assert_eq!(info.is_limited(), kind == CredentialKind::LimitedProxy);
        agrees(&info, &file);
        let in_memory = Credential::from_pem(fs::read(&file).unwrap()).unwrap().info().await.unwrap();
        assert_eq!(in_memory, info);
    }
    let pair = Credential::from_cert_and_key(pki.user_cert(), pki.user_key()).info().await.unwrap();
    assert_eq!((pair.subject(), pair.chain_length()), (pki.user_subject(), 1));

    // Conventions before the RFC, as the Globus Toolkit makes them itself.
    for (option, form) in [("-old", ProxyForm::Legacy), ("-draft", ProxyForm::Draft)] {
        for limited in [false, true] {
            let file = folder.path().join(format!("proxy{option}{limited}"));
            let (cert, key) = (pki.user_cert(), pki.user_key());
            let mut arguments = vec![option, "-q", "-out", file.to_str().unwrap()];
            arguments.extend(["-cert", cert.to_str().unwrap(), "-key", key.to_str().unwrap()]);
            arguments.extend(limited.then_some("-limited"));
            let made = run("grid-proxy-init", &arguments, &[("X509_CERT_DIR", &pki.ca_dir())]);
            assert!(made.status.success(), "{made:?}");
            let info = Credential::from_proxy_file(&file).info().await.unwrap();
            assert_eq!((info.form(), info.is_limited()), (Some(form), limited));
            assert_eq!(info.identity(), pki.user_subject());
            agrees(&info, &file);
        }
    }

    let nobody = Credential::user_password("lab", "secret").unwrap().info().await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::InvalidInput);
    let rubbish =
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n";
    let rubbish = Credential::from_pem(rubbish).unwrap().info().await.unwrap_err();
    assert_eq!((rubbish.kind(), rubbish.side()), (ErrorKind::Authentication, Some(Side::Local)));
}

#[tokio::test]
async fn names_are_those_of_globus_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let names: [&[&str]; 5] = [
        &["-subj", "/DC=org/DC=Grid/O=Lab/CN=plain"],
        &["-subj", "/O=Läb 日本/CN=Müller \\\\ \"q\" a\\/b=c+d/emailAddress=a@b.c"],
        &["-subj", "/O=Lab/CN=Multi+UID=77+serialNumber=9/CN=end", "-multivalue-rdn"],
        &["-subj", "/O=Lab/CN=Robot - agent, number 7; <x>"],
        &["-subj", "/O=Lab/CN=proxy of nobody/CN=123"],
    ];
    for (index, subject) in names.iter().enumerate() {
        let (certificate, key) = with_name(folder.path(), &index.to_string(), subject);
        let file = together(folder.path(), &format!("{index}.both"), &certificate, &key);
        let credential = Credential::from_proxy_file(&file);
        let info = credential.info().await.unwrap();
        agrees(&info, &file);
        assert_eq!(info.kind(), CredentialKind::Full, "{info}");
        // A proxy of it has the same identity, however odd.
        let file = folder.path().join(format!("{index}.proxy"));
        let proxy = credential.make_proxy().write(&file).await.unwrap().info().await.unwrap();
        assert_eq!(proxy.identity(), info.subject());
        assert_eq!(proxy.issuer(), info.subject());
        agrees(&proxy, &file);
    }
}

#[track_caller]
fn verified(pki: &Pki, file: &Path) {
    let ca = fs::read_dir(pki.ca_dir()).unwrap().map(|entry| entry.unwrap().path());
    let ca = ca.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "0")).unwrap();
    let (ca, file) = (ca.to_str().unwrap(), file.to_str().unwrap());
    output("openssl", &["verify", "-allow_proxy_certs", "-CAfile", ca, "-untrusted", file, file]);
}

#[tokio::test]
async fn proxies_made_here_are_what_others_expect() {
    let pki = Pki::new();
    let folder = tempfile::tempdir().unwrap();
    let user = Credential::from_cert_and_key(pki.user_cert(), pki.user_key());
    let user_ends = user.info().await.unwrap().expires();
    let file = folder.path().join("x509up");

    let before = SystemTime::now();
    let first = user.make_proxy().write(&file).await.unwrap().info().await.unwrap();
    agrees(&first, &file);
    verified(&pki, &file);
    assert_eq!(grid_proxy_info(&file, "-type"), "RFC 3820 compliant impersonation proxy");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!((first.chain_length(), first.key_bits(), first.path_length()), (2, 2048, None));
    let hours = first.expires().duration_since(before).unwrap().as_secs_f64() / 3600.0;
    assert!((11.99..12.01).contains(&hours), "{hours}");
    let early = before.duration_since(first.not_before()).unwrap();
    assert!((290..=310).contains(&early.as_secs()), "{early:?}");
    // The last common name is the serial number.
    let decimal = first.subject().rsplit("/CN=").next().unwrap().to_owned();
    let serial = openssl::bn::BigNum::from_dec_str(&decimal).unwrap().to_hex_str().unwrap().to_string();
    assert_eq!(serial, first.serial());
    let text = output("openssl", &["x509", "-noout", "-text", "-in", file.to_str().unwrap()]);
    assert!(text.contains("Proxy Certificate Information: critical"), "{text}");
    assert!(text.contains("Digital Signature, Key Encipherment"), "{text}");
    let key_of = |file: &Path| {
        PKey::private_key_from_pem(&fs::read(file).unwrap()).unwrap().private_key_to_pkcs8().unwrap()
    };
    let first_key = key_of(&file);

    // The same name again: another key, another number, no other file beside it.
    let second =
        user.make_proxy().limited(true).path_length(3).key_bits(3072).lifetime(Duration::from_secs(3600));
    let second = second.write(&file).await.unwrap().info().await.unwrap();
    agrees(&second, &file);
    verified(&pki, &file);
    assert_eq!((second.kind(), second.path_length()), (CredentialKind::LimitedProxy, Some(3)));
    assert_eq!(second.key_bits(), 3072);
    assert_ne!(second.serial(), first.serial());
    assert_ne!(key_of(&file), first_key);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a file was left");

    // Proxies of proxies: what is limited stays so, and the number of steps counts down.
    let third = Credential::from_proxy_file(&file).make_proxy();
    let third = third.lifetime(Duration::from_secs(86_400)).write(folder.path().join("third")).await.unwrap();
    let third = third.info().await.unwrap();
    agrees(&third, &folder.path().join("third"));
    verified(&pki, &folder.path().join("third"));
    assert_eq!(
        (third.kind(), third.path_length(), third.chain_length()),
        (CredentialKind::LimitedProxy, Some(2), 3)
    );
    assert_eq!(third.expires(), second.expires(), "no longer than its issuer");
    assert_eq!(third.identity(), pki.user_subject());

    let last =
        user.make_proxy().path_length(0).lifetime(Duration::from_secs(400 * 86_400)).build().await.unwrap();
    assert_eq!(last.info().await.unwrap().expires(), user_ends);
    let none = last.make_proxy().build().await.unwrap_err();
    assert_eq!((none.kind(), none.side()), (ErrorKind::Authentication, Some(Side::Local)), "{none}");

    for (wrong, part) in [
        (user.make_proxy().lifetime(Duration::ZERO), "lifetime of 0 s"),
        (user.make_proxy().key_bits(1024), "1024 bits"),
        (user.make_proxy().key_bits(1 << 20), "2048 to 8192"),
    ] {
        let error = wrong.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(part), "{error}");
    }
    let expired = Credential::from_proxy_file(pki.expired_proxy()).make_proxy().build().await.unwrap_err();
    assert_eq!(expired.kind(), ErrorKind::CredentialExpired, "{expired}");
    let mixed = Credential::from_cert_and_key(pki.user_cert(), pki.host_key())
        .make_proxy()
        .build()
        .await
        .unwrap_err();
    assert!(mixed.to_string().contains("do not belong together"), "{mixed}");
    let nowhere = user.make_proxy().write(folder.path().join("no/such/folder")).await.unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::LocalIo, "{nowhere}");
    let onto_a_folder = user.make_proxy().write(folder.path()).await.unwrap_err();
    assert_eq!(onto_a_folder.kind(), ErrorKind::LocalIo, "{onto_a_folder}");
}

#[tokio::test]
async fn a_private_key_opens_with_its_pass_phrase_only() {
    let pki = Pki::new();
    let folder = tempfile::tempdir().unwrap();
    let certificate = fs::read(pki.user_cert()).unwrap();
    let key = PKey::private_key_from_pem(&fs::read(pki.user_key()).unwrap()).unwrap();
    let phrase = "päss phrase\0with all";
    let new_form = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), phrase.as_bytes()).unwrap();
    let old_form =
        key.rsa().unwrap().private_key_to_pem_passphrase(Cipher::aes_128_cbc(), phrase.as_bytes()).unwrap();
    let wrong = |error: gridftp::Error| {
        assert_eq!((error.kind(), error.side()), (ErrorKind::Authentication, Some(Side::Local)), "{error}");
        *std::error::Error::source(&error).unwrap().downcast_ref::<PassphraseError>().unwrap()
    };
    for locked in [new_form, old_form] {
        let file = secret(&folder.path().join("locked.key"), &locked);
        let user = Credential::from_cert_and_key(pki.user_cert(), &file);
        assert_eq!(
            user.info().await.unwrap().subject(),
            pki.user_subject(),
            "what is public needs no pass phrase"
        );
        let proxy = user.make_proxy().passphrase(phrase).build().await.unwrap();
        assert_eq!(proxy.info().await.unwrap().identity(), pki.user_subject());

        assert_eq!(wrong(user.make_proxy().build().await.unwrap_err()), PassphraseError::Missing);
        for bad in ["", "pass phrase", &"x".repeat(100_000)] {
            assert_eq!(
                wrong(user.make_proxy().passphrase(bad).build().await.unwrap_err()),
                PassphraseError::Wrong
            );
        }
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let ask = move || {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(phrase.into())
        };
        user.make_proxy().passphrase_with(ask).build().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let gone = user
            .make_proxy()
            .passphrase_with(|| Err(std::io::ErrorKind::UnexpectedEof.into()))
            .build()
            .await
            .unwrap_err();
        assert!(gone.to_string().contains("could not be asked for"), "{gone}");
        // The text from memory, and nothing of it in what is shown.
        let making = gridftp::ProxyBuilder::from_pem(&certificate, &locked).passphrase(phrase);
        assert!(!format!("{making:?}").contains("phrase\\0"), "{making:?}");
        making.build().await.unwrap();
        // For a login as it is, an encrypted key is refused with a hint.
        let refused =
            builder().credential(user).build().unwrap().size("gsiftp://localhost:1/").await.unwrap_err();
        assert!(refused.to_string().contains("make_proxy"), "{refused}");
    }
    // A key that needs none does not ask; other kinds of keys sign as well.
    let open = Credential::from_cert_and_key(pki.user_cert(), pki.user_key()).make_proxy();
    open.passphrase_with(|| panic!("asked for nothing")).build().await.unwrap();
    let curve = PKey::ec_gen("prime256v1").unwrap();
    let signed = self_signed(&curve, -60, 3600);
    let proxy =
        gridftp::ProxyBuilder::from_pem(signed.to_pem().unwrap(), curve.private_key_to_pem_pkcs8().unwrap());
    let info = proxy.build().await.unwrap().info().await.unwrap();
    assert_eq!((info.identity(), info.key_bits()), ("/O=Lab/CN=Tester", 2048));
}

/// A certificate of the lab's user that begins and ends so many seconds from now.
fn self_signed(key: &PKey<openssl::pkey::Private>, begins: i64, ends: i64) -> X509 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("O", "Lab").unwrap();
    name.append_entry_by_text("CN", "Tester").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(now + begins).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(now + ends).unwrap()).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

#[test]
fn a_credential_out_of_its_time_is_refused_before_any_connection() {
    trusting(
        "credentials::a_credential_out_of_its_time_is_refused_before_any_connection",
        |pki| async move {
            let server = Fake::start("220 ready\r\n", |_| None).await;
            let url = format!("gsiftp://localhost:{}/f", server.port());
            let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
            let pem = |begins, ends| {
                let certificate = self_signed(&key, begins, ends).to_pem().unwrap();
                Credential::from_pem([certificate, key.private_key_to_pem_pkcs8().unwrap()].concat()).unwrap()
            };
            // A proxy that is good, of a certificate that is not: its end is that of the certificate.
            for (credential, part) in [
                (Credential::from_proxy_file(pki.expired_proxy()), "expired at "),
                (pem(-7200, -3600), "expired at "),
                (pem(3600, 7200), "is not good before "),
            ] {
                let client = builder().credential(credential.clone()).build().unwrap();
                for error in [
                    client.stat(&url).await.unwrap_err(),
                    client.get(&url).await.unwrap_err(),
                    client.put(&url).await.unwrap_err(),
                ] {
                    assert_eq!(error.kind(), ErrorKind::CredentialExpired, "{error}");
                    assert_eq!(error.side(), Some(Side::Local));
                    assert!(!error.is_transient() && !error.may_have_applied());
                    let info = credential.info().await.unwrap();
                    let limit = if part.starts_with("exp") { info.expires() } else { info.not_before() };
                    let seconds = limit.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
                    let shown =
                        output("date", &["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%d %H:%M:%S UTC"]);
                    assert!(
                        error.to_string().contains(&format!("{part}{shown}")),
                        "{error}, expected {shown}"
                    );
                }
                assert_eq!(client.metrics().connects, 0);
            }
            assert_eq!(server.connections(), 0, "the server was connected to");
            // The server would have seen one.
            let open = Credential::from_proxy_file(pki.proxy());
            builder().credential(open).build().unwrap().stat(&url).await.unwrap_err();
            assert!(server.connections() > 0);
        },
    );
}

/// One file there and back, with everything that needs the credential: login, delegation, protected data.
async fn moves_private_data(client: &Client, server: &Server, name: &str) {
    let contents = random_bytes(7, 300_000);
    let url = server.url(name);
    let mut put = client
        .put(&url)
        .protection(ProtectionLevel::Private)
        .dcau(DataChannelAuth::OwnIdentity)
        .await
        .unwrap();
    put.write(contents.clone().into()).await.unwrap();
    put.finish().await.unwrap();
    assert_eq!(sha256(&fs::read(server.dir().join(name)).unwrap()), sha256(&contents), "{name}");
    let get = client
        .get(&url)
        .protection(ProtectionLevel::Private)
        .mode(TransferMode::ExtendedBlock)
        .parallelism(2);
    assert_eq!(sha256(&get.await.unwrap().bytes().await.unwrap()), sha256(&contents), "{name}");
}

#[test]
fn proxies_made_here_log_in_delegate_and_protect_data() {
    trusting("credentials::proxies_made_here_log_in_delegate_and_protect_data", |pki| async move {
        let server = Server::gsi(&pki).start();
        let user = Credential::from_cert_and_key(pki.user_cert(), pki.user_key());
        let folder = tempfile::tempdir().unwrap();
        let key = PKey::private_key_from_pem(&fs::read(pki.user_key()).unwrap()).unwrap();
        let locked = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"sesame").unwrap();
        let locked =
            gridftp::ProxyBuilder::from_pem(fs::read(pki.user_cert()).unwrap(), locked).passphrase("sesame");
        let of_a_proxy = user.make_proxy().build().await.unwrap().make_proxy().build().await.unwrap();
        for (name, credential) in [
            ("in memory", user.make_proxy().build().await.unwrap()),
            ("in a file", user.make_proxy().write(folder.path().join("x509up")).await.unwrap()),
            ("limited", user.make_proxy().limited(true).build().await.unwrap()),
            ("long key", user.make_proxy().key_bits(4096).build().await.unwrap()),
            ("one step left", user.make_proxy().path_length(1).build().await.unwrap()),
            ("of a proxy", of_a_proxy),
            ("locked key", locked.build().await.unwrap()),
        ] {
            let client = builder().credential(credential).build().unwrap();
            moves_private_data(&client, &server, name).await;
        }
    });
}

#[test]
fn a_renewed_proxy_is_seen_and_new_operations_use_it() {
    trusting("credentials::a_renewed_proxy_is_seen_and_new_operations_use_it", |pki| async move {
        let server = Server::gsi(&pki).start();
        fs::write(server.dir().join("f"), "hello").unwrap();
        let url = server.url("f");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x509up");
        let user = Credential::from_cert_and_key(pki.user_cert(), pki.user_key());
        let host = Credential::from_cert_and_key(pki.host_cert(), pki.host_key());
        let credential = user.make_proxy().lifetime(Duration::from_secs(3600)).write(&file).await.unwrap();
        let client = builder().credential(credential.clone()).build().unwrap();

        let mut watch = credential.watch(Duration::from_millis(20)).await.unwrap();
        let first = watch.info();
        assert_eq!(first, credential.info().await.unwrap());
        assert_eq!(client.get(&url).await.unwrap().bytes().await.unwrap(), "hello");
        assert_eq!(client.size(&url).await.unwrap(), 5);
        let logins = client.metrics().logins;
        assert_eq!(watch.check().await.unwrap(), first);
        client.size(&url).await.unwrap();
        assert_eq!(client.metrics().logins, logins, "nothing was renewed, so the session is used again");

        // A transfer under way goes on with what it began with.
        fs::write(server.dir().join("large"), random_bytes(3, 20_000_000)).unwrap();
        let mut under_way = client.get(server.url("large")).await.unwrap();
        under_way.next_block().await.unwrap().unwrap();

        // Renewed: the same user, another proxy.
        user.make_proxy().write(&file).await.unwrap();
        let second = watch.changed().await.unwrap();
        assert_eq!(second.identity(), first.identity());
        assert!(second.serial() != first.serial() && second.remaining() > Duration::from_secs(3600));
        let logins = client.metrics().logins;
        assert_eq!(client.size(&url).await.unwrap(), 5);
        assert_eq!(client.metrics().logins, logins + 1, "the old session serves nobody");
        assert_eq!(client.get(&url).await.unwrap().bytes().await.unwrap(), "hello");
        let mut rest = 0;
        while let Some(block) = under_way.next_block().await.unwrap() {
            rest += block.data.len();
        }
        assert!(rest > 10_000_000, "{rest}");

        // Somebody else's: the server knows the difference.
        host.make_proxy().write(&file).await.unwrap();
        let other = watch.check().await.unwrap();
        assert_eq!(other.identity(), "/O=Lab/CN=localhost");
        let unknown = client.size(&url).await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::Authorization, "{unknown}");
        assert!(unknown.to_string().contains("/O=Lab/CN=localhost"), "{unknown}");

        // A file that is no credential: what was there before stays known, and the failure can be asked for.
        fs::write(&file, "half a fi").unwrap();
        let broken = watch.check().await.unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::Authentication);
        assert_eq!(watch.failure().unwrap().kind(), ErrorKind::Authentication);
        assert_eq!(watch.info(), other);

        // And back.
        let near = user.make_proxy().lifetime(Duration::from_secs(30)).write(&file).await.unwrap();
        watch.check().await.unwrap();
        assert!(watch.failure().is_none());
        assert_eq!(client.size(&url).await.unwrap(), 5);
        // Its end is near enough for those who ask for a minute's warning, and not for a second's.
        let warned = watch.expiring(Duration::from_secs(60)).await;
        assert_eq!(warned.expires(), near.info().await.unwrap().expires());
        let early =
            tokio::time::timeout(Duration::from_millis(100), watch.expiring(Duration::from_secs(1))).await;
        early.unwrap_err();
        assert_eq!(credential.watch(Duration::ZERO).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn credential_per_operation() {
    trusting("credentials::credential_per_operation", |pki| async move {
        let server = Server::gsi(&pki).start();
        fs::write(server.dir().join("f"), "hello").unwrap();
        let url = server.url("f");
        // This process has no credential at all; one operation is given one, the next is not.
        let client = builder().build().unwrap();
        let proxy = Credential::from_proxy_file(pki.proxy());
        let own = client.with_credential(proxy.clone());
        assert_eq!(own.size(&url).await.unwrap(), 5);
        assert_eq!(client.get(&url).credential(proxy.clone()).await.unwrap().bytes().await.unwrap(), "hello");
        assert_eq!(client.size(&url).await.unwrap_err().kind(), ErrorKind::Authentication);
        assert_eq!(client.get(&url).await.unwrap_err().kind(), ErrorKind::Authentication);
        // Somebody else is nobody to this server, on the same client and at the same time.
        let host = Credential::from_cert_and_key(pki.host_cert(), pki.host_key());
        let other = client.with_credential(host);
        let (mine, theirs) = tokio::join!(own.stat(&url), other.stat(&url));
        assert_eq!(mine.unwrap().size(), Some(5));
        assert_eq!(theirs.unwrap_err().kind(), ErrorKind::Authorization);
        // Who the server must be, for one operation as well.
        let wrong = own.with_subject("/O=Lab/CN=nobody").unwrap().size(&url).await.unwrap_err();
        assert_eq!((wrong.kind(), wrong.side()), (ErrorKind::Authentication, Some(Side::Server)), "{wrong}");
        assert_eq!(own.with_subject("/O=Lab/CN=localhost").unwrap().size(&url).await.unwrap(), 5);
    });
}

#[test]
fn turn_delegation_off() {
    trusting("credentials::turn_delegation_off", |pki| async move {
        let server = Server::gsi(&pki).start();
        fs::write(server.dir().join("f"), "hello").unwrap();
        let url = server.url("f");
        // A delegation is one more exchange of tokens during the login, so logins can be told apart by their commands.
        let tokens = async |client: Client, protection: ProtectionLevel| {
            let contents = client.get(&url).protection(protection).await.unwrap().bytes().await.unwrap();
            assert_eq!(contents, "hello");
            client.metrics().commands
        };
        let plain = tokens(with_proxy(&pki), ProtectionLevel::Clear).await;
        let never =
            builder().credential(Credential::from_proxy_file(pki.proxy())).delegation(Delegation::Never);
        let never = never.build().unwrap();
        assert_eq!(
            tokens(never.clone(), ProtectionLevel::Clear).await,
            plain,
            "plain transfers do not delegate"
        );
        let protected = with_proxy(&pki);
        assert!(tokens(protected.clone(), ProtectionLevel::Private).await > plain);
        // The session with a proxy at the server is not used for what needs none.
        let logins = protected.metrics().logins;
        protected.size(&url).await.unwrap();
        protected.get(&url).await.unwrap().bytes().await.unwrap();
        assert!(protected.metrics().logins > logins);
        // Forbidden is forbidden, and said before anything is protected less than asked for.
        let refused = never.get(&url).protection(ProtectionLevel::Private).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    });
}

#[test]
fn gsi_user_password_and_anonymous_logins() {
    trusting("credentials::gsi_user_password_and_anonymous_logins", |pki| async move {
        let gsi = Server::gsi(&pki).start();
        let password = Server::with_password("lab").start();
        let anonymous_one = Server::anonymous().start();
        let plain = PlainServer::with_password("lab").start();
        for folder in [gsi.dir(), password.dir(), anonymous_one.dir(), plain.dir()] {
            fs::write(folder.join("f"), "hello").unwrap();
        }
        // One client for all of them: a credential for each kind of login.
        let client = builder()
            .credential(Credential::from_proxy_file(pki.proxy()))
            .credential(Credential::user_password("lab", password.password()).unwrap())
            .build()
            .unwrap();
        for url in [gsi.url("f"), password.url("f"), plain.url("f")] {
            assert_eq!(client.get(&url).await.unwrap().bytes().await.unwrap(), "hello", "{url}");
        }
        assert_eq!(anonymous().get(anonymous_one.url("f")).await.unwrap().bytes().await.unwrap(), "hello");
        // This one answers what was sent behind a wrong password before it refuses it.
        let refused = anonymous().get(format!("ftp://127.0.0.1:{}/f", plain.port())).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Authentication, "{refused}");
        assert_eq!(anonymous().get(gsi.url("f")).await.unwrap_err().kind(), ErrorKind::Authentication);
    });
}
