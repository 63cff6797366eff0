//! `margo lsp` as an editor meets it: a process, its standard input and output.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

struct Editor {
    server: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Editor {
    fn start(folder: &Path) -> Self {
        let mut server = Command::new(env!("CARGO_BIN_EXE_margo"))
            .args(["lsp", "--stdio"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
        Self { server, to, from: BufReader::new(from) }
    }

    fn say(&mut self, mut message: Value) {
        message["jsonrpc"] = json!("2.0");
        let text = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        self.to.flush().unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "the server went away");
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", text)) => length = text.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut text = vec![0; length];
        self.from.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// The next message that `is_wanted`.
    fn await_message(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.hear();
            if is_wanted(&message) {
                return message;
            }
        }
    }
}

#[test]
fn an_editor_is_served_over_standard_input_and_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("plc-7.yaml");
    fs::write(path.with_file_name("margo.toml"), "[rules]\nmalformed-device-id = \"warn\"\n").unwrap();
    let uri = url::Url::from_file_path(&path).unwrap();
    let text = "properties: { id: plc 7, vendor: a, modelNumber: b, serialNumber: c }\n";

    let mut editor = Editor::start(folder.path());
    editor.say(json!({"id": 1, "method": "initialize", "params": {"capabilities": {}, "processId": null, "rootUri": null}}));
    let answer = editor.await_message(|message| message["id"] == 1);
    assert_eq!(answer["result"]["serverInfo"]["name"], "margo");
    editor.say(json!({"method": "initialized", "params": {}}));
    let document = json!({"uri": uri, "languageId": "yaml", "version": 1, "text": text});
    editor.say(json!({"method": "textDocument/didOpen", "params": {"textDocument": document}}));
    let told = editor.await_message(|message| message["method"] == "textDocument/publishDiagnostics");
    let found = &told["params"]["diagnostics"][0];
    assert_eq!(
        (&found["code"], &found["range"]["start"]["character"]),
        (&json!("malformed-device-id"), &json!(18))
    );
    // `margo.toml` holds here too: 2 is a warning.
    assert_eq!(found["severity"], 2, "{found:#}");

    editor.say(json!({"id": 2, "method": "shutdown"}));
    editor.await_message(|message| message["id"] == 2);
    editor.say(json!({"method": "exit"}));
    assert_eq!(editor.server.wait().unwrap().code(), Some(0));
}
