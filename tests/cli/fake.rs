//! Servers that are not what they should be.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

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
    /// What it says of a file that is asked about.
    pub(crate) facts: &'static str,
    /// It says instead that it is a file of the announced size.
    pub(crate) is_file: bool,
}

impl Default for Lie {
    fn default() -> Self {
        Self {
            announced: 1000,
            moved: 1000,
            last: "226 done",
            facts: "550 No such file or directory",
            is_file: false,
        }
    }
}

/// An FTP server that lies about its one file, and lives as long as the test.
pub(crate) fn lying(lie: Lie) -> String {
    serve(move |control| converse(control, lie))
}

/// A GridFTP server whose extended blocks come last to first; in stream mode it is well-behaved.
pub(crate) fn backwards(contents: Vec<u8>) -> String {
    let contents = Arc::new(contents);
    serve(move |control| converse_backwards(control, &contents))
}

fn serve(talk: impl Fn(TcpStream) -> std::io::Result<()> + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for control in listener.incoming() {
            let (control, talk) = (control.unwrap(), talk.clone());
            // A client that goes away ends its own conversation only.
            std::thread::spawn(move || drop(talk(control)));
        }
    });
    format!("ftp://127.0.0.1:{port}/file")
}

/// What every server says.
fn usual(verb: &str) -> &'static str {
    match verb {
        "USER" => "331 say it",
        "PASS" => "230 in",
        "RNFR" | "REST" => "350 go on",
        "CWD" => "550 I would rather not say",
        _ => "250 as you like",
    }
}

fn passive(data: &mut Option<TcpListener>) -> std::io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    *data = Some(listener);
    Ok(format!("227 here (127,0,0,1,{},{})", port >> 8, port & 255))
}

fn converse(mut control: TcpStream, lie: Lie) -> std::io::Result<()> {
    let commands = BufReader::new(control.try_clone()?);
    let mut data = None;
    control.write_all(b"220 ready\r\n")?;
    for line in commands.lines() {
        let line = line?;
        let verb = line.split(' ').next().unwrap_or_default();
        let reply = match verb {
            "FEAT" => "211-these\r\n SIZE\r\n REST STREAM\r\n MLST Type*;Size*;\r\n211 end".to_owned(),
            "SIZE" => format!("213 {}", lie.announced),
            "PASV" => passive(&mut data)?,
            "MLST" if lie.is_file => {
                format!("250-facts\r\n Type=file;Size={}; /file\r\n250 end", lie.announced)
            }
            "MLST" => lie.facts.to_owned(),
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
                lie.last.to_owned()
            }
            _ => usual(verb).to_owned(),
        };
        control.write_all(reply.as_bytes())?;
        control.write_all(b"\r\n")?;
    }
    Ok(())
}

/// Bytes of a block that goes backwards.
const BLOCK: usize = 256 * 1024;

fn converse_backwards(mut control: TcpStream, contents: &[u8]) -> std::io::Result<()> {
    let commands = BufReader::new(control.try_clone()?);
    let (mut passive_data, mut active, mut begin) = (None, None, 0);
    control.write_all(b"220 ready\r\n")?;
    for line in commands.lines() {
        let line = line?;
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let reply = match verb {
            "FEAT" => "211-these\r\n SIZE\r\n REST STREAM\r\n PARALLEL\r\n211 end".to_owned(),
            "SIZE" => format!("213 {}", contents.len()),
            "PASV" => passive(&mut passive_data)?,
            "PORT" => {
                let numbers: Vec<u16> = argument.split(',').filter_map(|text| text.parse().ok()).collect();
                active = Some(numbers[4] << 8 | numbers[5]);
                "200 there".to_owned()
            }
            "REST" => {
                begin = argument.parse().unwrap_or(0);
                "350 from there".to_owned()
            }
            "RETR" => {
                control.write_all(b"150 now\r\n")?;
                let sent = match (active.take(), passive_data.take()) {
                    (Some(port), _) => {
                        send_backwards(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?, contents)
                    }
                    (None, Some(listener)) => listener.accept()?.0.write_all(&contents[begin..]),
                    (None, None) => return Ok(()),
                };
                if sent.is_ok() { "226 done".to_owned() } else { "426 you went away".to_owned() }
            }
            _ => usual(verb).to_owned(),
        };
        control.write_all(reply.as_bytes())?;
        control.write_all(b"\r\n")?;
    }
    Ok(())
}

/// Extended blocks (GFD.20 §3): a byte of flags, the count and the offset in eight bytes each, and the data.
fn send_backwards(mut stream: TcpStream, contents: &[u8]) -> std::io::Result<()> {
    const END_OF_DATA: u8 = 0x08;
    const CONNECTIONS: u8 = 0x40;
    let header = |flags: u8, count: usize, offset: usize| {
        let numbers = [count, offset].map(|number| u64::try_from(number).unwrap().to_be_bytes());
        [&[flags][..], &numbers[0], &numbers[1]].concat()
    };
    for (number, block) in contents.chunks(BLOCK).enumerate().rev() {
        stream.write_all(&header(0, block.len(), number * BLOCK))?;
        stream.write_all(block)?;
    }
    // One connection was all.
    stream.write_all(&header(CONNECTIONS, 0, 1))?;
    stream.write_all(&header(END_OF_DATA, 0, 0))
}
