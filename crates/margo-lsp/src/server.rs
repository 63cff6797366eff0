//! The conversation with the editor.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::Path;

use gen_lsp_types as lsp;
use lsp::{Notification as _, Request as _};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use margo_validate::{Diagnostic, Fix, Label, Options, Severity};
use serde_json::Value;

use crate::completion;
use crate::cursor::Cursor;
use crate::hover;
use crate::place::Encoding;
use crate::workspace::{Folder, Text, folder_of};

/// A language server for Margo documents.
///
/// One serves one editor at a time: [`serve`](Self::serve) returns when the editor says good-bye.
pub struct LanguageServer {
    options: Box<OptionsByPath>,
}

type OptionsByPath = dyn Fn(Option<&Path>) -> Options + Send;

impl LanguageServer {
    /// A server that checks with the [default options](Options::default).
    #[must_use]
    pub fn new() -> Self {
        Self { options: Box::new(|_| Options::default()) }
    }

    /// The same server, which asks `options` how a document is checked, every time it checks. It is given the path of
    /// the document, or of one of several that are checked together; none for one that is no file.
    #[must_use]
    pub fn with_options(mut self, options: impl Fn(Option<&Path>) -> Options + Send + 'static) -> Self {
        self.options = Box::new(options);
        self
    }

    /// Serves the editor on standard input and output, until it says good-bye.
    ///
    /// # Errors
    ///
    /// The editor does not speak the protocol, or went away without a word.
    pub fn serve_stdio(&self) -> Result<(), ServeError> {
        let (connection, threads) = Connection::stdio();
        let served = self.serve(&connection);
        // The threads end when their channels do.
        drop(connection);
        served.and(threads.join().map_err(|cause| ServeError { cause: Box::new(cause) }))
    }

    /// Serves the editor at the other end of `connection`, until it says good-bye.
    ///
    /// # Errors
    ///
    /// The editor does not speak the protocol, or went away without a word.
    pub fn serve(&self, connection: &Connection) -> Result<(), ServeError> {
        let (id, params) = connection.initialize_start()?;
        let offered = params.pointer("/capabilities/general/positionEncodings").cloned().unwrap_or_default();
        let offered: Vec<lsp::PositionEncodingKind> = serde_json::from_value(offered).unwrap_or_default();
        let encoding = Encoding::among(&offered);
        let result = lsp::InitializeResult {
            capabilities: capabilities(encoding),
            server_info: Some(lsp::ServerInfo {
                name: "margo".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        };
        connection.initialize_finish(id, serde_json::to_value(result).map_err(ServeError::of)?)?;
        let mut session = Session {
            server: self,
            connection,
            encoding,
            folders: BTreeMap::new(),
            changed: BTreeSet::new(),
        };
        let mut waiting = VecDeque::new();
        while let Ok(message) = waiting.pop_front().map_or_else(|| connection.receiver.recv(), Ok) {
            // What came meanwhile may take this back, or make it pointless.
            waiting.extend(connection.receiver.try_iter());
            match message {
                Message::Request(request) => {
                    if is_canceled(&request.id, &waiting) {
                        let why = "it was taken back".to_owned();
                        session.send(Response::new_err(
                            request.id,
                            ErrorCode::RequestCanceled as i32,
                            why,
                        ))?;
                        continue;
                    }
                    session.check_changed()?;
                    if request.method == "shutdown" {
                        session.send(Response::new_ok(request.id, ()))?;
                        let is_exit = |message: &Message| matches!(message, Message::Notification(it) if it.method == "exit");
                        // Nothing else is answered any more.
                        let said_goodbye =
                            waiting.iter().any(is_exit) || connection.receiver.iter().any(|it| is_exit(&it));
                        return if said_goodbye { Ok(()) } else { Err(ServeError::of(VANISHED)) };
                    }
                    session.answer(request)?;
                }
                Message::Notification(notification) => session.hear(notification)?,
                // Nothing is ever asked of the editor.
                Message::Response(_) => {}
            }
            if waiting.is_empty() {
                session.check_changed()?;
            }
        }
        Err(ServeError::of(VANISHED))
    }
}

impl Default for LanguageServer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LanguageServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LanguageServer").finish_non_exhaustive()
    }
}

/// The conversation with the editor ended other than by a good-bye.
#[derive(Debug, thiserror::Error)]
#[error("the conversation with the editor broke off")]
pub struct ServeError {
    #[source]
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl ServeError {
    fn of(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: cause.into() }
    }
}

