//! The engine's own interface, on its Unix socket: for what is asked often, without a process for each question.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;

use crate::process::{CallError, MOST_OUTPUT};

/// The engine on a Unix socket.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    socket: PathBuf,
}

/// What the engine tells as it happens.
#[derive(Debug)]
pub(crate) struct Frames(Incoming);

#[derive(Deserialize)]
struct Problem {
    message: String,
}

impl Api {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// The answer to a question, as JSON; `None` when what was asked for is not there.
    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: Duration,
    ) -> Result<Option<Bytes>, CallError> {
        let program = self.name();
        let answer = tokio::time::timeout(limit, self.whole(path, query)).await;
        let (status, body) = answer.unwrap_or(Err(CallError::TimeLimit { program, limit }))?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if status.is_success() {
            return Ok(Some(body));
        }
        let problem = serde_json::from_slice::<Problem>(&body).map(|problem| problem.message);
        let errors = problem.unwrap_or_else(|_| status.to_string());
        Err(CallError::Failed { program: self.name(), errors })
    }

    /// What happens from now on.
    pub(crate) async fn stream(&self, path: &str, query: &[(&str, &str)]) -> Result<Frames, CallError> {
        let answer = self.answer(path, query).await?;
        if answer.status().is_success() {
            return Ok(Frames(answer.into_body()));
        }
        Err(CallError::Failed { program: self.name(), errors: answer.status().to_string() })
    }

    async fn whole(&self, path: &str, query: &[(&str, &str)]) -> Result<(StatusCode, Bytes), CallError> {
        let answer = self.answer(path, query).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST_OUTPUT).collect().await;
        let body = body.map_err(|cause| CallError::NoAnswer { program: self.name(), cause })?;
        Ok((status, body.to_bytes()))
    }

    async fn answer(&self, path: &str, query: &[(&str, &str)]) -> Result<Response<Incoming>, CallError> {
        let lost = |cause| CallError::NoAnswer { program: self.name(), cause };
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| lost(error.into()))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| lost(error.into()))?;
        // It ends with the answer, or when nobody waits for that any more.
        tokio::spawn(connection);
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let request = Request::get(format!("{path}?{query}")).header(HOST, "engine");
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| lost(error.into()))?;
        sender.send_request(request).await.map_err(|error| lost(error.into()))
    }

    fn name(&self) -> String {
        self.socket.display().to_string()
    }
}

impl Frames {
    /// Whether there was another.
    pub(crate) async fn next(&mut self) -> bool {
        matches!(self.0.frame().await, Some(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// An engine that gives this answer to everybody.
    fn engine(folder: &Path, answer: &str) -> Api {
        let socket = folder.join("engine.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let answer = answer.to_owned();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Api::new(&socket)
    }

    #[tokio::test]
    async fn an_answer_is_an_answer_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let ask = async |answer: &str| engine(folder.path(), answer).get("/x", &[("a", "b c")], LONG).await;
        let found = ask("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
        assert_eq!(found.as_deref(), Some(b"{}".as_slice()));
        assert_eq!(ask("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.unwrap(), None);
        let problem = "{\"message\":\"no space left on device\"}";
        let text = format!("HTTP/1.1 500 No\r\nContent-Length: {}\r\n\r\n{problem}", problem.len());
        assert_eq!(ask(&text).await.unwrap_err().said(), "no space left on device");
        // It goes away in the middle.
        let error = ask("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{}").await.unwrap_err();
        assert!(matches!(error, CallError::NoAnswer { .. }), "{error}");
        assert!(matches!(ask("").await.unwrap_err(), CallError::NoAnswer { .. }));
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(MOST_OUTPUT + 1));
        assert!(matches!(ask(&endless).await.unwrap_err(), CallError::NoAnswer { .. }));
    }

    #[tokio::test]
    async fn an_engine_that_is_silent_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("engine.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let limit = Duration::from_millis(50);
        let error = Api::new(&socket).get("/x", &[], limit).await.unwrap_err();
        assert!(matches!(error, CallError::TimeLimit { .. }), "{error}");
        let error = Api::new(&folder.path().join("none")).get("/x", &[], limit).await.unwrap_err();
        assert!(matches!(error, CallError::NoAnswer { .. }), "{error}");
    }
}
