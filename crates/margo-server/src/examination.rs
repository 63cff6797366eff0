//! What every [`Store`] must pass: one function for each sentence of its contract.
//!
//! A store's own tests make them all with one macro. `fresh` returns a store that knows nothing, each time another.
//!
//! ```
//! use margo_server::{Memory, store_examination};
//!
//! store_examination! {
//!     async fn fresh() -> Memory {
//!         Memory::new()
//!     }
//! }
//! ```
//!
//! A store that keeps something open, such as a temporary folder, wraps itself together with it.

#![expect(clippy::missing_panics_doc, reason = "an examination that is not passed panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use margo_api::Recorded;
use margo_core::{ApplicationId, ClientId, DeploymentId, DeviceId, Digest, ManifestVersion, SpecVersion};
use margo_identity::TokenHash;

use crate::store::{
    ApplicationRecord, CapabilitiesRecord, Change, ClientRecord, ClientUpdate, ContentKind, DeploymentRecord,
    KEPT_MANIFESTS, KEPT_REPORTS, KEPT_TOKENS, ManifestRecord, StatusRecord, Store, StoreError, TokenRecord,
    TokenUse,
};

/// Makes a test of each function of [`examination`](crate::examination).
#[macro_export]
macro_rules! store_examination {
    (async fn fresh() -> $store:ty $body:block) => {
        async fn fresh() -> $store $body

        $crate::store_examination! { @sentences
            what_was_never_stored_is_absent
            a_client_is_found_by_its_id_and_by_either_token
            a_client_and_its_device_are_added_once
            rotated_tokens_open_nothing_and_retirement_stays
            a_client_changes_only_from_what_was_read
            a_certificate_is_one_clients
            a_former_certificate_is_nobody_elses
            issued_tokens_are_found_until_they_end
            only_the_latest_tokens_are_kept
            a_linked_id_is_the_same_client
            an_unlinked_id_is_nobody
            a_linked_client_is_taken_over_with_its_devices
            a_client_with_deployments_is_not_taken_over
            fetching_never_goes_back
            a_device_is_known_before_its_first_report
            capabilities_are_kept_byte_for_byte
            capabilities_need_a_client
            a_device_comes_after_its_gateway
            a_removed_gateway_takes_its_devices_along
            two_clients_may_have_devices_of_one_name
            a_version_of_an_application_never_changes
            applications_stay_in_the_order_they_were_stored
            a_change_takes_the_place_of_what_it_was_made_from
            a_change_of_something_older_is_stale
            several_clients_change_together_or_not_at_all
            deployments_stay_in_the_order_they_were_created
            a_deleted_deployment_is_still_known
            the_content_of_kept_manifests_can_be_fetched
            content_is_for_its_client_alone
            a_report_needs_a_deployment_of_its_client
            the_latest_reports_are_kept
            writers_of_one_client_lose_nothing
            reporters_lose_nothing
            changes_reports_and_capabilities_do_not_disturb_one_another
        }
    };
    (@sentences $($sentence:ident)*) => {
        $(
            #[test]
            fn $sentence() {
                $crate::__private::run(async { $crate::examination::$sentence(fresh().await).await });
            }
        )*
    };
}

/// For the macro alone: a vendor's tests need no runtime of their own.
#[doc(hidden)]
pub fn run<F: Future<Output = ()>>(examination: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(examination);
}

/// Looking for something that is not there is no error.
pub async fn what_was_never_stored_is_absent(store: impl Store) {
    let (client, deployment) = (client_id("nobody"), deployment_id("nothing"));
    assert_eq!(store.client(&client).await.expect("reads"), None);
    assert_eq!(store.client_by_token(TokenUse::Management, &TokenHash::of("x")).await.expect("reads"), None);
    assert_eq!(store.clients().await.expect("reads"), []);
    assert_eq!(store.devices().await.expect("reads"), []);
    assert_eq!(store.applications().await.expect("reads"), []);
    assert_eq!(store.application(&application_id("app"), "1").await.expect("reads"), None);
    assert_eq!(store.manifest(&client).await.expect("reads"), None);
    assert_eq!(store.manifest_digest(&client).await.expect("reads"), None);
    assert_eq!(store.deployment(&deployment).await.expect("reads"), None);
    assert_eq!(store.deployments(None).await.expect("reads"), []);
    assert_eq!(store.statuses(None).await.expect("reads"), []);
    assert_eq!(store.status_history(&deployment).await.expect("reads"), []);
    for kind in [ContentKind::Deployment, ContentKind::Bundle] {
        assert_eq!(store.content(&client, kind, Digest::of(b"x")).await.expect("reads"), None);
    }
    assert!(!store.remove_device(&client, &device_id("d")).await.expect("reads"));
    store.note_fetched(&client, ManifestVersion::FIRST).await.expect("nothing to note is no error");
}

/// What was added is found again, whichever way one looks; a token of one use opens nothing of the other.
pub async fn a_client_is_found_by_its_id_and_by_either_token(store: impl Store) {
    let record = add_client(&store, "c1", "d1").await;
    add_client(&store, "c0", "d0").await;
    assert_eq!(store.client(&record.client_id).await.expect("reads"), Some(record.clone()));
    for (token_use, token, other) in [
        (TokenUse::Management, &record.token, &record.git_token),
        (TokenUse::Git, &record.git_token, &record.token),
    ] {
        assert_eq!(store.client_by_token(token_use, token).await.expect("reads"), Some(record.clone()));
        assert_eq!(store.client_by_token(token_use, other).await.expect("reads"), None);
    }
    let ids: Vec<_> =
        store.clients().await.expect("reads").into_iter().map(|client| client.client_id).collect();
    assert_eq!(ids, [client_id("c0"), client_id("c1")], "by id");
    let manifest = store.manifest(&record.client_id).await.expect("reads").expect("there");
    assert_eq!(manifest, first_manifest());
    assert_eq!(store.manifest_digest(&record.client_id).await.expect("reads"), Some(manifest.digest));
}

