//! A TLS stream that remembers why the server closed it. Changes nothing that passes through.

use rustls::AlertDescription;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The alert by which the server refused our certificate, if it last did.
#[derive(Debug, Default)]
pub(super) struct Refusal(AtomicU16);

/// Above every alert: they are one byte.
const SET: u16 = 0x100;

impl Refusal {
    pub(super) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(super) fn alert(&self) -> Option<AlertDescription> {
        let value = self.0.load(Ordering::Relaxed).checked_sub(SET)?;
        u8::try_from(value).ok().map(AlertDescription::from)
    }

    fn note(&self, error: &io::Error) {
        use AlertDescription as Alert;
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        if let Some(rustls::Error::AlertReceived(alert)) = cause
            && matches!(
                alert,
                Alert::AccessDenied
                    | Alert::BadCertificate
                    | Alert::CertificateExpired
                    | Alert::CertificateRequired
                    | Alert::CertificateRevoked
                    | Alert::CertificateUnknown
                    | Alert::DecryptError
                    | Alert::UnknownCA
                    | Alert::UnsupportedCertificate
            )
        {
            self.0
                .store(SET + u16::from(u8::from(*alert)), Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
pub(super) struct Watched {
    stream: TlsStream<TcpStream>,
    refusal: std::sync::Arc<Refusal>,
}

impl Watched {
    pub(super) const fn new(
        stream: TlsStream<TcpStream>,
        refusal: std::sync::Arc<Refusal>,
    ) -> Self {
        Self { stream, refusal }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        Poll::Ready(read.inspect_err(|error| self.refusal.note(error)))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
