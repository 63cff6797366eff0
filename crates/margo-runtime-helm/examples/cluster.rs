//! What stands in for a cluster in the tests, to try things out with: `cluster KUBECONFIG` writes the file that leads to
//! it, and serves until it is ended. It keeps releases and config maps, in memory, and runs no pod.
#![expect(clippy::unwrap_used, reason = "what is shared with the tests")]
#![expect(clippy::similar_names, reason = "`path` and `patch`, `mode` and `more`")]

use std::path::Path;

#[expect(dead_code, reason = "the tests look into it")]
#[path = "../tests/it/cluster.rs"]
mod cluster;
#[path = "../tests/it/protobuf.rs"]
mod protobuf;

#[tokio::main]
async fn main() -> Result<(), &'static str> {
    let kubeconfig = std::env::args_os().nth(1).ok_or("usage: cluster KUBECONFIG")?;
    let _cluster = cluster::Cluster::start(Path::new(&kubeconfig)).await;
    std::future::pending().await
}
