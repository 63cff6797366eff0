//! An editor's conversation with the server, over a connection in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot do without, fails it")]

mod editor;

use lsp_server::{Message, Notification, Request};
use margo_core::SpecVersion;
use margo_lsp::LanguageServer;
use margo_validate::Options;
use serde_json::{Value, json};

use crate::editor::Editor;

/// A deployment of 1.0.0-rc.3 whose target names a component that does not exist.
const MISSPELT: &str = "\
id: a3e2f5dc-912e-494f-8395-52cf3769bc06
metadata: { name: pump-monitor, namespace: plant, deviceId: plc-7 }
spec:
  applicationId: pump-monitor
  deploymentProfile:
    type: helm
    components:
      - name: collector
        properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
  parameters:
    größe:
      value: 60
      targets: [{ pointer: interval, components: [colector] }]
";

fn codes(diagnostics: &[Value]) -> Vec<&str> {
    diagnostics.iter().map(|found| found["code"].as_str().unwrap()).collect()
}

#[test]
fn findings_are_shown_while_the_text_changes() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let found = editor.open("file:///plant/pump.yaml", MISSPELT);
    assert_eq!(codes(&found), ["unknown-target-component"]);
    let found = &found[0];
    assert_eq!(found["range"]["start"], json!({ "line": 12, "character": 50 }));
    assert_eq!(found["range"]["end"], json!({ "line": 12, "character": 58 }));
    assert_eq!(found["severity"], 1);
    assert_eq!(found["source"], "margo");
    let href = found["codeDescription"]["href"].as_str().unwrap();
    assert!(href.starts_with("https://specification.margo.org/1.0.0-rc.3/"), "{href}");
    assert!(found["message"].as_str().unwrap().contains("`colector`"), "{found}");
    assert_eq!(found["relatedInformation"][0]["location"]["uri"], "file:///plant/pump.yaml");

    assert_eq!(
        editor.change("file:///plant/pump.yaml", &MISSPELT.replace("colector", "collector")),
        [] as [Value; 0]
    );
    let found = editor.change("file:///plant/pump.yaml", "id: [\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(editor.close("file:///plant/pump.yaml"), [] as [Value; 0]);
    editor.stop();
}

/// Editors attach the server to every YAML and JSON file.
#[test]
fn documents_of_no_known_kind_are_left_alone() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let package = "{ \"name\": \"web\", \"scripts\": { \"test\": \"true\" } }\n";
    assert_eq!(editor.open("file:///plant/package.json", package), [] as [Value; 0]);
    let workflow = "on: push\njobs: { test: { steps: [] } }\n";
    assert_eq!(editor.open("file:///plant/workflow.yaml", workflow), [] as [Value; 0]);
    let found = editor.open("file:///plant/pump.yaml", MISSPELT);
    assert_eq!(codes(&found), ["unknown-target-component"]);
    editor.stop();
}

#[test]
fn columns_are_counted_as_the_editor_counts() {
    let text = MISSPELT.replace("targets: [{ pointer: interval,", "targets: [{ pointer: größe💡,");
    for (encodings, start) in [(json!(["utf-8", "utf-16"]), 53), (json!(["utf-16"]), 49), (json!(null), 49)] {
        let offered = json!({ "general": { "positionEncodings": encodings } });
        let mut editor = Editor::start(LanguageServer::new(), &offered);
        let found = editor.open("file:///plant/pump.yaml", &text);
        assert_eq!(found[0]["range"]["start"]["character"], start, "{encodings}");
        editor.stop();
    }
}

#[test]
fn documents_of_a_folder_are_checked_together() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let deployment = MISSPELT.replace("colector", "collector");
    assert_eq!(editor.open("file:///plant/pump.yaml", &deployment), [] as [Value; 0]);
    // A status of the same deployment tells of a component that it does not have.
    let status = "\
apiVersion: deployment.margo.org/v1alpha1
kind: DeploymentStatusManifest
deploymentId: a3e2f5dc-912e-494f-8395-52cf3769bc06
adoptedManifestVersion: 1
status: { state: installed }
components:
  - { name: kollector, state: installed }
";
    let alone = editor.open("file:///elsewhere/status.yaml", status);
    let together = editor.open("file:///plant/status.yaml", status);
    assert!(together.len() > alone.len(), "alone {alone:?}, together {together:?}");
    editor.stop();
}

#[test]
fn the_pointer_on_a_member_explains_it() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    editor.open("file:///plant/pump.yaml", MISSPELT);
    let hover = editor.ask_at("textDocument/hover", "file:///plant/pump.yaml", 5, 6);
    let text = hover["contents"]["value"].as_str().unwrap();
    for part in ["**type**", "required", "`helm`", "`compose`", "1.0.0-rc.3"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(hover["range"]["start"], json!({ "line": 5, "character": 4 }));

    let hover = editor.ask_at("textDocument/hover", "file:///plant/pump.yaml", 12, 53);
    let text = hover["contents"]["value"].as_str().unwrap();
    assert!(text.contains("**unknown-target-component**") && text.contains("](https://"), "{text}");
    assert_eq!(editor.ask_at("textDocument/hover", "file:///plant/pump.yaml", 99, 0), Value::Null);
    editor.stop();
}