/// A second client of the same id, or of the same device, is refused and changes nothing.
pub async fn a_client_and_its_device_are_added_once(store: impl Store) {
    let record = add_client(&store, "c1", "d1").await;
    for other in [client("c1", "d2"), client("c2", "d1")] {
        let added = store.add_client(other, first_manifest()).await;
        assert!(matches!(added, Err(StoreError::Conflict { .. })), "{added:?}");
    }
    assert_eq!(store.clients().await.expect("reads"), [record]);
    assert_eq!(store.devices().await.expect("reads").len(), 1);
}

/// A client's record is replaced as a whole.
pub async fn rotated_tokens_open_nothing_and_retirement_stays(store: impl Store) {
    let mut record = add_client(&store, "c1", "d1").await;
    let old = record.token;
    let before = record.clone();
    record.token = TokenHash::of("new");
    record.retired_at = Some(at(7));
    store.update_client(ClientUpdate::new(before, record.clone())).await.expect("updates");
    assert_eq!(store.client_by_token(TokenUse::Management, &old).await.expect("reads"), None);
    let found = store.client_by_token(TokenUse::Management, &record.token).await.expect("reads");
    assert_eq!(found, Some(record), "a retired client is found");
    let unknown = store.update_client(ClientUpdate::new(client("c9", "d9"), client("c9", "d9"))).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
}

/// Of two who change the same record, the second has to read it again; what was fetched meanwhile does not count.
pub async fn a_client_changes_only_from_what_was_read(store: impl Store) {
    let before = add_client(&store, "c1", "d1").await;
    let with_token = |token| ClientRecord { token: TokenHash::of(token), ..before.clone() };
    store.note_fetched(&before.client_id, version(2)).await.expect("notes");
    let update = ClientUpdate::new(before.clone(), with_token("first"));
    store.update_client(update).await.expect("updates");
    let second = store.update_client(ClientUpdate::new(before.clone(), with_token("second"))).await;
    assert!(matches!(second, Err(StoreError::Stale { .. })), "{second:?}");
    let known = store.client(&before.client_id).await.expect("reads").expect("there");
    assert_eq!((known.token, known.fetched), (TokenHash::of("first"), Some(version(2))));

    // A step of the desired state that is stale takes the record along.
    let after = ClientRecord { revision: SpecVersion::PreDraft, ..known.clone() };
    let step = Change::new(known.client_id.clone(), version(7), first_manifest(), Vec::new());
    let third = store.update_client(ClientUpdate::new(known.clone(), after).with_change(step)).await;
    assert!(matches!(third, Err(StoreError::Stale { .. })), "{third:?}");
    assert_eq!(store.client(&before.client_id).await.expect("reads"), Some(known));
}

/// A client is found by its certificate, which is nobody else's.
pub async fn a_certificate_is_one_clients(store: impl Store) {
    let first = client("c1", "d1").with_certificate("one".into());
    store.add_client(first.clone(), first_manifest()).await.expect("adds");
    let second = add_client(&store, "c2", "d2").await;
    let found = store.client_by_certificate(Digest::of(b"one")).await.expect("reads");
    assert_eq!(found, Some(first.clone()));
    let added = store.add_client(client("c3", "d3").with_certificate("one".into()), first_manifest()).await;
    assert!(matches!(added, Err(StoreError::Conflict { .. })), "{added:?}");
    let update = ClientUpdate::new(second.clone(), second.clone().with_certificate("one".into()));
    let updated = store.update_client(update).await;
    assert!(matches!(updated, Err(StoreError::Conflict { .. })), "{updated:?}");
    let update = ClientUpdate::new(second.clone(), second.clone().with_certificate("two".into()));
    store.update_client(update).await.expect("updates");
    let found = store.client_by_certificate(Digest::of(b"two")).await.expect("reads");
    assert_eq!(found.map(|client| client.client_id), Some(second.client_id));
    assert_eq!(store.client_by_certificate(Digest::of(b"three")).await.expect("reads"), None);
    assert_eq!(store.clients().await.expect("reads").len(), 2);
}

/// A certificate that was replaced still leads to the client that had it, until it is somebody's again.
pub async fn a_former_certificate_is_nobody_elses(store: impl Store) {
    let first = client("c1", "d1").with_certificate("one".into());
    store.add_client(first.clone(), first_manifest()).await.expect("adds");
    let found = async |certificate: &str| {
        let found = store.client_by_certificate(Digest::of(certificate.as_bytes())).await.expect("reads");
        found.map(|client| client.client_id)
    };
    let second = first.clone().with_certificate("two".into());
    store.update_client(ClientUpdate::new(first.clone(), second.clone())).await.expect("updates");
    for certificate in ["one", "two"] {
        assert_eq!(found(certificate).await, Some(client_id("c1")), "{certificate}");
    }
    // Back, and away again with a record that has none.
    store.update_client(ClientUpdate::new(second, first.clone())).await.expect("updates");
    let mut without = first.clone();
    without.certificate = None;
    store.update_client(ClientUpdate::new(first, without.clone())).await.expect("updates");
    for certificate in ["one", "two"] {
        assert_eq!(found(certificate).await, Some(client_id("c1")), "{certificate}");
    }

    // With whoever had it, it becomes another's.
    let other = client("c2", "d2").with_certificate("three".into());
    store.add_client(other.clone(), first_manifest()).await.expect("adds");
    let renewed = other.clone().with_certificate("four".into());
    store.update_client(ClientUpdate::new(other, renewed)).await.expect("updates");
    let update = ClientUpdate::new(without.clone(), without.clone()).with_link(client_id("c2"));
    store.update_client(update).await.expect("links");
    for certificate in ["three", "four"] {
        assert_eq!(found(certificate).await, Some(client_id("c1")), "{certificate}");
    }

    // An operator may give it to somebody else.
    let heir = client("c3", "d3").with_certificate("one".into());
    store.add_client(heir.clone(), first_manifest()).await.expect("adds");
    assert_eq!(found("one").await, Some(client_id("c3")));
    assert_eq!(store.clients().await.expect("reads").len(), 2);
}

