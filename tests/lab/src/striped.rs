//! Striped servers: a front end that owns the control channel, and data nodes that move the bytes.

use std::ffi::OsString;

use crate::server::{Builder, Login, Server};
use crate::{Error, Result};

impl Builder {
    /// Makes it a striped server: this one is the front end, and `nodes` data nodes are started with it.
    ///
    /// The nodes have the front end's login, environment and log level, but not its further arguments.
    pub fn striped(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Further arguments of the data nodes.
    pub fn node_args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.node_args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Starts the data nodes, and makes the front end's arguments name them.
    pub(crate) fn start_nodes(&mut self) -> Result<Vec<Server>> {
        if self.is_node {
            // Without -si the front end and its nodes do not check each other: they are on loopback, and ours.
            self.args.extend(["-dn", "-no-si", "-ipc-allow-from", "127."].map(Into::into));
            if self.login == Login::Gsi {
                // The front end has authorised the user; a node without GSI cannot.
                self.args.extend(["-auth-level", "0"].map(Into::into));
            }
            return Ok(Vec::new());
        }
        if self.nodes == 0 {
            return Ok(Vec::new());
        }
        let nodes = (0..self.nodes).map(|_| self.node().try_start()).collect::<Result<Vec<_>, Error>>()?;
        let contacts: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        self.args.extend(["-r".into(), contacts.join(",").into()]);
        if self.login == Login::Gsi {
            self.args.extend(["-no-si", "-ipc-auth-mode", "none"].map(Into::into));
        }
        Ok(nodes)
    }
}

impl Server {
    /// The data nodes of a striped server.
    pub fn nodes(&self) -> &[Self] {
        &self.nodes
    }

    /// Bytes that the server's processes have read and written so far, files and connections together.
    ///
    /// The kernel adds a process that ended to the one it was started by, so this never falls.
    pub fn io_bytes(&self) -> u64 {
        self.processes().into_iter().map(process_io_bytes).sum()
    }
}

/// `rchar` and `wchar` of `proc(5)`; nothing for a process that has just ended.
fn process_io_bytes(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    field("rchar:").unwrap_or(0) + field("wchar:").unwrap_or(0)
}
