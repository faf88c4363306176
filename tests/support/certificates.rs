//! Certificates of an authority that lives as long as a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::tools::{need, run};

/// An authority, and a folder for what it makes.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    place: TempDir,
}

/// A certificate and its key, in files.
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Identity {
    /// The certificate without those of who vouches for it, in a file.
    pub fn alone(&self) -> PathBuf {
        let path = self.certificate.with_extension("alone.pem");
        let text = fs::read_to_string(&self.certificate).unwrap();
        let mut pieces = text.split_inclusive("-----END CERTIFICATE-----");
        fs::write(&path, format!("{}\n", pieces.next().unwrap())).unwrap();
        path
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let params = authority(name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self::with(params, key, pem)
    }

    /// One that this one vouches for.
    pub fn intermediate(&self, name: &str) -> Self {
        let params = authority(name);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self::with(params, key, pem)
    }

    fn with(params: CertificateParams, key: KeyPair, pem: String) -> Self {
        let place = TempDir::new().unwrap();
        fs::create_dir(place.path().join("folder")).unwrap();
        fs::write(place.path().join("ca.pem"), &pem).unwrap();
        fs::write(place.path().join("folder/authority.crt"), &pem).unwrap();
        fs::write(place.path().join("folder/notes.txt"), "not a certificate").unwrap();
        Self {
            issuer: Issuer::new(params, key),
            pem,
            place,
        }
    }

    /// The authority's certificate, in a file.
    pub fn file(&self) -> PathBuf {
        self.place.path().join("ca.pem")
    }

    /// The same in a folder, beside something else.
    pub fn folder(&self) -> PathBuf {
        self.place.path().join("folder")
    }

    /// A certificate for a host name or an address.
    pub fn identity(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(name, &format!("{}{}", certificate.pem(), self.pem), &key)
    }

    /// The same with its key in one file, as `tls.certificate` wants them.
    pub fn identity_in_one_file(&self, name: &str) -> PathBuf {
        let identity = self.identity(name);
        let path = identity.certificate.with_extension("both.pem");
        let mut text = fs::read_to_string(&identity.certificate).unwrap();
        text.push_str(&fs::read_to_string(&identity.key).unwrap());
        fs::write(&path, text).unwrap();
        path
    }

    /// A certificate whose time is over.
    pub fn expired(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 11, 1);
        params.not_after = rcgen::date_time_ymd(2001, 11, 2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write("expired", &certificate.pem(), &key)
    }

    /// A certificate that nobody but its owner vouches for.
    pub fn own(&self, name: &str) -> Identity {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.write("own", &certificate.pem(), &key)
    }

    fn write(&self, name: &str, chain: &str, key: &KeyPair) -> Identity {
        let identity = Identity {
            certificate: self.place.path().join(format!("{name}.pem")),
            key: self.place.path().join(format!("{name}.key")),
        };
        fs::write(&identity.certificate, chain).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }
}

/// The key, encrypted with a pass phrase: in PKCS#8, or in the form of older programs.
pub fn encrypted(key: &Path, phrase: &str, old: bool) -> PathBuf {
    let out = key.with_extension(if old { "old.key" } else { "enc.key" });
    let mut openssl = Command::new(need("openssl"));
    if old {
        openssl.args(["ec", "-aes128"]);
    } else {
        openssl.args(["pkcs8", "-topk8", "-v2", "aes-256-cbc"]);
    }
    openssl.arg("-in").arg(key).arg("-out").arg(&out);
    run(openssl.args(["-passout", &format!("pass:{phrase}")]));
    out
}