/// A field without a finding is explained too: what it is for, an example, and where the specification speaks of it.
#[test]
fn a_member_without_a_finding_is_explained_with_its_clause() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let uri = "file:///plant/pump.yaml";
    // Columns are counted in UTF-16: the lamp before the place takes two.
    let text = MISSPELT.replace("{ name: pump-monitor, namespace", "{ name: '💡', namespace");
    editor.open(uri, &text);
    let hover = editor.ask_at("textDocument/hover", uri, 1, 26);
    let told = hover["contents"]["value"].as_str().unwrap();
    for part in ["**namespace**: string, required", "Kubernetes namespace", "For example: `plant`"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let link = "[desired-state#applicationdeployment](https://specification.margo.org/1.0.0-rc.3/desired-state#applicationdeployment)";
    assert!(told.contains(link), "{told}");
    assert_eq!(hover["range"]["start"], json!({ "line": 1, "character": 24 }), "{hover}");
    let hover = editor.ask_at("textDocument/hover", uri, 8, 24);
    assert!(
        hover["contents"]["value"].as_str().unwrap().contains("desired-state#component-attributes"),
        "{hover}"
    );
    editor.stop();
}

#[test]
fn each_of_several_documents_in_a_text_is_what_it_is() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let uri = "file:///plant/all.yaml";
    let device = "properties: { id: plc 7, vendor: a, modelNumber: b, serialNumber: c }\n";
    // The third cannot be read, and keeps nobody from looking at the others.
    let text = [MISSPELT, "---\n", device, "---\nid: [\n"].concat();
    let found = editor.open(uri, &text);
    let rules = ["unknown-target-component", "malformed-device-id", "unreadable-text"];
    assert!(rules.iter().all(|rule| codes(&found).contains(rule)), "{found:?}");
    for (line, character, title) in [(5, 6, "ApplicationDeployment"), (14, 28, "DeviceCapabilities")] {
        let hover = editor.ask_at("textDocument/hover", uri, line, character);
        assert!(
            hover["contents"]["value"].as_str().is_some_and(|text| text.contains(title)),
            "{line}: {hover}"
        );
    }
    let unfinished = text.replace("serialNumber: c", "serialNumber: c, mem");
    editor.change(uri, &unfinished);
    let items = editor.ask_at("textDocument/completion", uri, 14, 72);
    assert!(labels(&items).contains(&"memory") && !labels(&items).contains(&"vendor"), "{items}");
    editor.stop();
}

/// Editors close the old name and open the new one.
#[test]
fn a_document_that_is_renamed_takes_its_findings_with_it() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let (old, new) = ("file:///plant/pump.yaml", "file:///plant/pumps/monitor.yaml");
    assert_eq!(editor.open(old, MISSPELT).len(), 1);
    let rename = json!({ "files": [{ "oldUri": old, "newUri": new }] });
    editor.tell("workspace/didRenameFiles", rename);
    assert_eq!(editor.close(old), [] as [Value; 0]);
    assert_eq!(codes(&editor.open(new, MISSPELT)), ["unknown-target-component"]);
    assert_eq!(editor.ask_at("textDocument/hover", old, 5, 6), Value::Null);
    assert_ne!(editor.ask_at("textDocument/hover", new, 5, 6), Value::Null);
    editor.stop();
}

/// What is taken back before its turn is not answered, and several changes at once are checked once.
#[test]
fn what_is_overtaken_is_not_worked_on() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let uri = "file:///plant/pump.yaml";
    editor.open(uri, MISSPELT);
    // Long enough to check that the rest has arrived when it is done.
    let long = |count: usize| format!("{MISSPELT}# {}\n", "margo: nothing ".repeat(count));
    let change = |version: i32| {
        let changes = json!([{ "text": long(100_000) }]);
        let document = json!({ "uri": uri, "version": version });
        let params = json!({ "textDocument": document, "contentChanges": changes });
        Message::from(Notification::new("textDocument/didChange".to_owned(), params))
    };
    let at = json!({ "textDocument": { "uri": uri }, "position": { "line": 5, "character": 6 } });
    let hover = |id: i32| Message::from(Request::new(id.into(), "textDocument/hover".to_owned(), at.clone()));
    let cancel =
        |id: i32| Message::from(Notification::new("$/cancelRequest".to_owned(), json!({ "id": id })));
    let mut messages = vec![change(1), hover(900)];
    messages.extend((2..20).map(change));
    messages.extend([hover(901), cancel(901), cancel(77), hover(902)]);
    let answered = editor.ask_all(messages, 3);
    let code = |id: &str| answered[id].response_result.as_ref().err().map(|error| error.code);
    assert_eq!((code("900"), code("901"), code("902")), (None, Some(-32800), None));
    assert!(editor.published < 19, "{}", editor.published);
    editor.stop();
}