/// A new token ends the earlier ones of its use when it says so; those of another use and of others go on.
pub async fn issued_tokens_are_found_until_they_end(store: impl Store) {
    let second = |number: usize| at(number * 1_000_000);
    let client = add_client(&store, "c1", "d1").await;
    add_client(&store, "c2", "d2").await;
    let token = |name: &str, whose: &str, token_use, issued, until| {
        let [issued, until] = [issued, until].map(second);
        TokenRecord::new(TokenHash::of(name), client_id(whose), token_use, issued, until)
    };
    let find = async |name: &str| store.token(&TokenHash::of(name)).await.expect("reads");
    let ends = async |name: &str| find(name).await.map(|token| token.expires_at);
    let api = token("api", "c1", TokenUse::Management, 10, 100);
    let others = token("others", "c2", TokenUse::Git, 10, 100);
    for known in [&api, &others, &token("git", "c1", TokenUse::Git, 10, 100)] {
        store.put_token(known.clone(), None).await.expect("adds");
    }
    store.put_token(token("next", "c1", TokenUse::Git, 20, 200), Some(second(30))).await.expect("adds");
    assert_eq!(ends("git").await, Some(second(30)));
    assert_eq!((find("api").await, find("others").await), (Some(api), Some(others)));
    let git_token_until =
        async || store.client(&client.client_id).await.expect("reads").expect("there").git_token_until;
    assert_eq!(git_token_until().await, Some(second(30)), "the token it was onboarded with");
    store.put_token(token("last", "c1", TokenUse::Git, 30, 200), Some(second(40))).await.expect("adds");
    assert_eq!((ends("git").await, ends("next").await), (None, Some(second(40))), "one has ended, one will");
    assert_eq!(git_token_until().await, Some(second(30)), "never later than before");

    let unknown = store.put_token(token("nobody's", "c9", TokenUse::Git, 1, 2), None).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
    let before = store.client(&client.client_id).await.expect("reads").expect("there");
    let after = ClientRecord { token: TokenHash::of("new secret"), ..before.clone() };
    store.update_client(ClientUpdate::new(before, after)).await.expect("updates");
    assert_eq!((find("api").await, find("last").await), (None, None), "a new secret ends them all");
    assert!(find("others").await.is_some());
}

/// Asking for tokens again and again fills no disk.
pub async fn only_the_latest_tokens_are_kept(store: impl Store) {
    let client = add_client(&store, "c1", "d1").await;
    let name = |number: u64| TokenHash::of(&format!("token-{number}"));
    for number in 0..=KEPT_TOKENS {
        let use_ = TokenUse::Management;
        let token = TokenRecord::new(name(number), client.client_id.clone(), use_, at(1), at(9_000_000));
        store.put_token(token, None).await.expect("adds");
    }
    assert_eq!(store.token(&name(0)).await.expect("reads"), None);
    for number in 1..=KEPT_TOKENS {
        assert!(store.token(&name(number)).await.expect("reads").is_some(), "{number}");
    }
}

/// An id that was linked names the client, and no other client can have it.
pub async fn a_linked_id_is_the_same_client(store: impl Store) {
    let before = add_client(&store, "c1", "d1").await;
    let after = ClientRecord { revision: SpecVersion::PreDraft, ..before.clone() };
    let update = ClientUpdate::new(before, after.clone()).with_link(client_id("c2"));
    store.update_client(update).await.expect("links");
    for id in ["c1", "c2"] {
        assert_eq!(store.client(&client_id(id)).await.expect("reads"), Some(after.clone()), "{id}");
    }
    assert_eq!(store.clients().await.expect("reads").len(), 1);
    let added = store.add_client(client("c2", "d2"), first_manifest()).await;
    assert!(matches!(added, Err(StoreError::Conflict { .. })), "{added:?}");
    let other = add_client(&store, "c3", "d3").await;
    let update = ClientUpdate::new(other.clone(), other.clone()).with_link(client_id("c2"));
    let stolen = store.update_client(update).await;
    assert!(matches!(stolen, Err(StoreError::Conflict { .. })), "{stolen:?}");
    assert_eq!(store.client(&client_id("c2")).await.expect("reads"), Some(after));
}

