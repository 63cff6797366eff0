//! Charts, and a registry in this process that has them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode, Uri};
use margo_core::Digest;
use serde_json::json;

const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// By path: media type and bytes.
type Content = BTreeMap<String, (String, Vec<u8>)>;

#[derive(Clone, Default)]
pub(crate) struct Registry {
    host: String,
    content: Arc<Mutex<Content>>,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Self { host: listener.local_addr().unwrap().to_string(), ..Self::default() };
        let content = Arc::clone(&registry.content);
        let router = Router::new().fallback(move |uri: Uri| {
            let found = content.lock().unwrap().get(uri.path()).cloned();
            let answer = match found {
                Some((media_type, bytes)) => {
                    Response::builder().header("content-type", media_type).body(Body::from(bytes))
                }
                None => Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()),
            };
            async { answer.unwrap() }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        registry
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Makes a chart of one version available.
    pub(crate) fn push(&self, version: &str, chart: Vec<u8>) {
        let (layer, config) = (Digest::of(&chart), b"{}".to_vec());
        let manifest = json!({
            "schemaVersion": 2,
            "config": {"mediaType": CONFIG, "digest": Digest::of(&config), "size": config.len()},
            "layers": [{"mediaType": CONTENT, "digest": layer, "size": chart.len()}],
        });
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        let mut content = self.content.lock().unwrap();
        content.insert(
            format!("/v2/charts/pump/manifests/{version}"),
            (media_type, manifest.to_string().into()),
        );
        content.insert(format!("/v2/charts/pump/blobs/{layer}"), ("application/octet-stream".into(), chart));
    }
}

/// A chart with one config map that holds its values, and whatever else is given.
pub(crate) fn chart(version: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let metadata = format!("apiVersion: v2\nname: pump\nversion: {version}\n");
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  \
                    version: {{ .Chart.Version | quote }}\n  mode: {{ .Values.mode | quote }}\n  \
                    second: {{ index .Values.servers 1 \"port\" | quote }}\n  \
                    role: {{ index .Values.labels \"plant.example/role\" | quote }}\n  \
                    fail: {{ .Values.fail | quote }}\n";
    let mut files = vec![
        ("pump/Chart.yaml", metadata.as_str()),
        ("pump/values.yaml", "mode: none\nfail: \"no\"\n"),
        ("pump/templates/values.yaml", template),
    ];
    files.extend(more);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&archive.into_inner().unwrap()).unwrap();
    encoder.finish().unwrap()
}