impl From<lsp_server::ProtocolError> for ServeError {
    fn from(error: lsp_server::ProtocolError) -> Self {
        Self::of(error)
    }
}

fn capabilities(encoding: Encoding) -> lsp::ServerCapabilities {
    lsp::ServerCapabilities {
        position_encoding: Some(encoding.kind()),
        text_document_sync: Some(
            lsp::TextDocumentSyncOptions {
                open_close: Some(true),
                change: Some(lsp::TextDocumentSyncKind::Full),
                ..lsp::TextDocumentSyncOptions::default()
            }
            .into(),
        ),
        hover_provider: Some(true.into()),
        completion_provider: Some(lsp::CompletionOptions {
            trigger_characters: Some([" ", "\"", "-", "{", ","].map(str::to_owned).to_vec()),
            ..lsp::CompletionOptions::default()
        }),
        code_action_provider: Some(
            lsp::CodeActionOptions {
                code_action_kinds: Some(vec![lsp::CodeActionKind::QuickFix]),
                ..lsp::CodeActionOptions::default()
            }
            .into(),
        ),
        ..lsp::ServerCapabilities::default()
    }
}

const VANISHED: &str = "the editor went away without a word";

/// Whether a request is taken back by one of the messages behind it.
fn is_canceled(id: &RequestId, waiting: &VecDeque<Message>) -> bool {
    waiting.iter().any(|message| match message {
        Message::Notification(Notification { method, params }) if method == "$/cancelRequest" => {
            serde_json::from_value::<RequestId>(params["id"].clone()).is_ok_and(|canceled| canceled == *id)
        }
        _ => false,
    })
}

struct Session<'a> {
    server: &'a LanguageServer,
    connection: &'a Connection,
    encoding: Encoding,
    /// What is open, by the address of its folder.
    folders: BTreeMap<String, Folder>,
    /// The folders that are to be checked.
    changed: BTreeSet<String>,
}

/// Findings of one text that are shown; editors slow down with more.
const MOST: usize = 1_000;

