//! What the library reports by `tracing`: a file that it had to leave incomplete is not lost if somebody was told.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Everything that was reported as a warning, or worse, by this process.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(Arc<Mutex<Vec<u8>>>);

impl Told {
    /// Begins to listen; once in a process.
    pub(super) fn listen() -> Self {
        let told = Self::default();
        let writer = told.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        told
    }

    /// Whether a warning names this file.
    pub(super) fn mentions(&self, name: &str) -> bool {
        let name = name.split(' ').next().unwrap_or(name);
        self.text().lines().any(|line| line.contains(name))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Told {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
