//! Striped servers: a front end that owns the control channel, and data nodes that move the bytes.

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
