//! A client's socket as hyper sees it: every byte counted, every wait noted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use crate::http::activity::Activity;
use crate::http::app::App;

/// The socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    app: Arc<App>,
    activity: Arc<Activity>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, app: Arc<App>, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            app,
            activity,
        }
    }

    /// Ends the conversation so that the client can still read the last answer: says that nothing more comes, then
    /// takes and throws away what is on the way, up to `limit` bytes. Closing at once would reset the connection, and
    /// the reset may overtake the answer.
    pub(crate) async fn linger(&mut self, limit: u64) -> io::Result<()> {
        self.shutdown().await?;
        let mut buffer = [0; 4096];
        let mut left = limit;
        while left > 0 {
            let count = self.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            left = left.saturating_sub(count as u64);
        }
        Ok(())
    }

    fn note_written(&self, poll: &Poll<io::Result<usize>>) {
        match poll {
            Poll::Ready(Ok(count)) => {
                self.app.telemetry.web.transmitted_bytes.add(*count as u64);
                self.activity.sent(self.app.clock.now());
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.write_blocked(self.app.clock.now()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut socket.stream).poll_read(context, buffer))?;
        let count = buffer.filled().len() - before;
        if count > 0 {
            socket.app.telemetry.web.received_bytes.add(count as u64);
            socket.activity.received(socket.app.clock.now());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let poll = Pin::new(&mut socket.stream).poll_write(context, bytes);
        socket.note_written(&poll);
        poll
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        ready!(Pin::new(&mut socket.stream).poll_flush(context))?;
        // hyper flushes when it has written all it has, and with it the whole answer: answers are complete before they
        // are sent.
        socket.activity.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let poll = Pin::new(&mut socket.stream).poll_write_vectored(context, slices);
        socket.note_written(&poll);
        poll
    }
}