/// An id that was unlinked names nobody, and the client keeps all it has.
pub async fn an_unlinked_id_is_nobody(store: impl Store) {
    let before = add_client(&store, "c1", "d1").await;
    let other = add_client(&store, "c3", "d3").await;
    for id in ["c2", "c4"] {
        let update = ClientUpdate::new(before.clone(), before.clone()).with_link(client_id(id));
        store.update_client(update).await.expect("links");
    }
    let links = async || store.links().await.expect("reads");
    let (c1, c2, c4) = (client_id("c1"), client_id("c2"), client_id("c4"));
    assert_eq!(links().await, [(c2.clone(), c1.clone()), (c4.clone(), c1.clone())]);

    // Not by another client, not an id that is not linked, and not the client's own.
    for (record, id) in [(&other, "c2"), (&before, "c5"), (&before, "c1")] {
        let update = ClientUpdate::new(record.clone(), record.clone()).with_unlink(client_id(id));
        let unlinked = store.update_client(update).await;
        assert!(matches!(unlinked, Err(StoreError::NotFound { .. })), "{id}: {unlinked:?}");
    }
    assert_eq!(links().await.len(), 2);

    add_deployment(&store, "x1").await;
    let before = store.client(&c1).await.expect("reads").expect("there");
    let update = ClientUpdate::new(before.clone(), before.clone()).with_unlink(c2.clone());
    store.update_client(update).await.expect("unlinks");
    assert_eq!(links().await, [(c4.clone(), c1.clone())]);
    assert_eq!(store.client(&c2).await.expect("reads"), None);
    for id in [&c1, &c4] {
        assert_eq!(store.client(id).await.expect("reads"), Some(before.clone()), "{id}");
    }
    assert_eq!(store.deployments(Some(&c1)).await.expect("reads").len(), 1);
    // It is free: for a client of its own, or for another one's.
    store.add_client(client("c2", "d2"), first_manifest()).await.expect("adds");
}

/// Whoever had the id is no client any more; what its devices said is kept.
pub async fn a_linked_client_is_taken_over_with_its_devices(store: impl Store) {
    let before = add_client(&store, "c1", "d1").await;
    add_deployment(&store, "x1").await;
    let before = store.client(&before.client_id).await.expect("reads").expect("there");
    let newcomer = client("c2", "d2").with_certificate("one".into());
    store.add_client(newcomer, first_manifest()).await.expect("adds");
    store.put_capabilities(capabilities("c2", "d1", 7)).await.expect("records");
    let after = before.clone().with_certificate("one".into());
    let update = ClientUpdate::new(before, after).with_link(client_id("c2"));
    store.update_client(update).await.expect("links");
    let devices = store.devices().await.expect("reads");
    let known: Vec<_> =
        devices.iter().map(|device| (device.client_id.as_str(), device.device_id.as_str())).collect();
    assert_eq!(known, [("c1", "d1"), ("c1", "d2")]);
    assert_eq!(
        devices[0].capabilities.as_ref().map(|known| &known.document[..]),
        Some(&b"capabilities of d1 at 7"[..])
    );
    assert_eq!(store.deployments(Some(&client_id("c1"))).await.expect("reads").len(), 1);
    let found = store.client_by_certificate(Digest::of(b"one")).await.expect("reads").expect("there");
    assert_eq!(found.client_id, client_id("c1"));
    assert_eq!(store.manifest(&client_id("c2")).await.expect("reads"), None);
}

/// Nothing of value is lost by linking.
pub async fn a_client_with_deployments_is_not_taken_over(store: impl Store) {
    add_client(&store, "c1", "d1").await;
    add_deployment(&store, "x1").await;
    let other = add_client(&store, "c2", "d2").await;
    let update = ClientUpdate::new(other.clone(), other.clone()).with_link(client_id("c1"));
    let linked = store.update_client(update).await;
    assert!(matches!(linked, Err(StoreError::Conflict { .. })), "{linked:?}");
    let itself = ClientUpdate::new(other.clone(), other.clone()).with_link(client_id("c2"));
    assert!(store.update_client(itself).await.is_err());
    assert_eq!(store.clients().await.expect("reads").len(), 2);
}

/// What a client has fetched only grows, even when an older record of it is written.
pub async fn fetching_never_goes_back(store: impl Store) {
    let record = add_client(&store, "c1", "d1").await;
    let fetched = async || store.client(&record.client_id).await.expect("reads").expect("there").fetched;
    for (noted, known) in [(3, 3), (2, 3), (5, 5)] {
        store.note_fetched(&record.client_id, version(noted)).await.expect("notes");
        assert_eq!(fetched().await, Some(version(known)));
    }
    store.update_client(ClientUpdate::new(record.clone(), record.clone())).await.expect("updates");
    assert_eq!(fetched().await, Some(version(5)), "a record that was read before does not take it back");
}

/// The device a client is onboarded for is listed at once.
pub async fn a_device_is_known_before_its_first_report(store: impl Store) {
    add_client(&store, "c1", "d1").await;
    let devices = store.devices().await.expect("reads");
    assert_eq!(devices.len(), 1);
    assert_eq!((devices[0].client_id.as_str(), devices[0].device_id.as_str()), ("c1", "d1"));
    assert_eq!(devices[0].capabilities, None);
}

/// The bytes are the ones that were reported, and a report takes the place of the one before.
pub async fn capabilities_are_kept_byte_for_byte(store: impl Store) {
    add_client(&store, "c1", "d1").await;
    let bytes = Bytes::from_static(b"{ \"properties\" :\n{\"id\":\"d1\"} }\xff\0");
    let first = CapabilitiesRecord { document: bytes, ..capabilities("c1", "d1", 1) };
    assert_eq!(store.put_capabilities(first.clone()).await.expect("stores"), Recorded::Created);
    assert_eq!(store.devices().await.expect("reads")[0].capabilities, Some(first));
    let second = capabilities("c1", "d1", 2);
    assert_eq!(store.put_capabilities(second.clone()).await.expect("stores"), Recorded::Updated);
    let devices = store.devices().await.expect("reads");
    assert_eq!((devices.len(), &devices[0].capabilities), (1, &Some(second)));
}

