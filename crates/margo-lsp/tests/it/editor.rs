//! The other end of the conversation.

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lsp_server::{Connection, Message, Notification, Request, Response, ResponseError};
use margo_lsp::{LanguageServer, ServeError};
use serde_json::{Value, json};

/// Long enough for a slow machine; a server that never answers fails the test.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Editor {
    connection: Connection,
    serving: JoinHandle<Result<(), ServeError>>,
    asked: i32,
    version: i32,
    /// How often findings were shown while answers were waited for.
    pub(crate) published: usize,
}

impl Editor {
    pub(crate) fn start(server: LanguageServer, capabilities: &Value) -> Self {
        let (ours, connection) = Connection::memory();
        let serving = thread::spawn(move || server.serve(&ours));
        let mut editor = Self { connection, serving, asked: 0, version: 0, published: 0 };
        editor.ask("initialize", json!({ "capabilities": capabilities })).unwrap();
        editor.tell("initialized", json!({}));
        editor
    }

    pub(crate) fn tell(&self, method: &str, params: Value) {
        self.connection.sender.send(Notification::new(method.to_owned(), params).into()).unwrap();
    }

    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Result<Value, ResponseError> {
        self.asked += 1;
        let request = Request::new(self.asked.into(), method.to_owned(), params);
        self.connection.sender.send(request.into()).unwrap();
        loop {
            match self.connection.receiver.recv_timeout(PATIENCE).unwrap() {
                Message::Response(response) => return response.response_result,
                Message::Notification(_) => {}
                Message::Request(request) => panic!("the server asks for {request:?}"),
            }
        }
    }

    /// Asks several things at once, without waiting; the answers by the number of the request.
    pub(crate) fn ask_all(&mut self, messages: Vec<Message>, answers: usize) -> BTreeMap<String, Response> {
        for message in messages {
            self.connection.sender.send(message).unwrap();
        }
        let mut answered = BTreeMap::new();
        while answered.len() < answers {
            match self.connection.receiver.recv_timeout(PATIENCE).unwrap() {
                Message::Response(response) => drop(answered.insert(response.id.to_string(), response)),
                Message::Notification(shown) => {
                    self.published += usize::from(shown.method.ends_with("Diagnostics"));
                }
                Message::Request(request) => panic!("the server asks for {request:?}"),
            }
        }
        answered
    }

    pub(crate) fn ask_at(&mut self, method: &str, uri: &str, line: u32, character: u32) -> Value {
        let position = json!({ "line": line, "character": character });
        self.ask(method, json!({ "textDocument": { "uri": uri }, "position": position })).unwrap()
    }

    pub(crate) fn fixes(&mut self, uri: &str, range: &Value) -> Value {
        let params =
            json!({ "textDocument": { "uri": uri }, "range": range, "context": { "diagnostics": [] } });
        self.ask("textDocument/codeAction", params).unwrap()
    }

    /// Opens a text; what is shown of it.
    pub(crate) fn open(&mut self, uri: &str, text: &str) -> Vec<Value> {
        let item = json!({ "uri": uri, "languageId": "yaml", "version": 0, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": item }));
        self.shown(uri)
    }

    pub(crate) fn change(&mut self, uri: &str, text: &str) -> Vec<Value> {
        self.version += 1;
        let document = json!({ "uri": uri, "version": self.version });
        let changes = json!([{ "text": text }]);
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": changes }));
        self.shown(uri)
    }

    pub(crate) fn close(&mut self, uri: &str) -> Vec<Value> {
        self.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
        self.shown(uri)
    }

    /// What the server shows of a text next.
    fn shown(&self, uri: &str) -> Vec<Value> {
        loop {
            let Message::Notification(shown) = self.connection.receiver.recv_timeout(PATIENCE).unwrap()
            else {
                panic!("an answer to nothing");
            };
            assert_eq!(shown.method, "textDocument/publishDiagnostics");
            if shown.params["uri"] == uri {
                return serde_json::from_value(shown.params["diagnostics"].clone()).unwrap();
            }
        }
    }

    pub(crate) fn stop(mut self) {
        self.ask("shutdown", Value::Null).unwrap();
        self.tell("exit", Value::Null);
        self.serving.join().unwrap().unwrap();
    }

    pub(crate) fn vanish(self) -> ServeError {
        drop(self.connection);
        self.serving.join().unwrap().unwrap_err()
    }
}
