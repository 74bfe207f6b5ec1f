use std::fmt;

/// What went wrong with a test broker, and what to do about it, in words.
///
/// Nobody branches on the cause: a broker that does not start ends the run, so one text is enough.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Error {
        Error(message.into())
    }

    /// An I/O error together with what was being done.
    pub(crate) fn io(doing: impl fmt::Display, error: &std::io::Error) -> Error {
        Error(format!("{doing}: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
