//! The part of a Kubernetes API that Helm uses to keep releases and config maps. No controller runs behind it, so that
//! nothing here shows how a pod behaves.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::protobuf::object;

type Answer = Response<Body>;

#[derive(Clone, Default)]
pub(crate) struct Cluster(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By path, such as `/api/v1/namespaces/plant/secrets/x`.
    objects: BTreeMap<String, Value>,
    version: u64,
    writes: usize,
    is_slow: bool,
}

impl Cluster {
    /// Starts the API, and writes the file that leads there.
    pub(crate) async fn start(kubeconfig: &Path) -> Self {
        let cluster = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        write_kubeconfig(kubeconfig, listener.local_addr().unwrap());
        let this = cluster.clone();
        let router = Router::new().fallback(move |request: Request| {
            let this = this.clone();
            async move { this.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        cluster
    }

    /// Kinds, namespaces and names of everything but Helm's own.
    pub(crate) fn config_maps(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state
            .objects
            .keys()
            .filter_map(|path| path.split_once("/configmaps/").map(|(_, name)| name.to_owned()))
            .collect()
    }

    pub(crate) fn config_map(&self, namespace: &str, name: &str) -> Option<Value> {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
        self.0.lock().unwrap().objects.get(&path).map(|object| object["data"].clone())
    }

    /// How often anything was written since the last time.
    pub(crate) fn writes(&self) -> usize {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    /// Lets config maps take as long as they like.
    pub(crate) fn stall(&self, is_slow: bool) {
        self.0.lock().unwrap().is_slow = is_slow;
    }

    async fn answer(&self, request: Request) -> Answer {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 8 << 20).await.unwrap();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let is_stalled = path.contains("/configmaps") && parts.method != Method::GET;
        if is_stalled && self.0.lock().unwrap().is_slow {
            std::future::pending::<()>().await;
        }
        let mut state = self.0.lock().unwrap();
        match parts.method {
            Method::GET => state.get(&path, &query),
            Method::DELETE => match state.objects.remove(&path) {
                Some(object) => {
                    state.writes += 1;
                    reply(StatusCode::OK, &object)
                }
                None => missing(&path),
            },
            Method::POST => {
                let object = object(&body);
                let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
                if state.objects.contains_key(&path) {
                    return status(
                        StatusCode::CONFLICT,
                        "AlreadyExists",
                        &format!("\"{path}\" already exists"),
                    );
                }
                state.put(&path, object)
            }
            Method::PUT => state.put(&path, object(&body)),
            Method::PATCH => state.patch(&path, &body),
            other => panic!("{other} {path}"),
        }
    }
}

impl State {
    fn get(&self, path: &str, query: &str) -> Answer {
        let api = |kind: &str, more: Value| {
            let mut object = json!({"kind": kind, "apiVersion": "v1"});
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            reply(StatusCode::OK, &object)
        };
        let resource = |name: &str, kind: &str, namespaced: bool| {
            let verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
            json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": verbs})
        };
        match path {
            "/version" => {
                reply(StatusCode::OK, &json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0"}))
            }
            "/api" => api("APIVersions", json!({"versions": ["v1"]})),
            "/apis" => api("APIGroupList", json!({"groups": []})),
            "/api/v1" => {
                let resources = [
                    resource("namespaces", "Namespace", false),
                    resource("secrets", "Secret", true),
                    resource("configmaps", "ConfigMap", true),
                ];
                api("APIResourceList", json!({"groupVersion": "v1", "resources": resources}))
            }
            "/openapi/v3" => reply(
                StatusCode::OK,
                &json!({"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}}}),
            ),
            // That the server checks fields by itself.
            "/openapi/v3/api/v1" => {
                let patch = |kind: &str| {
                    let of = json!({"group": "", "version": "v1", "kind": kind});
                    let parameter = json!({"name": "fieldValidation", "in": "query"});
                    json!({"patch": {"parameters": [parameter], "x-kubernetes-group-version-kind": of}})
                };
                let paths = json!({
                    "/api/v1/namespaces/{name}": patch("Namespace"),
                    "/api/v1/namespaces/{namespace}/configmaps/{name}": patch("ConfigMap"),
                });
                let info = json!({"title": "test", "version": "1"});
                reply(StatusCode::OK, &json!({"openapi": "3.0.0", "info": info, "paths": paths}))
            }
            _ if self.objects.contains_key(path) => reply(StatusCode::OK, &self.objects[path]),
            _ if query.contains("sendInitialEvents") => {
                status(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "not supported")
            }
            _ if query.contains("watch=") => {
                let silence = Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
                Response::builder().header("content-type", "application/json").body(silence).unwrap()
            }
            _ => self.list(path, query),
        }
    }

    fn list(&self, path: &str, query: &str) -> Answer {
        let kinds = [("secrets", "SecretList"), ("configmaps", "ConfigMapList")];
        let Some((plural, kind)) =
            kinds.into_iter().find(|(plural, _)| path.ends_with(&format!("/{plural}")))
        else {
            return missing(path);
        };
        let namespace = path.strip_suffix(plural).unwrap();
        let selector = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("labelSelector="))
            .unwrap_or_default()
            .replace("%2C", ",")
            .replace("%3D", "=")
            .replace("%2F", "/");
        let is_selected = |object: &Value| {
            let labels = &object["metadata"]["labels"];
            selector
                .split(',')
                .filter_map(|one| one.split_once('='))
                .all(|(name, value)| labels[name] == value)
        };
        let items: Vec<_> = self
            .objects
            .iter()
            .filter(|(path, object)| {
                let is_there = namespace == "/api/v1/" || path.starts_with(namespace);
                is_there && path.contains(&format!("/{plural}/")) && is_selected(object)
            })
            .map(|(_, object)| object)
            .collect();
        let metadata = json!({"resourceVersion": self.version.to_string()});
        reply(
            StatusCode::OK,
            &json!({"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items}),
        )
    }

    fn put(&mut self, path: &str, mut object: Value) -> Answer {
        if object["data"]["fail"] == "yes" && path.contains("/configmaps/") {
            return status(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "this one is not wanted");
        }
        self.version += 1;
        self.writes += 1;
        let before = self.objects.get(path);
        let uid =
            before.map_or_else(|| json!(format!("uid-{}", self.version)), |b| b["metadata"]["uid"].clone());
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("uid".to_owned(), uid);
        metadata.insert("resourceVersion".to_owned(), json!(self.version.to_string()));
        metadata.insert("creationTimestamp".to_owned(), json!("2026-01-01T00:00:00Z"));
        if let Some(namespace) =
            path.strip_prefix("/api/v1/namespaces/").and_then(|rest| rest.split_once('/'))
        {
            metadata.insert("namespace".to_owned(), json!(namespace.0));
        }
        let created = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        self.objects.insert(path.to_owned(), object.clone());
        reply(created, &object)
    }

    /// Applying and merging come to the same where nobody else writes.
    fn patch(&mut self, path: &str, body: &Bytes) -> Answer {
        let patch: Value =
            margo_syntax::parse(body, margo_syntax::Format::Yaml, &margo_syntax::Limits::default())
                .unwrap()
                .to_value();
        let mut object = self.objects.get(path).cloned().unwrap_or_else(|| Value::Object(Map::new()));
        if patch.get("kind").is_some() {
            object["data"] = Value::Null;
        }
        merge(&mut object, &patch);
        self.put(path, object)
    }
}

fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (name, value) in members {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut object[name.as_str()], value);
        }
    }
}

fn reply(status: StatusCode, object: &Value) -> Answer {
    let body = Body::from(object.to_string());
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

fn missing(path: &str) -> Answer {
    status(StatusCode::NOT_FOUND, "NotFound", &format!("\"{path}\" not found"))
}

fn status(code: StatusCode, reason: &str, message: &str) -> Answer {
    let object = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "reason": reason, "message": message, "code": code.as_u16(),
    });
    reply(code, &object)
}

fn write_kubeconfig(path: &Path, address: SocketAddr) {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": format!("http://{address}")}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": {}}],
    });
    std::fs::write(path, config.to_string()).unwrap();
}
