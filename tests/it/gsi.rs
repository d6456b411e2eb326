//! The same over GSI: logins, protected control channels, protected data.

use bytes::Bytes;
use gridftp::options::{DataChannelAuth, Delegation, ProtectionLevel, TransferMode};
use gridftp::{Client, Credential, ErrorKind, Side};
use gridftp_lab::{Pki, Server, random_bytes, sha256};

use crate::support::{builder, trusting, with_proxy};

async fn both_ways(
    client: &Client,
    server: &Server,
    mode: TransferMode,
    streams: u16,
    level: ProtectionLevel,
    auth: DataChannelAuth,
) {
    for size in [0_usize, 1, 262_145, 3_000_000] {
        let contents = random_bytes(size as u64, size);
        let path = server.dir().join(format!("f-{size}-{mode:?}-{streams}-{level:?}"));
        let url = server.url(&path);
        let mut put = client
            .put(&url)
            .mode(mode)
            .parallelism(streams)
            .protection(level)
            .dcau(auth.clone())
            .await
            .unwrap();
        put.write(Bytes::from(contents.clone())).await.unwrap();
        assert_eq!(put.finish().await.unwrap().bytes, size as u64);
        assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&contents));
        let get = client
            .get(&url)
            .mode(mode)
            .parallelism(streams)
            .protection(level)
            .dcau(auth.clone())
            .await
            .unwrap();
        assert_eq!(
            sha256(&get.bytes().await.unwrap()),
            sha256(&contents),
            "{size} {mode:?} {streams} {level:?}"
        );
    }
}

#[test]
fn bytes_both_ways_without_delegation() {
    trusting("gsi::bytes_both_ways_without_delegation", |pki| async move {
        let server = Server::gsi(&pki).start();
        let client = Client::builder()
            .credential(Credential::from_proxy_file(pki.proxy()))
            .delegation(Delegation::Never)
            .build()
            .unwrap();
        for (mode, streams) in
            [(TransferMode::Stream, 1), (TransferMode::ExtendedBlock, 1), (TransferMode::ExtendedBlock, 4)]
        {
            both_ways(&client, &server, mode, streams, ProtectionLevel::Clear, DataChannelAuth::Auto).await;
        }
        // What needs delegation is refused, not done in clear text.
        let refused = client
            .get(server.url("f-1-Stream-1-Clear"))
            .protection(ProtectionLevel::Private)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    });
}

#[test]
fn bytes_both_ways_authenticated_and_private() {
    trusting("gsi::bytes_both_ways_authenticated_and_private", |pki| async move {
        let server = Server::gsi(&pki).start();
        let client = with_proxy(&pki);
        for (mode, streams) in
            [(TransferMode::Stream, 1), (TransferMode::ExtendedBlock, 1), (TransferMode::ExtendedBlock, 4)]
        {
            for level in [ProtectionLevel::Clear, ProtectionLevel::Safe, ProtectionLevel::Private] {
                both_ways(&client, &server, mode, streams, level, DataChannelAuth::OwnIdentity).await;
            }
        }
    });
}

#[test]
fn credentials_from_everywhere() {
    trusting("gsi::credentials_from_everywhere", |pki| async move {
        let server = Server::gsi(&pki).start();
        std::fs::write(server.dir().join("f"), "hello").unwrap();
        let pem = std::fs::read(pki.proxy()).unwrap();
        for credential in [
            Credential::from_proxy_file(pki.proxy()),
            Credential::from_pem(pem).unwrap(),
            Credential::from_cert_and_key(pki.user_cert(), pki.user_key()),
        ] {
            let client = builder().credential(credential).build().unwrap();
            assert_eq!(client.size(server.url("f")).await.unwrap(), 5);
        }
    });
}

#[test]
fn what_can_be_wrong_with_a_login() {
    trusting("gsi::what_can_be_wrong_with_a_login", |pki| async move {
        let server = Server::gsi(&pki).start();
        let url = server.url("f");
        let with = |credential| builder().credential(credential).build().unwrap();

        let expired = with(Credential::from_proxy_file(pki.expired_proxy())).stat(&url).await.unwrap_err();
        assert_eq!(expired.kind(), ErrorKind::CredentialExpired, "{expired}");
        assert_eq!(expired.side(), Some(Side::Local));

        // The environment of this process names a proxy that is not there.
        let none = builder().build().unwrap().stat(&url).await.unwrap_err();
        assert_eq!(none.kind(), ErrorKind::Authentication, "{none}");
        assert_eq!(none.side(), Some(Side::Local));

        let untrusted =
            with(Credential::from_proxy_file(pki.untrusted_proxy())).stat(&url).await.unwrap_err();
        assert_eq!(untrusted.kind(), ErrorKind::Authentication, "{untrusted}");

        let wrong = Server::gsi(&pki).host_certificate(&pki.wrong_host_cert(), &pki.wrong_host_key()).start();
        let elsewhere = with_proxy(&pki).stat(wrong.url("f")).await.unwrap_err();
        assert_eq!(elsewhere.kind(), ErrorKind::Authentication, "{elsewhere}");
        assert_eq!(elsewhere.side(), Some(Side::Server), "{elsewhere}");
        assert!(!elsewhere.is_transient());
    });
}

#[test]
fn a_server_is_known_by_its_subject_where_that_is_asked_for() {
    trusting("gsi::a_server_is_known_by_its_subject_where_that_is_asked_for", |pki: Pki| async move {
        let server =
            Server::gsi(&pki).host_certificate(&pki.wrong_host_cert(), &pki.wrong_host_key()).start();
        std::fs::write(server.dir().join("f"), "hello").unwrap();
        let client = with_proxy(&pki);
        let wrong = client.get(server.url("f")).subject("/O=Lab/CN=nobody").await.unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::Authentication, "{wrong}");
    });
}