/// Nobody's device is nobody's.
pub async fn capabilities_need_a_client(store: impl Store) {
    let unknown = store.put_capabilities(capabilities("c9", "d9", 1)).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
    assert_eq!(store.devices().await.expect("reads"), []);
}

/// A device behind a gateway that was not reported, even if it was onboarded, is refused and not stored (R-D-020,
/// R-C-004).
pub async fn a_device_comes_after_its_gateway(store: impl Store) {
    add_client(&store, "c1", "gw").await;
    let early = store.put_capabilities(capabilities("c1", "gw/plc", 1)).await;
    assert!(
        matches!(&early, Err(StoreError::NoGateway { gateway }) if *gateway == device_id("gw")),
        "{early:?}"
    );
    assert_eq!(store.devices().await.expect("reads").len(), 1, "nothing was stored");
    store.put_capabilities(capabilities("c1", "gw", 2)).await.expect("stores");
    let skipping = store.put_capabilities(capabilities("c1", "gw/line/plc", 3)).await;
    assert!(matches!(skipping, Err(StoreError::NoGateway { .. })), "{skipping:?}");
    store.put_capabilities(capabilities("c1", "gw/plc", 4)).await.expect("stores");
    let ids: Vec<_> =
        store.devices().await.expect("reads").into_iter().map(|device| device.device_id).collect();
    assert_eq!(ids, [device_id("gw"), device_id("gw/plc")], "by id");
}

