//! Readers and writers as bad as their contracts allow.

use std::io::{self, ErrorKind, Read, Write};

/// Gives or takes an odd few bytes at a time, and is interrupted every third call.
pub(crate) struct Rough<T> {
    pub(crate) inner: T,
    calls: usize,
    pub(crate) interrupted: usize,
}

impl<T> Rough<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner,
            calls: 0,
            interrupted: 0,
        }
    }

    fn share(&mut self, len: usize) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            self.interrupted += 1;
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(len.min([1, 5000, 16383, 17, 40000][self.calls % 5]))
    }
}

impl<T: Read> Read for Rough<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.share(buf.len())?;
        self.inner.read(&mut buf[..len])
    }
}

impl<T: Write> Write for Rough<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = self.share(buf.len())?;
        self.inner.write(&buf[..len])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Gives `left` bytes of `inner`, then fails once as a timeout would, then goes on.
pub(crate) struct FailsOnce<T> {
    pub(crate) inner: T,
    pub(crate) left: Option<usize>,
}

impl<T: Read> Read for FailsOnce<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(left) = &mut self.left else {
            return self.inner.read(buf);
        };
        if *left == 0 {
            self.left = None;
            return Err(ErrorKind::TimedOut.into());
        }
        let len = buf.len().min(*left);
        let len = self.inner.read(&mut buf[..len])?;
        *left -= len;
        Ok(len)
    }
}
