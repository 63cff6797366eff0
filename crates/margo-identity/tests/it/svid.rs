use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use margo_api::{AuthError, Authenticator as _};
use margo_identity::{
    AcceptedClients, CurrentTrustBundle, Svid, SvidAuthenticator, SvidError, SvidVerifier, TrustBundle,
};
use rcgen::{BasicConstraints, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType};

use crate::pki::{
    self, Authority, CLIENT, Leaf, WFM, authority, authority_with, bundle, critical_unknown, earlier, later,
    leaf, now, trust_domain, uri, year,
};

fn verifier(authority: &Authority) -> SvidVerifier {
    SvidVerifier::new(Arc::new(CurrentTrustBundle::new(bundle(authority))))
}

fn refusal(change: impl FnOnce(Leaf) -> Leaf) -> SvidError {
    let root = authority("root");
    let leaf = change(leaf(CLIENT)).issued_by(&root);
    verifier(&root).verify(&leaf.der, &[], now()).unwrap_err()
}

/// R-D-009: what is in order is accepted, and says who and until when.
#[test]
fn an_svid_of_ours_is_accepted() {
    let root = authority("root");
    let leaf = leaf(CLIENT).issued_by(&root);
    let svid = verifier(&root).verify(&leaf.der, &[], now()).unwrap();
    assert_eq!(svid.id().as_str(), CLIENT);
    assert_eq!(svid.not_before().as_secs(), 1_767_225_600); // 2026-01-01
    assert_eq!(svid.not_after().as_secs(), 1_798_761_600); // 2027-01-01
    assert_eq!(Svid::read(&leaf.der).unwrap(), svid);
}

/// R-D-009: a DNS name beside the URI, extended usages or none: neither matters.
#[test]
fn what_svids_may_have_besides_does_not_matter() {
    let root = authority("root");
    for change in [
        (|leaf| leaf.with(|p| p.subject_alt_names.push(SanType::DnsName("any.example".try_into().unwrap()))))
            as fn(Leaf) -> Leaf,
        |leaf| leaf.with(|p| p.extended_key_usages.clear()),
        |leaf| leaf.with(|p| p.key_usages.clear()),
        |leaf| leaf.with(|p| p.is_ca = IsCa::ExplicitNoCa),
        |leaf| leaf.with(|p| p.distinguished_name = rcgen::DistinguishedName::new()),
    ] {
        let leaf = change(leaf(CLIENT)).issued_by(&root);
        assert!(verifier(&root).verify(&leaf.der, &[], now()).is_ok());
    }
}

/// R-D-011: intermediates come with the leaf, in any order; the root may come too. R-D-010: missing ones are not
/// fetched.
#[test]
fn chains_lead_through_what_was_sent() {
    let root = authority("root");
    let intermediate = |name, issuer: &Authority| -> Authority {
        CertifiedIssuer::signed_by(pki::authority_params(name), KeyPair::generate().unwrap(), issuer).unwrap()
    };
    let upper = intermediate("upper", &root);
    let lower = intermediate("lower", &upper);
    let leaf = leaf(CLIENT).issued_by(&lower);
    let verifier = verifier(&root);
    let verify = |sent: &[&Authority]| {
        let sent: Vec<_> = sent.iter().map(|authority| authority.der().clone()).collect();
        verifier.verify(&leaf.der, &sent, now())
    };
    assert!(verify(&[&lower, &upper]).is_ok());
    assert!(verify(&[&upper, &lower]).is_ok());
    assert!(verify(&[&lower, &upper, &root]).is_ok());
    assert!(matches!(verify(&[&lower]), Err(SvidError::Chain { .. })));
    assert!(matches!(verify(&[]), Err(SvidError::Chain { .. })));
}

/// R-D-009: any anchor of the bundle will do.
#[test]
fn every_authority_of_the_bundle_counts() {
    let (old, new) = (authority("old"), authority("new"));
    let both = TrustBundle::new(trust_domain(), [old.der().clone(), new.der().clone()]).unwrap();
    let verifier = SvidVerifier::new(Arc::new(CurrentTrustBundle::new(both)));
    for root in [&old, &new] {
        assert!(verifier.verify(&leaf(CLIENT).issued_by(root).der, &[], now()).is_ok());
    }
}

/// R-D-016: a new bundle takes effect for the next handshake, and the old anchors are gone.
#[test]
fn a_replaced_authority_counts_no_more() {
    let (old, new) = (authority("old"), authority("new"));
    let current = Arc::new(CurrentTrustBundle::new(bundle(&old)));
    let verifier = SvidVerifier::new(Arc::clone(&current));
    let leaf = leaf(CLIENT).issued_by(&old);
    assert!(verifier.verify(&leaf.der, &[], now()).is_ok());
    current.replace(bundle(&new)).unwrap();
    assert!(matches!(verifier.verify(&leaf.der, &[], now()), Err(SvidError::Chain { .. })));
}

