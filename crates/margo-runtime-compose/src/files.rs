use std::path::Path;

use margo_api::{BoxFuture, RuntimeError};
use margo_core::Digest;
use margo_deployment::Component;
use margo_oci::{Artifact, Fetched, Fetcher};

/// Where the files of components come from.
pub trait ComponentFiles: Send + Sync {
    /// Gets the package of `component` onto the device, verified.
    fn fetch<'a>(
        &'a self,
        component: &'a Component,
    ) -> BoxFuture<'a, Result<Box<dyn PackageFiles>, RuntimeError>>;

    /// The bytes of an image as it travels, for a platform such as `linux/arm64`. `None`, unless implemented, where
    /// they are not known before it is pulled.
    fn image_size<'a>(&'a self, image: &'a str, platform: &'a str) -> BoxFuture<'a, Option<u64>> {
        let _ = (image, platform);
        Box::pin(std::future::ready(None))
    }
}

/// A package on the device, not yet unpacked.
pub trait PackageFiles: Send + Sync {
    /// What tells this package from every other one.
    fn digest(&self) -> Digest;

    /// Puts the files into the folder `into`, all or none. What was there before is replaced.
    fn unpack_into<'a>(&'a self, into: &'a Path) -> BoxFuture<'a, Result<(), RuntimeError>>;
}

/// Packages from OCI registries, or tarballs from web servers (R-D-034, R-A-032).
impl ComponentFiles for Fetcher {
    fn fetch<'a>(
        &'a self,
        component: &'a Component,
    ) -> BoxFuture<'a, Result<Box<dyn PackageFiles>, RuntimeError>> {
        Box::pin(async move {
            let fetched = Self::fetch(self, &component.properties.package, &Artifact::Compose).await;
            let package: Box<dyn PackageFiles> = Box::new(fetched.map_err(RuntimeError::from)?);
            Ok(package)
        })
    }

    fn image_size<'a>(&'a self, image: &'a str, platform: &'a str) -> BoxFuture<'a, Option<u64>> {
        Box::pin(async move {
            let size = Self::image_size(self, image, platform).await;
            size.unwrap_or_else(|error| {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(image, error, "its registry does not say how large it is");
                None
            })
        })
    }
}

impl PackageFiles for Fetched {
    fn digest(&self) -> Digest {
        Self::digest(self)
    }

    /// Under the limits of the specification (R-D-035).
    fn unpack_into<'a>(&'a self, into: &'a Path) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            Self::unpack_into(self, into).await?;
            Ok(())
        })
    }
}
