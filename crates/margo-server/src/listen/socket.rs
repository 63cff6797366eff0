use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long what nobody wants to know is still received at the end of a connection, and how much of it: 1 s, 1 MiB.
const LINGER: Duration = Duration::from_secs(1);
const MAX_LINGER: usize = 1 << 20;

/// The socket of a connection. It fails when its other end takes nothing of what is written for a while; and it ends so
/// that the last answer can be read, though the request was refused before all of it was here: a socket that is closed with
/// something unread is reset, and what was on its way to the other end may be lost (RFC 9112, 9.6).
pub(super) struct Socket<S> {
    stream: S,
    stall: Duration,
    /// Most writes are taken at once and need none.
    alarm: Option<Pin<Box<Sleep>>>,
    is_unread: Arc<AtomicBool>,
    lingering: Option<Lingering>,
}

struct Lingering {
    until: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S> Socket<S> {
    /// The other end has to take something every `stall`. `is_unread` says whether a request was left in the middle.
    pub(super) fn new(stream: S, stall: Duration, is_unread: Arc<AtomicBool>) -> Self {
        Self { stream, stall, alarm: None, is_unread, lingering: None }
    }

    fn judge<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.alarm = None;
            return written;
        }
        let stall = self.stall;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        alarm.as_mut().poll(context).map(|()| {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the other end does not take what it is sent"))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            let shut = Pin::new(&mut this.stream).poll_shutdown(context);
            ready!(this.judge(shut, context))?;
            if !this.is_unread.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let lingering = this
            .lingering
            .get_or_insert_with(|| Lingering { until: Box::pin(tokio::time::sleep(LINGER)), bytes: 0 });
        let mut nowhere = [0; 4096];
        while lingering.bytes < MAX_LINGER && lingering.until.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut nowhere);
            // Whoever is gone can read nothing any more.
            let is_over = ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer)).is_err();
            if is_over || buffer.filled().is_empty() {
                break;
            }
            lingering.bytes += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