/// R-D-009, second step. The impostor's authority has the same name as ours.
#[test]
fn an_unknown_authority_is_refused() {
    let leaf = leaf(CLIENT).issued_by(&authority("root"));
    let result = verifier(&authority("root")).verify(&leaf.der, &[], now());
    assert!(matches!(result, Err(SvidError::Chain { .. })), "{result:?}");
    let self_signed = authority_with("self", KeyPair::generate().unwrap());
    let result = verifier(&authority("root")).verify(self_signed.der(), &[], now());
    assert!(result.is_err());
}

/// R-D-009: a leaf cannot issue another.
#[test]
fn a_client_is_no_authority() {
    let root = authority("root");
    let client = leaf(CLIENT);
    let params = client.params.clone();
    let key = KeyPair::generate().unwrap();
    let client: Authority = CertifiedIssuer::signed_by(params, key, &root).unwrap();
    let forged = leaf(WFM).issued_by(&client);
    let result = verifier(&root).verify(&forged.der, &[client.der().clone()], now());
    assert!(result.is_err(), "{result:?}");
}

/// R-D-009, third step.
#[test]
fn time_is_told_by_the_caller() {
    let root = authority("root");
    let leaf = leaf(CLIENT).issued_by(&root);
    let verify = |time| verifier(&root).verify(&leaf.der, &[], time);
    assert_eq!(verify(earlier(year(1))), Err(SvidError::NotYetValid));
    assert_eq!(verify(later(year(1))), Err(SvidError::Expired));
    let end = Svid::read(&leaf.der).unwrap().not_after();
    assert!(verify(end).is_ok());
    let after = rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(end.as_secs() + 1));
    assert_eq!(verify(after), Err(SvidError::Expired));
}

/// R-D-009: an intermediate's period counts as well.
#[test]
fn an_expired_intermediate_is_refused() {
    let root = authority("root");
    let mut params = pki::authority_params("short");
    params.not_after = rcgen::date_time_ymd(2026, 2, 1);
    let short: Authority = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &root).unwrap();
    let leaf = leaf(CLIENT).issued_by(&short);
    assert_eq!(verifier(&root).verify(&leaf.der, &[short.der().clone()], now()), Err(SvidError::Expired));
}

/// R-D-009, first step: before anything else is looked at.
#[test]
fn another_trust_domain_is_refused() {
    let other = "spiffe://elsewhere.example/margo/wfm/plant";
    let found = "elsewhere.example".parse().unwrap();
    assert_eq!(
        refusal(|leaf| leaf.with(|p| p.subject_alt_names = vec![uri(other)])),
        SvidError::OtherTrustDomain { found }
    );
    let unknown = leaf(other).issued_by(&authority("unknown"));
    let result = verifier(&authority("root")).verify(&unknown.der, &[], later(year(9)));
    assert!(matches!(result, Err(SvidError::OtherTrustDomain { .. })));
}

