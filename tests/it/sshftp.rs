//! GridFTP with its control channel inside a real ssh, against an ssh server of the lab.

use std::fs;
use std::time::Duration;

use gridftp::options::{ProtectionLevel, SshOptions, TransferMode};
use gridftp::{ChecksumAlgorithm, Client, ClientBuilder, ErrorKind, TimeoutKind};
use gridftp_lab::{SshServer, random_bytes, sha256};
use rustix::process::{Pid, Signal};

use crate::support::{alone, anonymous, builder, eventually, open_descriptors, short};

fn options(arguments: Vec<String>) -> SshOptions {
    arguments.into_iter().fold(SshOptions::new(), SshOptions::arg)
}

fn with_ssh(server: &SshServer) -> ClientBuilder {
    builder().ssh(options(server.arguments()))
}

/// The children of this process: ssh processes, and zombies of them.
fn children() -> Vec<(u32, char)> {
    let own = std::process::id().to_string();
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<_> = rest.split_whitespace().collect();
        if fields.get(1) == Some(&own.as_str()) && name.ends_with("(ssh") {
            children.push((pid, fields[0].chars().next().unwrap()));
        }
    }
    children
}

async fn put(client: &Client, url: &str, data: &[u8]) {
    let mut put = client.put(url).await.unwrap();
    put.write(data.to_vec().into()).await.unwrap();
    put.finish().await.unwrap();
}