/// Those behind a removed device go with it; those whose names merely begin alike stay (R-C-007).
pub async fn a_removed_gateway_takes_its_devices_along(store: impl Store) {
    add_client(&store, "c1", "gw").await;
    for (time, device) in ["gw", "gw/a", "gw/a/b", "gw/ab"].into_iter().enumerate() {
        store.put_capabilities(capabilities("c1", device, time)).await.expect("stores");
    }
    assert!(store.remove_device(&client_id("c1"), &device_id("gw/a")).await.expect("removes"));
    assert!(!store.remove_device(&client_id("c1"), &device_id("gw/a")).await.expect("removes"), "only once");
    let ids = async || {
        let devices = store.devices().await.expect("reads");
        devices.into_iter().map(|device| device.device_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids().await, ["gw", "gw/ab"]);
    let again = store.put_capabilities(capabilities("c1", "gw/a", 9)).await.expect("stores");
    assert_eq!(again, Recorded::Created, "it was forgotten");
    assert!(store.remove_device(&client_id("c1"), &device_id("gw")).await.expect("removes"));
    assert_eq!(ids().await, [""; 0]);
}

/// Device ids are unique for each client only (R-D-008).
pub async fn two_clients_may_have_devices_of_one_name(store: impl Store) {
    add_client(&store, "c1", "d1").await;
    add_client(&store, "c2", "d2").await;
    store.put_capabilities(capabilities("c1", "x", 1)).await.expect("stores");
    store.put_capabilities(capabilities("c2", "x", 2)).await.expect("stores");
    assert!(store.remove_device(&client_id("c1"), &device_id("x")).await.expect("removes"));
    let left: Vec<_> = store
        .devices()
        .await
        .expect("reads")
        .into_iter()
        .map(|device| format!("{}:{}", device.client_id, device.device_id))
        .collect();
    assert_eq!(left, ["c1:d1", "c2:d2", "c2:x"]);
}

/// The same bytes again are no news; other bytes are a conflict.
pub async fn a_version_of_an_application_never_changes(store: impl Store) {
    let record = application("app", "1.0", "a: 1", 1);
    assert_eq!(store.put_application(record.clone()).await.expect("stores"), Recorded::Created);
    let again = application("app", "1.0", "a: 1", 2);
    assert_eq!(store.put_application(again).await.expect("stores"), Recorded::Updated);
    let other = store.put_application(application("app", "1.0", "a: 2", 3)).await;
    assert!(matches!(other, Err(StoreError::Conflict { .. })), "{other:?}");
    let found = store.application(&record.application_id, "1.0").await.expect("reads").expect("there");
    assert_eq!((found.description, found.version.as_str()), (record.description, "1.0"));
    assert_eq!(store.applications().await.expect("reads").len(), 1);
}

/// Versions are not sorted: the one stored last is the last.
pub async fn applications_stay_in_the_order_they_were_stored(store: impl Store) {
    let stored = [("b", "2.0"), ("a", "1.10"), ("b", "1.0"), ("a", "1.9")];
    for (id, version) in stored {
        // All at the same time: only the order of the calls counts.
        store.put_application(application(id, version, "x", 1)).await.expect("stores");
    }
    let listed: Vec<_> = store
        .applications()
        .await
        .expect("reads")
        .into_iter()
        .map(|record| format!("{} {}", record.application_id, record.version))
        .collect();
    assert_eq!(listed, ["a 1.10", "a 1.9", "b 2.0", "b 1.0"], "by id");
}

/// Manifest, deployments and content are there at once.
pub async fn a_change_takes_the_place_of_what_it_was_made_from(store: impl Store) {
    add_client(&store, "c1", "d1").await;
    let change = change("c1", 1, &[deployment("a", "c1", 2)]);
    store.publish(vec![change.clone()]).await.expect("publishes");
    assert_eq!(store.manifest(&client_id("c1")).await.expect("reads"), Some(change.manifest.clone()));
    let digest = store.manifest_digest(&client_id("c1")).await.expect("reads");
    assert_eq!(digest, Some(change.manifest.digest));
    assert_eq!(
        store.deployment(&deployment_id("a")).await.expect("reads"),
        Some(change.deployments[0].clone())
    );
    assert_eq!(store.deployments(Some(&client_id("c1"))).await.expect("reads"), change.deployments);
}

/// A change is refused when somebody else was faster, and changes nothing (R-B-020).
pub async fn a_change_of_something_older_is_stale(store: impl Store) {
    add_client(&store, "c1", "d1").await;
    store.publish(vec![change("c1", 1, &[deployment("a", "c1", 2)])]).await.expect("publishes");
    let current = store.manifest(&client_id("c1")).await.expect("reads");
    for from in [1, 3] {
        let stale = store.publish(vec![change("c1", from, &[deployment("b", "c1", from + 1)])]).await;
        assert!(
            matches!(&stale, Err(StoreError::Stale { client_id: stale }) if *stale == client_id("c1")),
            "{stale:?}"
        );
    }
    assert_eq!(store.manifest(&client_id("c1")).await.expect("reads"), current);
    assert_eq!(store.deployments(None).await.expect("reads").len(), 1);
}

/// One stale client keeps all of them as they were.
pub async fn several_clients_change_together_or_not_at_all(store: impl Store) {
    for (client, device) in [("c1", "d1"), ("c2", "d2"), ("c3", "d3")] {
        add_client(&store, client, device).await;
    }
    store.publish(vec![change("c3", 1, &[deployment("x", "c3", 2)])]).await.expect("publishes");
    let together = |from| {
        vec![
            change("c1", 1, &[deployment("a", "c1", 2)]),
            change("c2", 1, &[deployment("b", "c2", 2)]),
            change("c3", from, &[deployment("c", "c3", from + 1)]),
        ]
    };
    let stale = store.publish(together(1)).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");
    assert_eq!(store.deployments(None).await.expect("reads").len(), 1);
    for client in ["c1", "c2"] {
        let manifest = store.manifest(&client_id(client)).await.expect("reads").expect("there");
        assert_eq!(manifest.version, ManifestVersion::FIRST);
    }
    store.publish(together(2)).await.expect("publishes");
    assert_eq!(store.deployments(None).await.expect("reads").len(), 4);
}

/// A change to a deployment does not move it.
pub async fn deployments_stay_in_the_order_they_were_created(store: impl Store) {
    add_client(&store, "c1", "d1").await;
    add_client(&store, "c2", "d2").await;
    let (z, m, a) = (deployment("z", "c1", 2), deployment("m", "c2", 2), deployment("a", "c1", 3));
    store.publish(vec![change("c1", 1, std::slice::from_ref(&z))]).await.expect("publishes");
    store.publish(vec![change("c2", 1, std::slice::from_ref(&m))]).await.expect("publishes");
    store.publish(vec![change("c1", 2, std::slice::from_ref(&a))]).await.expect("publishes");
    let changed = DeploymentRecord { changed_at: at(99), since: version(4), ..z };
    store.publish(vec![change("c1", 3, std::slice::from_ref(&changed))]).await.expect("publishes");
    assert_eq!(store.deployments(None).await.expect("reads"), [changed.clone(), m, a.clone()]);
    assert_eq!(store.deployments(Some(&client_id("c1"))).await.expect("reads"), [changed, a]);
}

/// An operator asks what became of it.
pub async fn a_deleted_deployment_is_still_known(store: impl Store) {
    add_client(&store, "c1", "d1").await;
    let record = deployment("a", "c1", 2);
    store.publish(vec![change("c1", 1, std::slice::from_ref(&record))]).await.expect("publishes");
    let deleted = DeploymentRecord { deleted_at: Some(at(5)), ..record };
    store.publish(vec![change("c1", 2, std::slice::from_ref(&deleted))]).await.expect("publishes");
    assert_eq!(store.deployment(&deleted.deployment_id).await.expect("reads"), Some(deleted.clone()));
    store.put_status(status("c1", "a", 6)).await.expect("its device may still report");
    assert_eq!(store.deployments(None).await.expect("reads"), [deleted]);
}

/// A device that fetches what an earlier manifest named is served, [`KEPT_MANIFESTS`] manifests long (R-B-024,
/// MI-020);
/// what was left behind by then is gone, and what never changed is there.
pub async fn the_content_of_kept_manifests_can_be_fetched(store: impl Store) {
    add_client(&store, "c1", "d1").await;
    let client = client_id("c1");
    let fetch = async |kind, digest| store.content(&client, kind, digest).await.expect("reads");
    let mut contents = Vec::new();
    let steady = deployment("steady", "c1", 2);
    for from in 1..=KEPT_MANIFESTS + 2 {
        // One deployment, with other content in each version.
        let record = deployment_with("a", "c1", from + 1, &format!("id: a # {from}"));
        let mut change = change("c1", from, std::slice::from_ref(&record));
        change.deployments.extend((from == 1).then(|| steady.clone()));
        contents.push((record, change.manifest.bundle.clone().expect("a bundle")));
        store.publish(vec![change]).await.expect("publishes");
    }
    assert_eq!(fetch(ContentKind::Deployment, steady.digest).await, Some(steady.document));
    let kept = contents.len() - usize::try_from(KEPT_MANIFESTS).unwrap_or_default();
    for (index, (record, (bundle, bytes))) in contents.into_iter().enumerate() {
        let expected = |bytes| (index >= kept).then_some(bytes);
        assert_eq!(fetch(ContentKind::Deployment, record.digest).await, expected(record.document), "{index}");
        assert_eq!(fetch(ContentKind::Bundle, bundle).await, expected(bytes), "{index}");
        assert_eq!(fetch(ContentKind::Bundle, record.digest).await, None, "a document is no bundle");
        assert_eq!(fetch(ContentKind::Deployment, bundle).await, None, "a bundle is no document");
    }
}

/// What one client is to run is nobody else's business (R-D-008), even if it is the same.
pub async fn content_is_for_its_client_alone(store: impl Store) {
    for (client, device) in [("c1", "d1"), ("c2", "d2")] {
        add_client(&store, client, device).await;
    }
    let record = deployment("a", "c1", 2);
    let change = change("c1", 1, std::slice::from_ref(&record));
    let (bundle, _) = change.manifest.bundle.clone().expect("a bundle");
    store.publish(vec![change]).await.expect("publishes");
    for (kind, digest) in [(ContentKind::Deployment, record.digest), (ContentKind::Bundle, bundle)] {
        assert!(store.content(&client_id("c1"), kind, digest).await.expect("reads").is_some());
        assert_eq!(store.content(&client_id("c2"), kind, digest).await.expect("reads"), None);
    }
}

/// A report about nothing, or by somebody else, is refused and not stored.
pub async fn a_report_needs_a_deployment_of_its_client(store: impl Store) {
    for (client, device) in [("c1", "d1"), ("c2", "d2")] {
        add_client(&store, client, device).await;
    }
    store.publish(vec![change("c1", 1, &[deployment("a", "c1", 2)])]).await.expect("publishes");
    for report in [status("c1", "b", 1), status("c2", "a", 1)] {
        let refused = store.put_status(report).await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    assert_eq!(store.statuses(None).await.expect("reads"), []);
    let mut report = status("c1", "a", 2);
    report.device_id = Some(device_id("d1"));
    report.document = Bytes::from_static(b"{\n}\xff");
    assert_eq!(store.put_status(report.clone()).await.expect("stores"), Recorded::Created);
    assert_eq!(store.statuses(Some(&client_id("c1"))).await.expect("reads"), [report]);
    assert_eq!(store.statuses(Some(&client_id("c2"))).await.expect("reads"), []);
}

/// The latest report and [`KEPT_REPORTS`] before it, oldest first.
pub async fn the_latest_reports_are_kept(store: impl Store) {
    add_client(&store, "c1", "d1").await;
    let deployments = [deployment("a", "c1", 2), deployment("b", "c1", 2)];
    store.publish(vec![change("c1", 1, &deployments)]).await.expect("publishes");
    store.put_status(status("c1", "b", 0)).await.expect("stores");
    let kept = usize::try_from(KEPT_REPORTS).unwrap_or_default() + 1;
    let total = kept + 3;
    for time in 0..total {
        let expected = if time == 0 { Recorded::Created } else { Recorded::Updated };
        assert_eq!(store.put_status(status("c1", "a", time)).await.expect("stores"), expected);
    }
    let history = store.status_history(&deployment_id("a")).await.expect("reads");
    let expected: Vec<_> = (total - kept..total).map(|time| status("c1", "a", time)).collect();
    assert_eq!(history, expected);
    let latest = store.statuses(None).await.expect("reads");
    assert_eq!(latest.len(), 2);
    assert!(latest.contains(&status("c1", "a", total - 1)) && latest.contains(&status("c1", "b", 0)));
    assert_eq!(store.status_history(&deployment_id("b")).await.expect("reads").len(), 1);
}

/// Everybody who tries again until nobody was faster gets through, and each version exists once.
pub async fn writers_of_one_client_lose_nothing(store: impl Store) {
    const WRITERS: u64 = 8;
    const CHANGES: u64 = 4;
    let store = Arc::new(store);
    add_client(&*store, "c1", "d1").await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for round in 0..CHANGES {
                    add_deployment(&*store, &format!("{writer}-{round}")).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer finishes");
    }
    let manifest = store.manifest(&client_id("c1")).await.expect("reads").expect("there");
    assert_eq!(manifest.version, version(1 + WRITERS * CHANGES));
    let deployments = store.deployments(None).await.expect("reads");
    let ids: BTreeSet<_> = deployments.iter().map(|record| record.deployment_id.clone()).collect();
    let versions: BTreeSet<_> = deployments.iter().map(|record| record.since).collect();
    assert_eq!((ids.len(), versions.len()), (deployments.len(), deployments.len()));
    assert_eq!(deployments.len() as u64, WRITERS * CHANGES);
}

/// Reports that arrive at the same time are all kept, and exactly one of them was the first.
pub async fn reporters_lose_nothing(store: impl Store) {
    const REPORTS: usize = 40;
    let store = Arc::new(store);
    add_client(&*store, "c1", "d1").await;
    store.publish(vec![change("c1", 1, &[deployment("a", "c1", 2)])]).await.expect("publishes");
    let reporters: Vec<_> = (0..REPORTS)
        .map(|time| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.put_status(status("c1", "a", time)).await.expect("stores") })
        })
        .collect();
    let mut first = 0;
    for reporter in reporters {
        first += usize::from(reporter.await.expect("a reporter finishes") == Recorded::Created);
    }
    assert_eq!(first, 1);
    let history = store.status_history(&deployment_id("a")).await.expect("reads");
    let times: BTreeSet<_> = history.iter().map(|report| report.received_at).collect();
    assert_eq!((history.len(), times.len()), (REPORTS, REPORTS));
}

