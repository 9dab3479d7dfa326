//! TLS towards the server: rustls, with as much proof as the URI asks for.

use std::path::Path;
use std::sync::Arc;

use archive::ArchiveError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{Address, Trust};

/// What makes connections encrypted.
///
/// # Errors
/// The certificates of the authorities cannot be read, or there are none.
pub(crate) fn connector(address: &Address) -> Result<MakeRustlsConnect, ArchiveError> {
    let provider = Arc::new(ring::default_provider());
    let authority = match address.trust {
        Trust::Any => None,
        Trust::Authority | Trust::Host => {
            let roots = Arc::new(roots(address.authorities.as_deref())?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(verifier.map_err(|error| unusable(&error.to_string()))?)
        }
    };
    let checks = Checks { provider: Arc::clone(&provider), authority, name: address.trust == Trust::Host };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(checks))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn unusable(what: &str) -> ArchiveError {
    ArchiveError::Database {
        problem: format!("the certificates of sslrootcert cannot be used: {what}"),
        remedy: "give the PEM file of the authority that signed the server's certificate",
    }
}

/// The authorities of a file, or of the system.
fn roots(file: Option<&Path>) -> Result<RootCertStore, ArchiveError> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(path) => {
            let failed = |error| unusable(&format!("{}: {error}", path.display()));
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
        }
        None => {
            // One that cannot be read is no reason against the others.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(unusable("there are none"));
    }
    Ok(roots)
}

/// Checks a server's certificate as far as asked. That the server has its key is checked in any case.
#[derive(Debug)]
struct Checks {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
    name: bool,
}

impl ServerCertVerifier for Checks {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The chain is checked before the name is.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
