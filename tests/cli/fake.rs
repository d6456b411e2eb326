//! Servers that are not what they should be.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// A listener that nobody answers on. Connections are taken by the kernel, and that is all.
pub(crate) fn mute() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("ftp://127.0.0.1:{}/file", listener.local_addr().unwrap().port());
    (listener, url)
}

/// What a lying server does with a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lie {
    /// The size it announces.
    pub(crate) announced: usize,
    /// The bytes it sends, or keeps of what it is sent.
    pub(crate) moved: usize,
    /// The end of the story.
    pub(crate) last: &'static str,
}

/// An FTP server of one thread that lies about its one file, and lives as long as the test.
pub(crate) fn lying(lie: Lie) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for control in listener.incoming() {
            let control = control.unwrap();
            // A client that goes away ends its own conversation only.
            std::thread::spawn(move || drop(converse(control, lie)));
        }
    });
    format!("ftp://127.0.0.1:{port}/file")
}

fn converse(mut control: TcpStream, lie: Lie) -> std::io::Result<()> {
    let commands = BufReader::new(control.try_clone()?);
    let mut data = None;
    control.write_all(b"220 ready\r\n")?;
    for line in commands.lines() {
        let line = line?;
        let verb = line.split(' ').next().unwrap_or_default();
        let reply = match verb {
            "USER" => "331 say it".to_owned(),
            "PASS" => "230 in".to_owned(),
            "FEAT" => "211-these\r\n SIZE\r\n REST STREAM\r\n MLST Type*;Size*;\r\n211 end".to_owned(),
            "SIZE" => format!("213 {}", lie.announced),
            "MLST" => "550 No such file or directory".to_owned(),
            "RNFR" => "350 to what".to_owned(),
            "PASV" => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let port = listener.local_addr()?.port();
                data = Some(listener);
                format!("227 here (127,0,0,1,{},{})", port >> 8, port & 255)
            }
            "RETR" | "STOR" => {
                let Some((mut stream, _)) = data.take().map(|listener| listener.accept()).transpose()? else {
                    return Ok(());
                };
                control.write_all(b"150 now\r\n")?;
                if verb == "RETR" {
                    stream.write_all(&vec![7; lie.moved])?;
                } else {
                    std::io::copy(&mut stream, &mut std::io::sink())?;
                }
                drop(stream);
                lie.last.to_owned()
            }
            _ => "250 as you like".to_owned(),
        };
        control.write_all(reply.as_bytes())?;
        control.write_all(b"\r\n")?;
    }
    Ok(())
}