/// Different writers of different things at the same time, and each finds everything in the end.
pub async fn changes_reports_and_capabilities_do_not_disturb_one_another(store: impl Store) {
    const ROUNDS: usize = 10;
    let store = Arc::new(store);
    add_client(&*store, "c1", "gw").await;
    store.put_capabilities(capabilities("c1", "gw", 0)).await.expect("stores");
    store.publish(vec![change("c1", 1, &[deployment("a", "c1", 2)])]).await.expect("publishes");
    let operator = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for round in 0..ROUNDS {
                add_deployment(&*store, &format!("o-{round}")).await;
            }
        }
    });
    let reporter = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for round in 0..ROUNDS {
                store.put_status(status("c1", "a", round)).await.expect("stores");
            }
        }
    });
    let device = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for round in 0..ROUNDS {
                store
                    .put_capabilities(capabilities("c1", &format!("gw/{round}"), round))
                    .await
                    .expect("stores");
                store.note_fetched(&client_id("c1"), version(round as u64 + 1)).await.expect("notes");
            }
        }
    });
    for writer in [operator, reporter, device] {
        writer.await.expect("a writer finishes");
    }
    assert_eq!(store.deployments(None).await.expect("reads").len(), 1 + ROUNDS);
    assert_eq!(store.status_history(&deployment_id("a")).await.expect("reads").len(), ROUNDS);
    assert_eq!(store.devices().await.expect("reads").len(), 1 + ROUNDS);
    let client = store.client(&client_id("c1")).await.expect("reads").expect("there");
    assert_eq!(client.fetched, Some(version(ROUNDS as u64)));
}