#[test]
fn a_very_large_text_is_told_to_be_one() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let uri = "file:///plant/large.yaml";
    let found = editor.open(uri, &"# nothing\n".repeat(2_000_000));
    assert_eq!(codes(&found), ["beyond-limits"]);
    assert_eq!(editor.ask_at("textDocument/hover", uri, 1_000_000, 3), Value::Null);
    assert_eq!(editor.ask_at("textDocument/completion", uri, 1_000_000, 3), Value::Null);
    // Many findings are cut, so that the editor survives them.
    let many: String =
        (0..3_000).fold("labels:\n".to_owned(), |text, index| text + &format!("  a{index}: [{{}}]\n"));
    let device = "properties: { id: plc-7, vendor: a, modelNumber: b, serialNumber: c }\n";
    assert_eq!(editor.change(uri, &[device, &many].concat()).len(), 1_000);
    editor.stop();
}

fn labels(items: &Value) -> Vec<&str> {
    items.as_array().into_iter().flatten().map(|item| item["label"].as_str().unwrap()).collect()
}

#[test]
fn members_and_words_are_completed_in_a_text_that_is_not_finished() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let uri = "file:///plant/pump.yaml";
    editor.open(uri, MISSPELT);
    // A new line in the profile, which cannot be parsed yet.
    let unfinished = MISSPELT.replace("    components:\n", "    dev\n    components:\n");
    editor.change(uri, &unfinished);
    let items = editor.ask_at("textDocument/completion", uri, 6, 7);
    assert!(labels(&items).contains(&"deviceConstraints"), "{items}");
    assert!(!labels(&items).contains(&"components"), "what is there is not proposed again: {items}");

    editor.change(uri, &MISSPELT.replace("type: helm", "type: "));
    let items = editor.ask_at("textDocument/completion", uri, 5, 10);
    assert!(labels(&items).contains(&"helm"), "{items}");
    let helm = items.as_array().unwrap().iter().find(|item| item["label"] == "helm").unwrap();
    assert_eq!(helm["textEdit"]["newText"], "helm");
    assert_eq!(helm["textEdit"]["range"]["start"], json!({ "line": 5, "character": 10 }));
    editor.stop();
}

#[test]
fn a_text_that_was_never_whole_is_told_by_its_other_lines() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let uri = "file:///plant/pump.yaml";
    editor.open(uri, &MISSPELT.replace("    components:\n", "    dev\n    components:\n"));
    let items = editor.ask_at("textDocument/completion", uri, 6, 7);
    assert!(labels(&items).contains(&"deviceConstraints"), "{items}");
    editor.stop();
}

#[test]
fn a_fix_is_offered_where_it_is_certain() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    let uri = "file:///plant/pump.yaml";
    let text = MISSPELT.replace("type: helm", "type: Helm # a chart").replace("colector", "collector");
    let found = editor.open(uri, &text);
    assert_eq!(found.len(), 1, "{found:?}");
    let actions = editor.fixes(uri, &found[0]["range"]);
    let edits = &actions[0]["edit"]["changes"][uri];
    assert_eq!(edits[0]["newText"], "helm", "{actions}");
    let range = json!({ "start": { "line": 5, "character": 10 }, "end": { "line": 5, "character": 14 } });
    assert_eq!(edits[0]["range"], range);
    assert_eq!(actions[0]["kind"], "quickfix");
    let elsewhere = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 0, "character": 0 } });
    assert_eq!(editor.fixes(uri, &elsewhere), json!([]));
    editor.stop();
}

#[test]
fn options_are_asked_for_by_path() {
    let server = LanguageServer::new().with_options(|path| {
        let is_old = path.is_some_and(|path| path.starts_with("/old"));
        let revision = if is_old { SpecVersion::PreDraft } else { SpecVersion::V1_0_0Rc3 };
        Options::default().with_revision(revision)
    });
    let mut editor = Editor::start(server, &json!({}));
    let text = MISSPELT.replace("colector", "collector");
    assert_eq!(editor.open("file:///new/pump.yaml", &text), [] as [Value; 0]);
    assert!(!editor.open("file:///old/pump.yaml", &text).is_empty());
    editor.stop();
}

#[test]
fn nonsense_is_answered_and_survived() {
    let mut editor = Editor::start(LanguageServer::new(), &json!({}));
    assert_eq!(editor.ask("textDocument/rename", json!({})).unwrap_err().code, -32601);
    assert_eq!(editor.ask("textDocument/hover", json!({ "wrong": 1 })).unwrap_err().code, -32602);
    editor.tell("textDocument/didChange", json!({ "wrong": 1 }));
    editor.tell("textDocument/didClose", json!({ "textDocument": { "uri": "file:///never/opened.yaml" } }));
    assert_eq!(editor.ask_at("textDocument/hover", "file:///never/opened.yaml", 0, 0), Value::Null);
    let found = editor.open("untitled:Untitled-1", MISSPELT);
    assert_eq!(codes(&found), ["unknown-target-component"]);
    editor.stop();
}

#[test]
fn an_editor_that_dies_is_an_error() {
    let editor = Editor::start(LanguageServer::new(), &json!({}));
    let error = editor.vanish();
    assert_eq!(error.to_string(), "the conversation with the editor broke off");
}
