use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::LoadCertificateError;
use super::certificate::read;

/// The authority that devices before 1.0.0-rc.3 are told (A5, E1), read from a file again when told to.
#[derive(Debug)]
pub struct AuthorityFile {
    path: PathBuf,
    current: RwLock<Bytes>,
}

impl AuthorityFile {
    /// Reads the first certificate in `path`, in PEM.
    ///
    /// # Errors
    ///
    /// [`LoadCertificateError`] names the file.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, LoadCertificateError> {
        let path = path.into();
        let current = RwLock::new(certificate(&path)?);
        Ok(Self { path, current })
    }

    /// What was read last, in DER.
    #[must_use]
    pub fn get(&self) -> Bytes {
        // The lock guards a pointer, which is whole even if a thread panicked.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again, and says whether it holds another one.
    ///
    /// # Errors
    ///
    /// [`LoadCertificateError`], and what was read before stays in use.
    pub fn reload(&self) -> Result<bool, LoadCertificateError> {
        let read = certificate(&self.path)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if *current == read {
            return Ok(false);
        }
        *current = read;
        Ok(true)
    }
}

fn certificate(path: &std::path::Path) -> Result<Bytes, LoadCertificateError> {
    let pem = read(path)?;
    let der = CertificateDer::from_pem_slice(&pem);
    let absent = |_| LoadCertificateError::Pem { path: path.to_owned(), expected: "a certificate" };
    der.map(|der| Bytes::copy_from_slice(&der)).map_err(absent)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use margo_api::{NoPublisher, Onboarding as _};

    use super::*;
    use crate::listen::Reloading;
    use crate::{Admission, Manager, Memory, Reception};

    /// A5, E1: what is told is what the file holds; what cannot be used changes nothing.
    #[tokio::test]
    async fn devices_are_told_the_authority_of_the_day() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authority.pem");
        let authority = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert;
            std::fs::write(&path, made.pem()).unwrap();
            made.der().to_vec()
        };
        let first = authority("first");
        let file = Arc::new(AuthorityFile::load(&path).unwrap());
        let reloading = Reloading::new().with_authority(Arc::clone(&file));
        let manager = Arc::new(Manager::new(Memory::new(), NoPublisher::new(), Timestamp::now));
        let reception =
            Reception::new(manager, Admission::Listed([].into())).with_current_authority(move || file.get());
        let told = async || reception.root_certificate().await.unwrap().certificate_der().unwrap();
        assert_eq!(told().await, first);

        let second = authority("second");
        assert_eq!(told().await, first, "nobody has looked");
        reloading.look();
        assert_eq!(told().await, second);
        for useless in ["", "-----BEGIN CERTIFICATE-----\n", "nothing"] {
            std::fs::write(&path, useless).unwrap();
            reloading.look();
            assert_eq!(told().await, second, "{useless}");
        }
        std::fs::remove_file(&path).unwrap();
        reloading.look();
        assert_eq!(told().await, second);
        let error = AuthorityFile::load(&path).unwrap_err().to_string();
        assert!(error.contains("authority.pem"), "{error}");
    }
}