#[tokio::test]
async fn ssh_users_reach_their_files() {
    let server = SshServer::start();
    server.enable_sshftp();
    let client = with_ssh(&server).build().unwrap();
    let data = random_bytes(1, 3_000_001);
    fs::write(server.dir().join("f"), &data).unwrap();
    let entry = client.stat(server.url("f")).await.unwrap();
    assert!(entry.is_file() && entry.size() == Some(3_000_001), "{entry:?}");
    assert!(!client.exists(server.url("missing")).await.unwrap());
    assert!(client.features(server.url("")).await.unwrap().cksm());
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let got = client.get(server.url("f")).mode(mode).await.unwrap().bytes().await.unwrap();
        assert_eq!(sha256(&got), sha256(&data), "{mode:?}");
    }
    put(&client, &server.url("put back"), &data).await;
    assert_eq!(sha256(&fs::read(server.dir().join("put back")).unwrap()), sha256(&data));
    let many = [server.url("f"), server.url("put back")];
    let mut files = client.get_many(&many).await.unwrap();
    while let Some(mut file) = files.next_file().await.unwrap() {
        assert_eq!(sha256(&file.bytes().await.unwrap()), sha256(&data));
    }
    let checksum = client.checksum(server.url("f"), ChecksumAlgorithm::Sha256, ..).await.unwrap();
    assert_eq!(checksum.to_hex(), sha256(&data));
    // Without a user in the URL ssh decides: it is the one of this process.
    let own = format!("sshftp://127.0.0.1:{}{}", server.port(), server.dir().join("f").display());
    assert_eq!(client.size(own).await.unwrap(), 3_000_001);
    // What cannot be had is not pretended.
    let private = client.get(server.url("f")).protection(ProtectionLevel::Private).await;
    assert_eq!(private.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn nothing_is_left_of_a_session() {
    alone("sshftp::nothing_is_left_of_a_session", || async {
        let server = SshServer::start();
        server.enable_sshftp();
        fs::write(server.dir().join("f"), "12345").unwrap();
        let warm = with_ssh(&server).build().unwrap();
        // The engine and the signals of the runtime keep descriptors of their own.
        warm.get(server.url("f")).await.unwrap().bytes().await.unwrap();
        drop(warm);
        eventually("the first ssh is gone", || children().is_empty()).await;
        let before = open_descriptors();
        for _ in 0..3 {
            let client = with_ssh(&server).build().unwrap();
            assert_eq!(client.size(server.url("f")).await.unwrap(), 5);
            assert_eq!(children().len(), 1);
            drop(client);
            eventually("no ssh is left, dead or alive", || children().is_empty()).await;
        }
        eventually("the server's ends are gone", || server.sessions().is_empty()).await;
        eventually("all descriptors are closed", || open_descriptors() <= before).await;
    });
}

#[test]
fn ssh_that_dies_is_a_lost_connection() {
    alone("sshftp::ssh_that_dies_is_a_lost_connection", || async {
        let server = SshServer::start();
        server.enable_sshftp();
        fs::write(server.dir().join("f"), "12345").unwrap();
        let client = with_ssh(&server).build().unwrap();
        client.size(server.url("f")).await.unwrap();
        // The server's end stops answering, so that a command is on its way when ssh is killed.
        let stopped = server.sessions();
        assert!(!stopped.is_empty());
        for pid in stopped {
            let _ = rustix::process::kill_process(
                Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(),
                Signal::STOP,
            );
        }
        let before = client.metrics().commands;
        let making = tokio::spawn({
            let (client, url) = (client.clone(), server.url("d"));
            async move { client.create_dir(url).await }
        });
        eventually("the command is sent", || client.metrics().commands > before).await;
        let (ssh, _) = children()[0];
        rustix::process::kill_process(Pid::from_raw(i32::try_from(ssh).unwrap()).unwrap(), Signal::KILL)
            .unwrap();
        let error = making.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
        assert!(error.may_have_applied() && error.is_transient(), "{error}");
        assert!(error.to_string().contains("signal: 9"), "{error}");
        eventually("no zombie is left", || children().is_empty()).await;
        // The next operation has a new one.
        assert_eq!(client.size(server.url("f")).await.unwrap(), 5);
    });
}

#[test]
fn without_a_server_the_error_says_so() {
    alone("sshftp::without_a_server_the_error_says_so", || async {
        let server = SshServer::start();
        let client = with_ssh(&server).build().unwrap();
        // Nobody has set the machine up, unless this one is.
        if !std::path::Path::new("/etc/grid-security/sshftp").exists() {
            let error = client.size(server.url("f")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains("not set up for sshftp"), "{error}");
        }
        let with = |options: SshOptions| builder().ssh(options).build().unwrap();
        let error = with(options(server.arguments()).remote_command("no-such-server-of-the-lab"))
            .size(server.url("f"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("no-such-server-of-the-lab"), "{error}");
        let noise = options(server.arguments()).remote_command("printf 'Welcome to the machine\\r\\n'");
        let error = with(noise).size(server.url("f")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains("Welcome"), "{error}");
        let loud = options(server.arguments())
            .remote_command("head -c 3000000 /dev/zero >&2; printf '\\033[2Jbye' >&2; exit 3");
        let error = with(loud).size(server.url("f")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
        let shown = error.to_string();
        assert!(
            shown.contains("bye") && shown.len() < 20_000 && !shown.contains('\x1b') && !shown.contains('\0'),
            "{shown}"
        );
        let silent = options(server.arguments()).remote_command("exec sleep 100");
        let timeouts = short().connect(Duration::from_secs(2));
        let error = builder()
            .ssh(silent)
            .timeouts(timeouts)
            .build()
            .unwrap()
            .size(server.url("f"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Connect), "{error}");
        eventually("no ssh is left", || children().is_empty()).await;
    });
}

#[tokio::test]
async fn who_ssh_does_not_let_in() {
    let server = SshServer::start();
    server.enable_sshftp();
    let wrong = builder().ssh(options(server.wrong_arguments())).build().unwrap();
    let error = wrong.size(server.url("f")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    assert!(error.to_string().contains("Permission denied"), "{error}");
    // A server that nobody knows.
    let mut arguments = server.arguments();
    arguments.insert(0, "-oUserKnownHostsFile=/dev/null".into());
    arguments.insert(0, "-oStrictHostKeyChecking=yes".into());
    let error = builder().ssh(options(arguments)).build().unwrap().size(server.url("f")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    assert!(error.to_string().contains("Host key verification failed"), "{error}");
    let program = options(server.arguments()).program("/no/such/ssh");
    let error = builder().ssh(program).build().unwrap().size(server.url("f")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("/no/such/ssh"), "{error}");
}

#[tokio::test]
async fn no_program_is_run_unless_it_is_allowed_and_nothing_of_a_url_becomes_an_option() {
    let error = anonymous().size("sshftp://127.0.0.1/f").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("ClientBuilder::ssh"), "{error}");

    // A program that would leave a trace.
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let program = folder.path().join("fake-ssh");
    fs::write(
        &program,
        format!("#!/bin/sh\nfor a in \"$@\"; do echo \"$a\" >> {}; done\nexit 255\n", trace.display()),
    )
    .unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ssh = SshOptions::new().program(&program).arg("-v").remote_command("serve 'it'");
    let client = builder().ssh(ssh).build().unwrap();
    for url in [
        "sshftp://-oProxyCommand=touch%20x@127.0.0.1/f",
        "sshftp://a%20b@127.0.0.1/f",
        "sshftp://a%27b@127.0.0.1/f",
        "sshftp://%24(id)@127.0.0.1/f",
        "sshftp://ada:secret@127.0.0.1/f",
        "sshftp://-h/f",
    ] {
        let error = client.size(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert!(!trace.exists(), "nothing was run");
    let error = client.size("sshftp://ada@127.0.0.1:2222/$(touch%20x)").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    let expected = [
        "-v",
        "-T",
        "-x",
        "-o",
        "BatchMode=yes",
        "-p",
        "2222",
        "-l",
        "ada",
        "--",
        "127.0.0.1",
        "serve 'it'",
        "",
    ];
    let told = fs::read_to_string(&trace).unwrap();
    assert!(told.starts_with(&expected.join("\n")), "{told}");
    let bad = builder().ssh(SshOptions::new().arg("--")).build().unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::InvalidInput, "{bad}");
}
