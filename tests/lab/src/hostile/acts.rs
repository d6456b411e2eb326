//! Misdeeds on the control channel.

use std::io;

use super::play::{Act, Step};
use super::session::Session;
use super::{close_in_order, over, reset};

/// Bytes that mean nothing: reproducible, with all values, control characters and line ends among them.
pub(super) fn noise(length: usize) -> Vec<u8> {
    crate::random_bytes(4711, length)
}

impl Session<'_> {
    /// Says what is usual at a step, or does what the play has in its place.
    ///
    /// # Errors
    /// When this ends the connection.
    pub(super) fn say(&mut self, step: Step, path: Option<&[u8]>, usual: &str) -> io::Result<()> {
        match self.stage.rules.take(step, self.number, path) {
            None => self.write(format!("{usual}\r\n").as_bytes()),
            Some(act) => self.perform(act, usual),
        }
    }

    pub(super) fn perform(&mut self, act: Act, usual: &str) -> io::Result<()> {
        let usual = format!("{usual}\r\n").into_bytes();
        match act {
            Act::Silence => Err(self.hold()),
            Act::Close | Act::CloseControl => {
                close_in_order(&self.control);
                Err(over())
            }
            Act::Reset | Act::ResetControl => {
                reset(&self.control);
                Err(over())
            }
            Act::Reply(bytes) | Act::Wire(bytes) => self.write(&bytes),
            Act::Before(bytes) | Act::Insert(bytes) => {
                self.write(&bytes)?;
                self.write(&usual)
            }
            Act::After(bytes) => self.write(&[usual, bytes].concat()),
            Act::ReplyThenClose(bytes) | Act::WireThenClose(bytes) => {
                self.write(&bytes)?;
                close_in_order(&self.control);
                Err(over())
            }
            Act::Nothing | Act::NoEnd | Act::End | Act::Wires(_) => Ok(()),
            Act::Half => {
                self.write(&usual[..usual.len() / 2])?;
                Err(self.hold())
            }
            Act::Noise => self.write(&noise(1024)),
            Act::Endless => self.for_ever(&[b'2'; 16384]),
            Act::EndlessLines => {
                let code = String::from_utf8_lossy(&usual[..3.min(usual.len())]).into_owned();
                let line = format!("{code}-and so on, and so on, and so on\r\n");
                self.for_ever(line.repeat(200).as_bytes())
            }
            Act::Delay(time) => {
                self.stage.pause(time)?;
                self.write(&usual)
            }
            Act::Drip(time) => {
                for byte in usual {
                    self.write(&[byte])?;
                    self.stage.pause(time)?;
                }
                Ok(())
            }
        }
    }

    fn for_ever(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            self.write(bytes)?;
        }
    }
}
