//! A server that says what a test wants it to say.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What it answers to a command, if it has an answer of its own; with what was said before.
pub(crate) type Answer = fn(line: &str, before: &[String]) -> Option<String>;

/// The server, which lives as long as the test.
pub(crate) struct Fake {
    port: u16,
    said: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// `listing` is what it sends on data connections.
    pub(crate) fn start(listing: &'static [u8], answer: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = Arc::clone(&said);
        std::thread::spawn(move || {
            for control in listener.incoming() {
                let (control, all) = (control.unwrap(), Arc::clone(&all));
                // A client that goes away ends its own conversation only.
                std::thread::spawn(move || drop(converse(control, listing, answer, &all)));
            }
        });
        Self { port, said }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ftp://127.0.0.1:{}/{path}", self.port)
    }

    /// The commands that begin so, of all conversations.
    pub(crate) fn said(&self, verb: &str) -> Vec<String> {
        self.said.lock().unwrap().iter().filter(|line| line.starts_with(verb)).cloned().collect()
    }
}

fn converse(
    mut control: TcpStream,
    listing: &[u8],
    answer: Answer,
    all: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let commands = BufReader::new(control.try_clone()?);
    let (mut data, mut stored) = (None, 0);
    control.write_all(b"220 ready\r\n")?;
    for line in commands.lines() {
        let line = line?;
        let own = {
            let mut all = all.lock().unwrap();
            let own = answer(&line, &all);
            all.push(line.clone());
            own
        };
        let verb = line.split(' ').next().unwrap_or_default();
        let reply = match (own, verb) {
            (Some(own), _) => own,
            (None, "USER") => "331 say it".into(),
            (None, "PASS") => "230 in".into(),
            (None, "FEAT") => "211-these\r\n SIZE\r\n MLST Type*;Size*;\r\n211 end".into(),
            (None, "SIZE") => format!("213 {stored}"),
            (None, "EPSV") => "500 unknown".into(),
            (None, "PASV") => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let port = listener.local_addr()?.port();
                data = Some(listener);
                format!("227 here (127,0,0,1,{},{})", port >> 8, port & 255)
            }
            (None, "MLSD" | "RETR" | "STOR") => {
                let Some((mut stream, _)) = data.take().map(|data| data.accept()).transpose()? else {
                    return Ok(());
                };
                control.write_all(b"150 now\r\n")?;
                if verb == "STOR" {
                    let mut contents = Vec::new();
                    stored = stream.read_to_end(&mut contents)?;
                } else {
                    stream.write_all(listing)?;
                }
                "226 done".into()
            }
            (None, "RNFR") => "350 go on".into(),
            (None, _) => "250 as you like".into(),
        };
        control.write_all(reply.as_bytes())?;
        control.write_all(b"\r\n")?;
    }
    Ok(())
}