/// Adds one deployment to `c1`, however often somebody else is faster.
async fn add_deployment(store: &impl Store, id: &str) {
    loop {
        let current = store.manifest(&client_id("c1")).await.expect("reads").expect("there").version.get();
        match store.publish(vec![change("c1", current, &[deployment(id, "c1", current + 1)])]).await {
            Ok(()) => return,
            Err(StoreError::Stale { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{}", crate::chain(&error)),
        }
    }
}

async fn add_client(store: &impl Store, client_id: &str, device_id: &str) -> ClientRecord {
    let record = client(client_id, device_id);
    store.add_client(record.clone(), first_manifest()).await.expect("adds");
    record
}

fn client(client: &str, device: &str) -> ClientRecord {
    ClientRecord::new(
        client_id(client),
        device_id(device),
        SpecVersion::V1_0_0Rc3,
        TokenHash::of(&format!("token of {client}")),
        TokenHash::of(&format!("Git token of {client}")),
        at(0),
    )
}

fn first_manifest() -> ManifestRecord {
    let json = Bytes::from_static(br#"{"bundle":null,"deployments":[],"manifestVersion":1}"#);
    ManifestRecord::new(ManifestVersion::FIRST, json, None)
}

fn capabilities(client: &str, device: &str, time: usize) -> CapabilitiesRecord {
    CapabilitiesRecord::new(
        client_id(client),
        device_id(device),
        SpecVersion::V1_0_0Rc3,
        Bytes::from(format!("capabilities of {device} at {time}")),
        at(time),
    )
}

fn application(id: &str, version: &str, description: &str, time: usize) -> ApplicationRecord {
    let description = Bytes::from(description.to_owned());
    ApplicationRecord::new(application_id(id), version.to_owned(), description, at(time))
}

fn deployment(id: &str, client: &str, since: u64) -> DeploymentRecord {
    deployment_with(id, client, since, &format!("id: {id}\nsince: {since}\n"))
}

fn deployment_with(id: &str, client: &str, since: u64, document: &str) -> DeploymentRecord {
    DeploymentRecord::new(
        deployment_id(id),
        client_id(client),
        "gw/*".parse().expect("a target"),
        application_id("app"),
        "1.0".to_owned(),
        "profile".to_owned(),
        "namespace".to_owned(),
        BTreeMap::from([("list".to_owned(), serde_json::json!([1, 2.5, "x", null, {"y": u64::MAX}]))]),
        Bytes::from(document.to_owned()),
        version(since),
        at(1),
    )
}

/// A step to the next version, whose bundle differs in every version.
fn change(client: &str, from: u64, deployments: &[DeploymentRecord]) -> Change {
    let manifest = Bytes::from(format!("manifest {} of {client}", from + 1));
    let bundle = Bytes::from(format!("bundle {} of {client}", from + 1));
    let manifest = ManifestRecord::new(version(from + 1), manifest, Some(bundle));
    Change::new(client_id(client), version(from), manifest, deployments.to_vec())
}

fn status(client: &str, deployment: &str, time: usize) -> StatusRecord {
    StatusRecord::new(
        client_id(client),
        deployment_id(deployment),
        None,
        SpecVersion::PreDraft,
        Bytes::from(format!("report {time} on {deployment}")),
        at(time),
    )
}

/// Microseconds, because a store may round below them.
fn at(time: usize) -> Timestamp {
    let time = i64::try_from(time).unwrap_or_default();
    Timestamp::from_microsecond(1_700_000_000_000_000 + time).expect("a time")
}

fn version(number: u64) -> ManifestVersion {
    ManifestVersion::new(number).expect("a version")
}

fn client_id(id: &str) -> ClientId {
    id.parse().expect("an id")
}

fn device_id(id: &str) -> DeviceId {
    id.parse().expect("an id")
}

fn deployment_id(id: &str) -> DeploymentId {
    id.parse().expect("an id")
}

fn application_id(id: &str) -> ApplicationId {
    id.parse().expect("an id")
}

#[cfg(test)]
mod tests {
    /// A sentence that no macro makes a test of would be passed by everybody.
    #[test]
    fn every_sentence_is_examined() {
        let source = include_str!("examination.rs");
        let (list, sentences) = source.split_once("(@sentences").unwrap();
        let named = sentences.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('('));
        let named: Vec<_> = named.map(|(name, _)| name).collect();
        assert!(named.len() > 20);
        for name in named {
            assert!(list.contains(&format!(" {name}\n")), "{name}");
        }
    }
}
