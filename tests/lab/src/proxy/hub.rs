//! The proxy's thread: it listens, connects, and moves bytes for all connections.

use std::io::{self, PipeReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::relay::{End, Relay};
use super::{Passed, Shared, Way, Where, lock};

/// Listeners for data that a control connection may have: older ones are closed.
const MOST_DOORS: usize = 64;

/// How long a connection to the other side may take; both are on this machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Hub {
    stop: PipeReader,
    server: SocketAddr,
    control: TcpListener,
    doors: Vec<Door>,
    relays: Vec<(Relay, usize)>,
    controls: usize,
    datas: usize,
    shared: Arc<Mutex<Shared>>,
}

/// A listener for data connections.
#[derive(Debug)]
struct Door {
    listener: TcpListener,
    /// Who was told of it.
    guest: End,
    /// Where the other one listens.
    target: SocketAddr,
    /// The control connection that it belongs to.
    owner: Where,
}

impl Hub {
    pub(super) fn new(
        control: TcpListener,
        server: SocketAddr,
        stop: PipeReader,
        shared: Arc<Mutex<Shared>>,
    ) -> io::Result<Self> {
        control.set_nonblocking(true)?;
        Ok(Self {
            stop,
            server,
            control,
            doors: Vec::new(),
            relays: Vec::new(),
            controls: 0,
            datas: 0,
            shared,
        })
    }

    /// Works until the other end of the pipe is closed.
    pub(super) fn run(mut self) {
        while self.wait() {
            self.accept();
            self.step();
        }
    }

    /// Waits until something can be done. False when it is over.
    fn wait(&self) -> bool {
        let now = Instant::now();
        let mut fds = vec![PollFd::new(&self.stop, PollFlags::IN), PollFd::new(&self.control, PollFlags::IN)];
        fds.extend(self.doors.iter().map(|door| PollFd::new(&door.listener, PollFlags::IN)));
        for (relay, _) in &self.relays {
            for end in [End::Client, End::Server] {
                if let Some((fd, flags)) = relay.interest(end, now) {
                    fds.push(PollFd::from_borrowed_fd(fd, flags));
                }
            }
        }
        let wakes = self.relays.iter().filter_map(|(relay, _)| relay.wakes(now)).min();
        // A millisecond more, so that the time has come when poll() says so.
        let timeout = wakes.map(|time| time.saturating_duration_since(now) + Duration::from_millis(1));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => fds[0].revents().is_empty(),
            Err(error) => error == rustix::io::Errno::INTR,
        }
    }

    fn accept(&mut self) {
        while let Ok((client, _)) = self.control.accept() {
            let connection = Where::Control(self.controls);
            self.controls += 1;
            if let Ok(server) = TcpStream::connect_timeout(&self.server, CONNECT_LIMIT) {
                self.join(connection, client, server);
            }
        }
        let mut guests = Vec::new();
        for door in &self.doors {
            while let Ok((guest, _)) = door.listener.accept() {
                guests.push((guest, door.guest, door.target));
            }
        }
        for (guest, end, target) in guests {
            let connection = Where::Data(self.datas);
            self.datas += 1;
            let Ok(host) = TcpStream::connect_timeout(&target, CONNECT_LIMIT) else { continue };
            match end {
                End::Client => self.join(connection, guest, host),
                End::Server => self.join(connection, host, guest),
            }
        }
    }

    fn join(&mut self, connection: Where, client: TcpStream, server: TcpStream) {
        let mut shared = lock(&self.shared);
        if let Ok(relay) = Relay::new(connection, client, server, &shared.faults) {
            self.relays.push((relay, shared.passed.len()));
            shared.passed.push(Passed { connection, to_server: 0, to_client: 0 });
        }
    }

    fn step(&mut self) {
        // Held while bytes move: whoever has received some finds them counted.
        let mut shared = lock(&self.shared);
        for (relay, _) in &mut self.relays {
            let owner = relay.connection;
            let doors = &mut self.doors;
            relay.step(&mut |way, target| open_door(doors, owner, way, target));
        }
        for (relay, at) in &mut self.relays {
            shared.struck += std::mem::take(&mut relay.struck);
            if let Some(passed) = shared.passed.get_mut(*at) {
                passed.to_server = relay.passed(Way::ToServer);
                passed.to_client = relay.passed(Way::ToClient);
            }
        }
        let doors = &mut self.doors;
        self.relays.retain(|(relay, _)| {
            if relay.is_over() {
                doors.retain(|door| door.owner != relay.connection);
            }
            !relay.is_over()
        });
        shared.open = self.relays.len();
    }
}

/// Listens in the place of somebody who told where he listens.
fn open_door(
    doors: &mut Vec<Door>,
    owner: Where,
    told_to: Way,
    target: SocketAddr,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((target.ip(), 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let guest = match told_to {
        Way::ToServer => End::Server,
        Way::ToClient => End::Client,
    };
    doors.push(Door { listener, guest, target, owner });
    if doors.iter().filter(|door| door.owner == owner).count() > MOST_DOORS
        && let Some(oldest) = doors.iter().position(|door| door.owner == owner)
    {
        doors.remove(oldest);
    }
    Ok(address)
}
