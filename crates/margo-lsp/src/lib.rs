//! A language server for Margo documents: what [`margo_validate`] finds, while one writes.
//!
//! It speaks the [Language Server Protocol] and therefore works in every editor that does. It shows findings as the
//! text changes, with the clause they rest on; explains a member where the pointer rests; completes members and the
//! words of vocabularies, for the kind and the revision the document turns out to have; and offers the fixes of
//! findings. Documents of one folder that are open together are checked together, relations included.
//!
//! # What it refuses
//!
//! It opens no file and writes none: it knows what the editor tells it, and answers with edits for the editor to
//! make. It decides nothing about documents: rules are `margo-validate`'s, members the JSON Schemas'.
//!
//! # Example
//!
//! ```
//! use std::thread;
//!
//! use lsp_server::{Connection, Message, Notification, Request};
//! use margo_lsp::LanguageServer;
//! use serde_json::json;
//!
//! // Over standard input and output it is one call: `LanguageServer::new().serve_stdio()`.
//! let (server, editor) = Connection::memory();
//! let serving = thread::spawn(move || LanguageServer::new().serve(&server));
//!
//! let ask = |id: i32, method: &str, params| {
//!     editor.sender.send(Request::new(id.into(), method.to_owned(), params).into()).unwrap();
//! };
//! let tell = |method: &str, params| {
//!     editor.sender.send(Notification::new(method.to_owned(), params).into()).unwrap();
//! };
//! ask(1, "initialize", json!({ "capabilities": {} }));
//! let Message::Response(answer) = editor.receiver.recv().unwrap() else { panic!("expected an answer") };
//! assert_eq!(answer.response_result.unwrap()["serverInfo"]["name"], "margo");
//! tell("initialized", json!({}));
//!
//! ask(2, "shutdown", json!(null));
//! editor.receiver.recv().unwrap();
//! tell("exit", json!(null));
//! serving.join().unwrap()?;
//! # Ok::<(), margo_lsp::ServeError>(())
//! ```
//!
//! # Where to go next
//!
//! [`LanguageServer::with_options`] for levels and revisions by path; the program is `margo lsp`.
//!
//! [Language Server Protocol]: https://microsoft.github.io/language-server-protocol/

mod completion;
mod cursor;
mod hover;
mod member;
mod place;
mod server;
mod workspace;

pub use server::{LanguageServer, ServeError};
