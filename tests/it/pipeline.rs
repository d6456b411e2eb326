//! Many files through one pipeline.

use gridftp::{ErrorKind, Phase};
use gridftp_lab::{Server, random_bytes, sha256};

use crate::ftpd::{Answer, Ftpd};
use crate::support::anonymous;

#[tokio::test]
async fn a_thousand_files_of_which_ten_are_missing() {
    let server = Server::anonymous().start();
    let mut expected = Vec::new();
    let mut state = 12345_u64;
    for n in 0..1010_usize {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if n % 101 == 50 {
            expected.push(None);
            continue;
        }
        let size = if n % 17 == 0 { 0 } else { (state >> 33) as usize % 300_000 };
        let contents = random_bytes(n as u64, size);
        std::fs::write(server.dir().join(format!("f{n}")), &contents).unwrap();
        expected.push(Some(sha256(&contents)));
    }
    let urls: Vec<_> = (0..1010).map(|n| server.url(format!("f{n}"))).collect();
    let client = anonymous();
    let mut many = client.get_many(&urls).await.unwrap();
    let (mut right, mut missing, mut next) = (0, 0, 0);
    while let Some(mut file) = many.next_file().await.unwrap() {
        let index = file.index();
        assert_eq!(index, next, "files come in the order of their URLs");
        next += 1;
        match (file.bytes().await, &expected[index]) {
            (Ok(contents), Some(hash)) => {
                assert_eq!(sha256(&contents), *hash, "file {index}");
                right += 1;
            }
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                assert_eq!(error.url().unwrap().to_string(), urls[index]);
                missing += 1;
            }
            (got, _) => panic!("file {index}: {got:?}"),
        }
    }
    assert_eq!((right, missing), (1000, 10));
    assert_eq!(client.metrics().sessions_open, 1, "{:?}", client.metrics());
}

#[tokio::test]
async fn files_can_be_added_while_a_pipeline_runs_and_after_it_was_empty() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let name = |n: usize| server.dir().join(format!("pushed{n}"));
    for n in 0..300 {
        std::fs::write(name(n), format!("contents of {n}")).unwrap();
    }
    let mut many = client.get_many([server.url(name(0))]).await.unwrap();
    let (mut pushed, mut seen) = (1, 0);
    while pushed < 300 || seen < 300 {
        for _ in 0..(seen % 7) {
            if pushed < 300 {
                many.push(server.url(name(pushed))).unwrap();
                pushed += 1;
            }
        }
        match many.next_file().await.unwrap() {
            Some(mut file) => {
                assert_eq!(file.index(), seen);
                assert_eq!(file.bytes().await.unwrap(), format!("contents of {seen}"));
                seen += 1;
            }
            // Empty for now.
            None => {
                assert_eq!(seen, pushed);
                many.push(server.url(name(pushed))).unwrap();
                pushed += 1;
            }
        }
    }
    assert_eq!(many.push("ftp://other.example/f").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(client.metrics().logins <= 1, "{:?}", client.metrics());
}

/// What a server was asked for, without the login.
fn asked(server: &Ftpd) -> Vec<String> {
    let login = ["USER", "PASS", "FEAT", "TYPE", "SITE", "QUIT"];
    let words = server.heard().into_iter().map(|line| line.split(' ').next().unwrap().to_owned());
    words.filter(|word| !login.contains(&&**word)).collect()
}

/// The first file is asked for together with the data channels. Where there are none that is what failed, and not the file,
/// whatever the server says to that.
#[tokio::test]
async fn without_data_channels_no_file_is_to_blame() {
    const GRIDFTP: &[&str] = &["PARALLEL", "ERET", "SIZE"];
    const PLAIN: &[&str] = &["SIZE", "MLST Type*;"];
    let to_retr = ["425 no data connection", "550 no such file", "150 now\r\n426 nobody is there"];
    for ((verb, kind), features) in [("PORT", ErrorKind::Refused), ("MODE", ErrorKind::Unsupported)]
        .into_iter()
        .flat_map(|refused| [(refused, GRIDFTP), (refused, PLAIN)])
    {
        for says in to_retr {
            let server = Ftpd::start(features, move |line| match line.split(' ').next().unwrap() {
                word if word == verb && line != "MODE S" => Answer::Reply("500 I will not".into()),
                "PORT" | "OPTS" => Answer::Reply("200 yes".into()),
                "SIZE" => Answer::Reply("213 7".into()),
                "RETR" => Answer::Reply(says.into()),
                _ => Answer::Usual,
            })
            .await;
            let client = anonymous();
            let mut many = client.get_many([server.url("a"), server.url("b")]).await.unwrap();
            let error = many.next_file().await.unwrap_err();
            let what = format!("{verb} {says} {error}");
            assert_eq!((error.kind(), error.phase()), (kind, Phase::DataSetup), "{what}");
            assert!(error.reply().is_some_and(|reply| reply.code() == 500), "{what}");
            // A server that is not known for GridFTP is not asked for a file before it has answered.
            let expected: &[&str] = match features == GRIDFTP {
                true => &["MODE", "OPTS", "PORT", "SIZE", "RETR"],
                false => &["MODE", "OPTS", "PORT"],
            };
            assert_eq!(asked(&server), expected, "{what}");
        }
    }
}

#[tokio::test]
async fn a_first_file_that_is_refused_does_not_touch_the_others() {
    let server = Server::anonymous().start();
    for n in 1..5 {
        std::fs::write(server.dir().join(format!("f{n}")), format!("contents of {n}")).unwrap();
    }
    std::fs::create_dir(server.dir().join("f0")).unwrap();
    // Missing, a folder, and files.
    let names = ["missing", "f0", "f1", "f2", "f3", "f4"];
    for first in [0, 1] {
        let client = anonymous();
        let mut many = client.get_many(names[first..].iter().map(|name| server.url(name))).await.unwrap();
        let mut results = Vec::new();
        while let Some(mut file) = many.next_file().await.unwrap() {
            let (index, url) = (file.index(), file.url().to_string());
            assert_eq!(url, server.url(names[first + index]));
            results.push(file.bytes().await);
        }
        assert_eq!(results.len(), names.len() - first);
        for (name, result) in names[first..].iter().zip(results) {
            match result {
                Ok(contents) => assert_eq!(contents, format!("contents of {}", &name[1..])),
                Err(error) => {
                    assert!(["missing", "f0"].contains(name), "{name}: {error}");
                    // A folder is accepted before it turns out to be none of its files.
                    let phase = if *name == "f0" { Phase::Data } else { Phase::Command };
                    assert_eq!(error.phase(), phase, "{name}: {error}");
                    assert_eq!(error.url().unwrap().to_string(), server.url(name));
                }
            }
        }
        // The session has gone on all the while.
        assert_eq!(client.metrics().connects, 1, "{:?}", client.metrics());
    }
}