/// R-D-009, last step; section 2.
#[test]
fn leaves_that_are_not_svids_are_refused() {
    assert_eq!(
        refusal(|leaf| leaf.with(|p| p.subject_alt_names.push(uri(WFM)))),
        SvidError::UriNames { found: 2 }
    );
    assert_eq!(
        refusal(|leaf| leaf.with(|p| p.subject_alt_names.push(uri(CLIENT)))),
        SvidError::UriNames { found: 2 },
        "the same twice"
    );
    assert_eq!(refusal(|leaf| leaf.with(|p| p.subject_alt_names.clear())), SvidError::UriNames { found: 0 });
    let dns = SanType::DnsName("factory.example".try_into().unwrap());
    assert_eq!(
        refusal(|leaf| leaf.with(|p| p.subject_alt_names = vec![dns])),
        SvidError::UriNames { found: 0 }
    );
    assert_eq!(
        refusal(|leaf| leaf.with(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        SvidError::Authority
    );
    assert_eq!(
        refusal(|leaf| leaf.with(|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign))),
        SvidError::KeyUsage { usage: "keyCertSign" }
    );
    assert_eq!(
        refusal(|leaf| leaf.with(|p| p.key_usages.push(KeyUsagePurpose::CrlSign))),
        SvidError::KeyUsage { usage: "cRLSign" }
    );
    for id in ["spiffe://factory.example", "spiffe://factory.example/", "https://factory.example/a"] {
        let error = refusal(|leaf| leaf.with(|p| p.subject_alt_names = vec![uri(id)]));
        assert!(matches!(error, SvidError::SpiffeId(_)), "{id}: {error:?}");
    }
    let error = refusal(|leaf| leaf.with(|p| p.custom_extensions.push(critical_unknown())));
    assert!(matches!(error, SvidError::Chain { .. }), "{error:?}");
}

/// R-D-012, for the leaf as for the authority.
#[test]
fn short_rsa_keys_are_refused() {
    let root = authority("root");
    let verify = |root: &Authority, leaf: Leaf| {
        let leaf = leaf.issued_by(root);
        verifier(root).verify(&leaf.der, &[], now())
    };
    assert_eq!(verify(&root, leaf(CLIENT).key(pki::rsa(2048))), Err(SvidError::WeakRsaKey { bits: 2048 }));
    assert!(verify(&root, leaf(CLIENT).key(pki::rsa(3072))).is_ok());
    let weak = authority_with("weak", pki::rsa(2048));
    assert_eq!(verify(&weak, leaf(CLIENT)), Err(SvidError::WeakRsaKey { bits: 2048 }));
    let strong = authority_with("strong", pki::rsa(3072));
    assert!(verify(&strong, leaf(CLIENT)).is_ok());
}

/// R-D-012: the algorithms of section 2.
#[test]
fn every_named_algorithm_is_accepted() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = || KeyPair::generate_for(algorithm).unwrap();
        let root = authority_with("root", key());
        let leaf = leaf(CLIENT).key(key()).issued_by(&root);
        assert!(verifier(&root).verify(&leaf.der, &[], now()).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn damaged_certificates_are_refused() {
    let root = authority("root");
    let leaf = leaf(CLIENT).issued_by(&root).der;
    let verifier = verifier(&root);
    for index in 0..leaf.len() {
        let mut damaged = leaf.to_vec();
        damaged[index] ^= 0x41;
        assert!(verifier.verify(&damaged.into(), &[], now()).is_err(), "{index}");
        assert!(verifier.verify(&leaf[..index].into(), &[], now()).is_err(), "{index}");
    }
    let longer = [leaf.as_ref(), &[0]].concat();
    assert!(verifier.verify(&longer.into(), &[], now()).is_err());
}

async fn authenticate(accepted: &AcceptedClients, id: &str) -> Result<String, AuthError> {
    let leaf = leaf(id).issued_by(&authority("root"));
    let mut request = http::Request::new(Bytes::new());
    request.extensions_mut().insert(Svid::read(&leaf.der).unwrap());
    let authenticator = SvidAuthenticator::new(Arc::new(accepted.clone()));
    authenticator.authenticate(&request).await.map(|caller| caller.client_id.to_string())
}

/// R-D-004, R-D-006, R-D-007, R-D-008.
#[tokio::test]
async fn only_accepted_clients_are_served() {
    let wfm = || WFM.parse().unwrap();
    let namespace = AcceptedClients::namespace(wfm());
    let one = AcceptedClients::these(wfm(), ["press-7".parse().unwrap()]);
    let none = AcceptedClients::these(wfm(), []);
    for accepted in [&namespace, &one] {
        assert_eq!(authenticate(accepted, CLIENT).await.as_deref(), Ok("press-7"));
    }
    let other = "spiffe://factory.example/margo/wfm/plant/client/press-8";
    assert_eq!(authenticate(&namespace, other).await.as_deref(), Ok("press-8"));
    assert_eq!(authenticate(&one, other).await, Err(AuthError::NotAccepted));
    assert_eq!(authenticate(&none, CLIENT).await, Err(AuthError::NotAccepted));
    for id in [
        WFM,
        "spiffe://factory.example/margo/wfm/plant2/client/press-7",
        "spiffe://factory.example/margo/wfm/Plant/client/press-7",
        "spiffe://elsewhere.example/margo/wfm/plant/client/press-7",
        "spiffe://factory.example/margo/wfm/plant/client/press-7/x",
        "spiffe://factory.example/margo/wfm/plant/clients/press-7",
        "spiffe://factory.example/wfm/plant/client/press-7",
    ] {
        for accepted in [&namespace, &one, &none] {
            assert_eq!(authenticate(accepted, id).await, Err(AuthError::NotAccepted), "{id}");
        }
    }
    let nobody = http::Request::new(Bytes::new());
    let authenticator = SvidAuthenticator::new(namespace);
    assert_eq!(authenticator.authenticate(&nobody).await, Err(AuthError::Missing));
}
