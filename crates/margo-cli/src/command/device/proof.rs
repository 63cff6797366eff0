use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use margo_core::{ClientId, SpecVersion};
use margo_identity::{ClientSpiffeId, IdentityFolder};
use url::Url;

use super::folder::{PUBLIC, SECRET};
use crate::command::failure::Failure;

/// The most bytes of a file of an identity that are read.
const MAX_FILE: u64 = 1 << 20;

/// How a device is to prove itself to its manager, other than by its development token.
#[derive(Debug)]
pub(super) struct Proof {
    /// Where the device finds the manager.
    pub(super) address: Url,
    /// What its SVID calls the client.
    pub(super) client_id: Option<ClientId>,
    /// Its files: names, contents and modes.
    pub(super) files: Vec<(String, Vec<u8>, u32)>,
}

impl Proof {
    /// Reads the identity in a folder, as `margo identity issue` or an identity service wrote it.
    pub(super) fn read(folder: &Path, revision: SpecVersion, address: Url) -> Result<Self, Failure> {
        if revision >= SpecVersion::V1_0_0Rc3 {
            Self::svid(folder, address)
        } else {
            Self::older(folder, address)
        }
    }

    fn svid(folder: &Path, address: Url) -> Result<Self, Failure> {
        let wrong = |error: &(dyn std::error::Error + 'static)| {
            Failure::not_asked(format!("`{}` holds no identity of a client of 1.0.0-rc.3", folder.display()))
                .because(error)
                .help("`margo identity issue DIR --client ID` makes one; older revisions need `--revision`")
        };
        let found = IdentityFolder::find(folder).map_err(|error| wrong(&error))?;
        let svid = found.svid().map_err(|error| wrong(&error))?;
        found.bundle().map_err(|error| wrong(&error))?;
        let id = ClientSpiffeId::try_from(svid.id().clone()).map_err(|error| wrong(&error))?;
        let files = [(found.svid_path(), PUBLIC), (found.key_path(), SECRET), (found.bundle_path(), PUBLIC)];
        Ok(Self { address, client_id: Some(id.client_id().clone()), files: read_all(&files)? })
    }

    fn older(folder: &Path, address: Url) -> Result<Self, Failure> {
        let [certificate, key, authority] =
            ["certificate.pem", "key.pem", "authority.pem"].map(|name| folder.join(name));
        let files = read_all(&[(&certificate, PUBLIC), (&key, SECRET), (&authority, PUBLIC)]).map_err(|failure| {
            failure.help("`margo identity issue DIR --device NAME` makes certificate.pem, key.pem and authority.pem")
        })?;
        Ok(Self { address, client_id: None, files })
    }

    /// The names of its files: of the certificate, of the key, and of whom the device trusts.
    pub(super) fn names(&self) -> [&str; 3] {
        [0, 1, 2].map(|place: usize| self.files.get(place).map_or("", |(name, ..)| name))
    }

    /// The certificate that the manager is to know the device by: the first of its files, in PEM.
    pub(super) fn certificate(&self) -> Option<String> {
        let (_, pem, _) = self.files.first()?;
        String::from_utf8(pem.clone()).ok()
    }
}

fn read_all(files: &[(&Path, u32)]) -> Result<Vec<(String, Vec<u8>, u32)>, Failure> {
    let read = |(path, mode): &(&Path, u32)| {
        let mut content = Vec::new();
        File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut content)).map_err(|cause| {
            Failure::not_asked(format!("`{}` cannot be read", path.display())).because(&cause)
        })?;
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        Ok((name.display().to_string(), content, *mode))
    };
    files.iter().map(read).collect()
}
