use std::collections::BTreeMap;

/// The OpenTelemetry collector of a device, of which each container is told in its environment (R-A-050).
///
/// ```
/// use margo_runtime_compose::{Collector, Protocol};
///
/// let collector = Collector::new("http://127.0.0.1:4318").with_protocol(Protocol::HttpProtobuf);
/// assert_eq!(collector.variables()["HTTP_OTEL_EXPORTER_OTLP_ENDPOINT"], "http://127.0.0.1:4318");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    http: String,
    grpc: Option<String>,
    certificate: Option<String>,
    protocol: Option<Protocol>,
}

/// How telemetry is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// `grpc`.
    Grpc,
    /// `http/protobuf`, which applications assume where nothing is said.
    HttpProtobuf,
}

impl Collector {
    /// A collector that takes OTLP over HTTP at this address, as containers reach it.
    pub fn new(http: impl Into<String>) -> Self {
        Self { http: http.into(), grpc: None, certificate: None, protocol: None }
    }

    /// It takes OTLP over gRPC as well, at this address.
    #[must_use]
    pub fn with_grpc(mut self, address: impl Into<String>) -> Self {
        self.grpc = Some(address.into());
        self
    }

    /// The authority that vouches for it is in this file, as containers see it: a path within them.
    #[must_use]
    pub fn with_certificate(mut self, path: impl Into<String>) -> Self {
        self.certificate = Some(path.into());
        self
    }

    /// Says which of the two it is that applications should use.
    #[must_use]
    pub fn with_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// The variables by which containers learn of it.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        let protocol = self.protocol.map(|protocol| match protocol {
            Protocol::Grpc => "grpc",
            Protocol::HttpProtobuf => "http/protobuf",
        });
        let all = [
            ("HTTP_OTEL_EXPORTER_OTLP_ENDPOINT", Some(self.http.as_str())),
            ("GRPC_OTEL_EXPORTER_OTLP_ENDPOINT", self.grpc.as_deref()),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", self.certificate.as_deref()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ];
        let known = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        known.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-A-050: one variable is for every container, three are there where they are known.
    #[test]
    fn a_collector_is_four_variables_at_most() {
        let one = Collector::new("http://10.0.0.1:4318");
        assert_eq!(one.variables().len(), 1);
        let all = one
            .with_grpc("http://10.0.0.1:4317")
            .with_certificate("/etc/ssl/otel.pem")
            .with_protocol(Protocol::Grpc);
        let text: Vec<_> =
            all.variables().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            text,
            [
                "GRPC_OTEL_EXPORTER_OTLP_ENDPOINT=http://10.0.0.1:4317",
                "HTTP_OTEL_EXPORTER_OTLP_ENDPOINT=http://10.0.0.1:4318",
                "OTEL_EXPORTER_OTLP_CERTIFICATE=/etc/ssl/otel.pem",
                "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
            ]
        );
    }
}