impl Session<'_> {
    fn answer(&mut self, Request { id, method, params }: Request) -> Result<(), ServeError> {
        match method.as_str() {
            it if it == lsp::HoverRequest::METHOD.as_str() => {
                self.reply::<lsp::HoverRequest>(id, params, |session, params| session.hover(&params))
            }
            it if it == lsp::CompletionRequest::METHOD.as_str() => {
                self.reply::<lsp::CompletionRequest>(id, params, |session, params| session.complete(&params))
            }
            it if it == lsp::CodeActionRequest::METHOD.as_str() => {
                self.reply::<lsp::CodeActionRequest>(id, params, |session, params| session.fixes(&params))
            }
            _ => {
                let message = format!("`{method}` is not served");
                self.send(Response::new_err(id, ErrorCode::MethodNotFound as i32, message))
            }
        }
    }

    fn reply<R: lsp::Request>(
        &self,
        id: RequestId,
        params: Value,
        answer: impl FnOnce(&Self, R::Params) -> R::Result,
    ) -> Result<(), ServeError> {
        self.send(match serde_json::from_value(params) {
            Ok(params) => Response::new_ok(id, answer(self, params)),
            Err(error) => Response::new_err(id, ErrorCode::InvalidParams as i32, error.to_string()),
        })
    }

    fn hear(&mut self, Notification { method, params }: Notification) -> Result<(), ServeError> {
        // What cannot be read is not answered: the protocol has no answer to a notification.
        let touched = match method.as_str() {
            it if it == lsp::DidOpenTextDocumentNotification::METHOD.as_str() => {
                serde_json::from_value(params).ok().map(|params| self.open(params))
            }
            it if it == lsp::DidChangeTextDocumentNotification::METHOD.as_str() => {
                serde_json::from_value(params).ok().and_then(|params| self.change(params))
            }
            it if it == lsp::DidCloseTextDocumentNotification::METHOD.as_str() => {
                match serde_json::from_value(params) {
                    Ok(params) => self.close(params)?,
                    Err(_) => None,
                }
            }
            _ => None,
        };
        self.changed.extend(touched);
        Ok(())
    }

    /// Checks what changed: once, however many changes there were.
    fn check_changed(&mut self) -> Result<(), ServeError> {
        while let Some(folder) = self.changed.pop_first() {
            self.check(&folder)?;
        }
        Ok(())
    }

    fn open(
        &mut self,
        lsp::DidOpenTextDocumentParams { text_document }: lsp::DidOpenTextDocumentParams,
    ) -> String {
        let lsp::TextDocumentItem { uri, language_id, version, text } = text_document;
        let folder = folder_of(&uri);
        let text = Text::new(uri, version, Some(&language_id), text);
        self.folders.entry(folder.clone()).or_default().put(text);
        folder
    }

    fn change(&mut self, params: lsp::DidChangeTextDocumentParams) -> Option<String> {
        let lsp::VersionedTextDocumentIdentifier { version, text_document_identifier } = params.text_document;
        let uri = text_document_identifier.uri;
        let folder = folder_of(&uri);
        let text = self.folders.get_mut(&folder)?.get_mut(&uri)?;
        let whole = params.content_changes.into_iter().rev().find_map(|change| match change {
            lsp::TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                Some(whole.text)
            }
            // Parts were not asked for.
            lsp::TextDocumentContentChangeEvent::TextDocumentContentChangePartial(_) => None,
        })?;
        text.rewrite(version, whole);
        Some(folder)
    }

    fn close(&mut self, params: lsp::DidCloseTextDocumentParams) -> Result<Option<String>, ServeError> {
        let uri = params.text_document.uri;
        let name = folder_of(&uri);
        let Some(folder) = self.folders.get_mut(&name) else { return Ok(None) };
        if folder.remove(&uri).is_none() {
            return Ok(None);
        }
        let is_empty = folder.is_empty();
        if is_empty {
            self.folders.remove(&name);
        }
        // What is no longer open has nothing to show.
        self.publish(lsp::PublishDiagnosticsParams { uri, version: None, diagnostics: Vec::new() })?;
        Ok((!is_empty).then_some(name))
    }

    /// Checks what is open of a folder, and shows what is found.
    fn check(&mut self, name: &str) -> Result<(), ServeError> {
        let Some(folder) = self.folders.get_mut(name) else { return Ok(()) };
        let path = folder.texts().find_map(Text::path);
        folder.check((self.server.options)(path.as_deref()));
        let folder = &self.folders[name];
        for (index, text) in folder.texts().enumerate() {
            let found = folder.report().diagnostics().iter().filter(|found| found.primary.source == index);
            let diagnostics = found.take(MOST).map(|found| self.diagnostic(folder, text, found)).collect();
            let (uri, version) = (text.uri.clone(), Some(text.version));
            self.publish(lsp::PublishDiagnosticsParams { uri, version, diagnostics })?;
        }
        Ok(())
    }

    fn diagnostic(&self, folder: &Folder, text: &Text, found: &Diagnostic) -> lsp::Diagnostic {
        let mut message = found.message.clone();
        if !found.primary.message.is_empty() {
            message.push_str(": ");
            message.push_str(&found.primary.message);
        }
        if let Some(help) = &found.help {
            message.push_str("\nhelp: ");
            message.push_str(help);
        }
        let severity = match found.severity {
            Severity::Error => lsp::DiagnosticSeverity::Error,
            Severity::Warning => lsp::DiagnosticSeverity::Warning,
        };
        let related = found.related.iter().filter_map(|label| self.related(folder, label)).collect();
        lsp::Diagnostic {
            range: self.range(text, &found.primary),
            severity: Some(severity),
            code: Some(found.rule.name.to_owned().into()),
            code_description: found.clause.url().parse().ok().map(|href| lsp::CodeDescription { href }),
            source: Some("margo".to_owned()),
            message: message.into(),
            tags: None,
            related_information: Some(related),
            data: None,
        }
    }

    fn related(&self, folder: &Folder, label: &Label) -> Option<lsp::DiagnosticRelatedInformation> {
        let text = folder.text(label.source)?;
        let location = lsp::Location { uri: text.uri.clone(), range: self.range(text, label) };
        Some(lsp::DiagnosticRelatedInformation { location, message: label.message.clone() })
    }

    fn range(&self, text: &Text, label: &Label) -> lsp::Range {
        self.encoding.range(&text.source, label.span.as_ref().unwrap_or(&(0..0)))
    }

    fn hover(&self, params: &lsp::HoverParams) -> Option<lsp::Hover> {
        let at = &params.text_document_position_params;
        let (folder, index, text) = self.text(&at.text_document.uri)?;
        let offset = self.encoding.offset(&text.source, at.position);
        let pointed = hover::pointed(&text.trees(), offset);
        let schema = text.schema(offset, &self.options(text));
        let found = folder.report().diagnostics().iter().filter(|found| {
            let touches = |span: &std::ops::Range<usize>| span.start <= offset && offset <= span.end;
            found.primary.source == index && found.primary.span.as_ref().is_some_and(touches)
        });
        let value = hover::explain(schema.as_ref().zip(pointed.as_ref()), found)?;
        Some(lsp::Hover {
            contents: lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value }.into(),
            range: pointed.map(|pointed| self.encoding.range(&text.source, &pointed.span)),
        })
    }

    fn complete(&self, params: &lsp::CompletionParams) -> Option<lsp::CompletionResponse> {
        let at = &params.text_document_position_params;
        let (_, _, text) = self.text(&at.text_document.uri)?;
        let offset = self.encoding.offset(&text.source, at.position);
        let format = text.source.format();
        let cursor = Cursor::at(text.source.text(), offset, format)?;
        let schema = text.schema(offset, &self.options(text))?;
        let range = self.encoding.range(&text.source, &cursor.typed);
        let items =
            completion::proposals(&schema, &cursor, format).into_iter().map(|it| lsp::CompletionItem {
                sort_text: Some(format!("{}{}", it.rank, it.label)),
                label: it.label,
                kind: Some(it.kind),
                detail: Some(it.detail).filter(|detail| !detail.is_empty()),
                documentation: it.documentation.map(Into::into),
                text_edit: Some(lsp::TextEdit { range, new_text: it.insert }.into()),
                ..lsp::CompletionItem::default()
            });
        Some(lsp::CompletionResponse::CompletionItemList(items.collect()))
    }

    fn fixes(&self, params: &lsp::CodeActionParams) -> Option<Vec<lsp::CodeActionResponse>> {
        let is_wanted = |kinds: &Vec<lsp::CodeActionKind>| {
            kinds.iter().any(|kind| matches!(kind.as_str(), "" | "quickfix"))
        };
        if !params.context.only.as_ref().is_none_or(is_wanted) {
            return Some(Vec::new());
        }
        let (folder, index, text) = self.text(&params.text_document.uri)?;
        let [from, to] =
            [params.range.start, params.range.end].map(|at| self.encoding.offset(&text.source, at));
        let found = folder.report().diagnostics().iter().filter(|found| {
            let touches = |span: &std::ops::Range<usize>| span.start <= to && from <= span.end;
            found.primary.source == index && found.primary.span.as_ref().is_some_and(touches)
        });
        let fixes = found.filter_map(|found| {
            let fix = found.fix.as_ref()?;
            let action = lsp::CodeAction {
                title: fix.title.clone(),
                kind: Some(lsp::CodeActionKind::QuickFix),
                diagnostics: Some(vec![self.diagnostic(folder, text, found)]),
                is_preferred: Some(true),
                edit: Some(self.edit(folder, fix)),
                ..lsp::CodeAction::default()
            };
            Some(lsp::CodeActionResponse::CodeAction(action))
        });
        Some(fixes.collect())
    }

    fn edit(&self, folder: &Folder, fix: &Fix) -> lsp::WorkspaceEdit {
        let mut changes: BTreeMap<usize, Vec<lsp::TextEdit>> = BTreeMap::new();
        for edit in &fix.edits {
            if let Some(text) = folder.text(edit.source) {
                let range = self.encoding.range(&text.source, &edit.range);
                let new_text = edit.replacement.clone();
                changes.entry(edit.source).or_default().push(lsp::TextEdit { range, new_text });
            }
        }
        let of = |(index, edits)| folder.text(index).map(|text| (text.uri.clone(), edits));
        lsp::WorkspaceEdit {
            changes: Some(changes.into_iter().filter_map(of).collect()),
            ..lsp::WorkspaceEdit::default()
        }
    }

    fn text(&self, uri: &lsp::Uri) -> Option<(&Folder, usize, &Text)> {
        let folder = self.folders.get(&folder_of(uri))?;
        let (index, text) = folder.get(uri)?;
        Some((folder, index, text))
    }

    fn options(&self, text: &Text) -> Options {
        (self.server.options)(text.path().as_deref())
    }

    fn publish(&self, params: lsp::PublishDiagnosticsParams) -> Result<(), ServeError> {
        let method = lsp::PublishDiagnosticsNotification::METHOD.as_str().to_owned();
        self.send(Notification::new(method, params))
    }

    fn send(&self, message: impl Into<Message>) -> Result<(), ServeError> {
        self.connection.sender.send(message.into()).map_err(|_| ServeError::of(VANISHED))
    }
}
