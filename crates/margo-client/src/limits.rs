use margo_deployment::BundleLimits;

/// How much a manager may send. Each limit counts bytes as they arrive, after decompression, and ends the transfer
/// where it is passed.
///
/// ```
/// use margo_client::ClientLimits;
///
/// let mut limits = ClientLimits::default();
/// limits.max_deployment = 256 << 10;
/// limits.bundle.max_compressed = 8 << 20;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// The most bytes of a manifest. 16 MiB by default, which is also the most that is ever read.
    pub max_manifest: usize,
    /// The most bytes of one deployment, alone or in a bundle. 4 MiB by default.
    pub max_deployment: usize,
    /// What a bundle may hold. By default 64 MiB as received and 256 MiB unpacked.
    pub bundle: BundleLimits,
}

impl ClientLimits {
    /// The limits of a bundle, with none of its entries larger than a deployment may be.
    pub(crate) fn for_bundle(&self) -> BundleLimits {
        let mut limits = self.bundle;
        limits.max_entry_size = limits.max_entry_size.min(self.max_deployment as u64);
        limits
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { max_manifest: 16 << 20, max_deployment: 4 << 20, bundle: BundleLimits::default() }
    }
}
