#!/usr/bin/env bash
# Runs the tests of the Helm runtime that need a real cluster, against yours: a namespace `margo-test` is made, used and
# deleted. Needs `kubectl` and a registry that both this machine and `helm push` reach without encryption.
#
#   docs/shipping/helm-on-your-cluster.sh KUBECONFIG REGISTRY
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -ne 2 ]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 2
fi
KUBECONFIG=$(realpath "$1")
export KUBECONFIG MARGO_CLUSTER="$KUBECONFIG" MARGO_REGISTRY="$2" MARGO_REQUIRE_HELM=1
cargo xtask helm
trap 'kubectl delete namespace margo-test --ignore-not-found' EXIT
kubectl get nodes
# A test that is not found is no failure for `cargo test`.
cargo test --package margo-runtime-helm --test it -- --nocapture --exact real::on_a_real_cluster |
  tee /dev/stderr | grep '^test result: ok. 1 passed' > /dev/null
