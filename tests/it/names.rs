//! Names that are not plain ASCII.

use bytes::Bytes;
use gridftp::ErrorKind;
use gridftp_lab::{Server, sha256};

use crate::support::{anonymous, trusting, with_proxy};

/// The stock server drops bytes above 127 from an unprotected control channel: `Gr\xc3\xb6\xc3\x9fe` would become `Gre`.
#[tokio::test]
async fn a_name_that_the_server_would_change_is_refused() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("Gre"), "another file").unwrap();
    let client = anonymous();
    let url = server.url("Gr\u{f6}\u{df}e");
    for error in [
        client.get(&url).await.unwrap_err(),
        client.put(&url).await.unwrap_err(),
        client.stat(&url).await.unwrap_err(),
        client.remove_file(&url).await.unwrap_err(),
        client.rename(server.url("Gre"), &url).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("gsiftp"), "{error}");
    }
    assert_eq!(std::fs::read(server.dir().join("Gre")).unwrap(), b"another file");
    assert_eq!(std::fs::read_dir(server.dir()).unwrap().count(), 1);
}

#[test]
fn names_of_any_bytes_are_carried_over_gsi() {
    trusting("names::names_of_any_bytes_are_carried_over_gsi", |pki| async move {
        use std::os::unix::ffi::OsStrExt as _;
        let server = Server::gsi(&pki).start();
        let client = with_proxy(&pki);
        for name in
            ["Gr\u{f6}\u{df}e \u{6570}\u{636e}".as_bytes(), b"not utf-8 \xff\xfe\x80", b"a b;c=d, %41 #?"]
        {
            let path = server.dir().join(std::ffi::OsStr::from_bytes(name));
            let url = server.url(&path);
            let mut put = client.put(&url).await.unwrap();
            put.write(Bytes::copy_from_slice(name)).await.unwrap();
            put.finish().await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), name);
            let back = client.get(&url).await.unwrap().bytes().await.unwrap();
            assert_eq!(sha256(&back), sha256(name));
            assert_eq!(client.size(&url).await.unwrap(), name.len() as u64);
            client.remove_file(&url).await.unwrap();
            assert!(!path.exists());
        }
    });
}
