use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::crowd::Place;

/// The body of a request took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body took too long")]
#[non_exhaustive]
pub struct BodyTimeout;

/// The body of a request, which has `limit` from now on to arrive. Once it is all there, the connection is busy: before
/// that, whoever sends it drop by drop keeps nobody out. `is_unread` says whether it was given up before.
pub(super) fn timed(
    body: Incoming,
    limit: Duration,
    place: &Arc<Place>,
    is_unread: &Arc<AtomicBool>,
) -> Body {
    is_unread.store(false, Ordering::Relaxed);
    if body.is_end_stream() {
        place.busy();
        return Body::empty();
    }
    let (place, is_unread) = (Arc::clone(place), Arc::clone(is_unread));
    let deadline = Instant::now() + limit;
    Body::new(Timed { body, place, is_unread, has_ended: false, deadline, alarm: None })
}

struct Timed {
    body: Incoming,
    place: Arc<Place>,
    is_unread: Arc<AtomicBool>,
    has_ended: bool,
    deadline: Instant,
    /// Most bodies are here at once and need none.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let deadline = self.deadline;
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            if frame.is_none() || self.body.is_end_stream() {
                self.has_ended = true;
                self.place.busy();
            } else if Instant::now() >= deadline {
                // Drop by drop, a body would arrive for ever.
                return Poll::Ready(Some(Err(BodyTimeout.into())));
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        alarm.as_mut().poll(context).map(|()| Some(Err(BodyTimeout.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.is_unread.store(!self.has_ended, Ordering::Relaxed);
    }
}

/// The body of an answer; when it is gone, the connection waits again.
pub(super) fn until_sent(body: Body, place: Arc<Place>) -> Answered {
    Answered { body, _busy: Busy(place) }
}

pub(super) struct Answered {
    body: Body,
    _busy: Busy,
}

struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle();
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
