//! The way into the engine: a queue, and one byte into a pipe when the engine sleeps.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::command::Command;

/// Commands on their way to the engine thread.
#[derive(Debug)]
pub(super) struct Queue {
    /// None after the end: what is posted then is dropped.
    commands: Mutex<Option<Vec<Command>>>,
    asleep: AtomicBool,
    wake: OwnedFd,
    counters: std::sync::Arc<super::Counters>,
}

impl Queue {
    /// `wake` is the write end, not blocking, of the pipe that the engine waits on.
    pub(super) fn new(wake: OwnedFd, counters: std::sync::Arc<super::Counters>) -> Self {
        Self { commands: Mutex::new(Some(Vec::new())), asleep: AtomicBool::new(false), wake, counters }
    }

    /// Adds a command. Never blocks: callable from any thread and from `Drop`.
    pub(super) fn push(&self, command: Command) {
        if super::fork::is_child() {
            // The lock may be held by a thread that this process does not have, and the pipe is the parent's.
            return super::fork::keep(Box::new(command));
        }
        let refused = match &mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(commands) => {
                commands.push(command);
                None
            }
            None => Some(command),
        };
        // Dropped outside the lock: what a command owns may post its own release.
        if refused.is_some() {
            return;
        }
        // The engine sets `asleep` and then looks at the queue once more before it waits. So either it sees this command,
        // or this swap sees `asleep` (both sequentially consistent) and writes the byte that ends the wait.
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.counters.wakeups.add(1);
            // A full pipe holds bytes enough to wake the engine; any other failure means that it is gone.
            let _ = rustix::io::write(&self.wake, &[1]);
        }
    }

    /// All commands so far, in order.
    pub(super) fn take(&self) -> Vec<Command> {
        self.commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Announces sleep. False if there is something to do: then do not wait.
    pub(super) fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let idle =
            self.commands.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(Vec::is_empty);
        if !idle {
            self.asleep.store(false, Ordering::SeqCst);
        }
        idle
    }

    pub(super) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Refuses everything from now on; returns what was waiting, to be dropped outside the lock.
    pub(super) fn close(&self) -> Option<Vec<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
