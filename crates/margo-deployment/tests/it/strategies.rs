//! Documents of every form, for properties.

use margo_core::{DeploymentId, Digest, Extensions, ManifestVersion};
use margo_deployment::{
    AnyApplicationDeployment, ApplicationDeployment, BundleRef, CapacityRequirements, Component,
    CpuRequirement, DeploymentProfile, DeploymentRef, DesiredStateManifest, DeviceConstraints,
    EligibilityRule, MatchExpression, Metadata, Operator, Package, Parameter, ProfileType, Selector, Spec,
    Target, pre_draft, rc1, rc2,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("true")),
        Just(json!("1.0")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Supplier extensions, and nothing else: what every object allows.
pub(crate) fn extensions() -> impl Strategy<Value = Extensions> {
    let extensions = btree_map("x-[a-z][a-z0-9-]{0,5}-extensions", json_value(), 0..3);
    extensions.prop_map(|extensions| extensions.into_iter().collect())
}

pub(crate) fn deployment_id() -> impl Strategy<Value = DeploymentId> {
    "[A-Za-z0-9_~-]{1,40}".prop_map(|id| id.parse().unwrap())
}

fn package(kind: PackageKind) -> BoxedStrategy<Package> {
    let oci = ("[a-z]{1,8}", "[0-9]\\.[1-9][0-9]{0,1}\\.[0-9](-rc\\.[1-9])?(_[a-z]{1,3})?").prop_map(
        |(name, revision)| Package::oci(format!("oci://registry.example/{name}"), revision.parse().unwrap()),
    );
    let archive = ("[a-z]{1,8}", option::of("[a-z]{1,8}")).prop_map(|(name, key)| Package::Archive {
        package_location: format!("https://example.com/{name}.tar.gz"),
        key_location: key.map(|key| format!("https://example.com/{key}.asc")),
    });
    match kind {
        PackageKind::Oci => oci.boxed(),
        PackageKind::Archive => archive.boxed(),
        PackageKind::Any => prop_oneof![oci, archive].boxed(),
    }
}

#[derive(Clone, Copy)]
enum PackageKind {
    Oci,
    Archive,
    Any,
}

fn components(kind: PackageKind) -> impl Strategy<Value = Vec<Component>> {
    let component = (package(kind), option::of(any::<bool>()), option::of(0_u64..90_000), extensions());
    btree_map("[a-z0-9-]{1,12}", component, 1..4).prop_map(|components| {
        components
            .into_iter()
            .map(|(name, (package, wait, timeout, extensions))| {
                let mut component = Component::new(name.parse().unwrap(), package);
                component.properties.wait = wait;
                component.properties.timeout = timeout.map(|s| std::time::Duration::from_secs(s).into());
                component.extensions = extensions;
                component
            })
            .collect()
    })
}

fn selector() -> impl Strategy<Value = Selector> {
    let operator = prop::sample::select(Operator::KNOWN);
    let expression = ("/[a-z]{1,8}", operator, option::of(vec(json_value(), 0..3)));
    let expression = expression.prop_map(|(key, operator, values)| {
        let mut expression = MatchExpression::new(key, operator);
        expression.values = values;
        expression
    });
    let leaf = vec(expression, 0..3).prop_map(Selector::new);
    leaf.prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), inner).prop_map(|(mut outer, item)| {
            let mut expression = MatchExpression::new("/items", Operator::ContainsAll);
            expression.item_selector = Some(Box::new(item));
            outer.match_expressions.push(expression);
            outer
        })
    })
}

fn constraints() -> impl Strategy<Value = DeviceConstraints> {
    let rule = (option::of(selector()), option::of(selector())).prop_map(|(property, label)| {
        let mut rule = EligibilityRule::default();
        rule.property_selector = property;
        rule.label_selector = label;
        rule
    });
    (option::of(0_u64..64), option::of("[0-9]{1,4}(Mi|Gi)"), option::of(vec(rule, 0..3)), extensions())
        .prop_map(|(cores, memory, rules, extensions)| {
            let mut capacity = CapacityRequirements::default();
            capacity.cpu = cores.map(CpuRequirement::new);
            capacity.memory = memory.map(Into::into);
            let mut constraints = DeviceConstraints::default();
            constraints.capacity_requirements = Some(capacity);
            constraints.eligibility_rules = rules;
            constraints.extensions = extensions;
            constraints
        })
}

fn parameters() -> impl Strategy<Value = Vec<(String, Parameter)>> {
    let target = ("[A-Za-z.]{1,12}", vec("[a-z]{1,6}", 0..3)).prop_map(|(pointer, components)| {
        Target::new(pointer, components.into_iter().map(|name| name.parse().unwrap()))
    });
    let parameter =
        (json_value(), vec(target, 0..3)).prop_map(|(value, targets)| Parameter::new(value, targets));
    btree_map("\\PC{1,8}", parameter, 0..4).prop_map(|parameters| parameters.into_iter().collect())
}

pub(crate) fn deployment() -> impl Strategy<Value = ApplicationDeployment> {
    let profile_type = prop::sample::select(ProfileType::KNOWN);
    let profile = (profile_type, components(PackageKind::Any), option::of(constraints()), extensions());
    let metadata = (
        ".{1,12}",
        "[a-z]{1,8}",
        "[a-z]{1,8}(/[a-z]{1,8}){0,2}(/\\*)?",
        btree_map("[a-z]{1,4}", ".{0,8}", 0..3),
    );
    (deployment_id(), metadata, "[a-z0-9-]{1,40}", profile, parameters(), extensions()).prop_map(
        |(id, (name, namespace, target, labels), application, profile, parameters, extensions)| {
            let (profile_type, components, constraints, profile_extensions) = profile;
            let mut profile = DeploymentProfile::new(profile_type, components);
            profile.device_constraints = constraints;
            profile.extensions = profile_extensions;
            let mut metadata = Metadata::new(name, namespace, target.parse().unwrap());
            metadata.labels = labels;
            let mut spec = Spec::new(application.parse().unwrap(), profile);
            spec.parameters = parameters.into_iter().collect();
            let mut deployment = ApplicationDeployment::new(id, metadata, spec);
            deployment.extensions = extensions;
            deployment
        },
    )
}

pub(crate) fn pre_draft_deployment() -> impl Strategy<Value = pre_draft::ApplicationDeployment> {
    let chart = components(PackageKind::Oci)
        .prop_map(|components| pre_draft::DeploymentProfile::new(pre_draft::ProfileType::HelmV3, components));
    let archive = components(PackageKind::Archive).prop_map(|components| {
        pre_draft::DeploymentProfile::new(pre_draft::ProfileType::DockerCompose, components)
    });
    let other = components(PackageKind::Any)
        .prop_map(|components| pre_draft::DeploymentProfile::new("unikernel".into(), components));
    let version = prop_oneof![4 => Just(pre_draft::API_VERSION.to_owned()), 1 => ".{1,8}"];
    let unknown = prop_oneof![4 => Just(Extensions::new()), 1 => extensions()];
    (version, deployment_id(), prop_oneof![chart, archive, other], parameters(), unknown).prop_map(
        |(version, id, profile, parameters, extensions)| {
            let annotations = pre_draft::Annotations::new(id, "pump-monitor".parse().unwrap());
            let metadata = pre_draft::Metadata::new(annotations, "pump-monitor", "plant");
            let mut spec = pre_draft::Spec::new(profile);
            // Reading takes one `ENV.` off, so a value that was read has none left to take.
            let plain = |(_, parameter): &(String, Parameter)| {
                !parameter.targets.iter().any(|target| target.pointer.starts_with("ENV."))
            };
            spec.parameters = parameters.into_iter().filter(plain).collect();
            spec.extensions = extensions;
            let mut deployment = pre_draft::ApplicationDeployment::new(metadata, spec);
            deployment.api_version = version;
            deployment
        },
    )
}

pub(crate) fn manifest() -> impl Strategy<Value = DesiredStateManifest> {
    let references = btree_map(deployment_id(), (any::<[u8; 32]>(), option::of(any::<u64>())), 0..4);
    (1..=u64::MAX, any::<[u8; 32]>(), references, extensions()).prop_map(
        |(version, bundle, references, extensions)| {
            let bundle = (!references.is_empty()).then(|| BundleRef::new(Digest::from(bundle), version));
            let reference = |(id, (digest, size))| {
                let mut reference = DeploymentRef::new(id, Digest::from(digest));
                reference.size_bytes = size;
                reference
            };
            let references = references.into_iter().map(reference).collect();
            let mut manifest =
                DesiredStateManifest::new(ManifestVersion::new(version).unwrap(), bundle, references);
            manifest.extensions = extensions;
            manifest
        },
    )
}

/// Where reading takes one `ENV.` off, a value that was read has none left to take.
fn plain_parameters() -> impl Strategy<Value = Vec<(String, Parameter)>> {
    parameters().prop_map(|parameters| {
        let is_plain = |(_, parameter): &(String, Parameter)| {
            !parameter.targets.iter().any(|target| target.pointer.starts_with("ENV."))
        };
        parameters.into_iter().filter(is_plain).collect()
    })
}

fn api_version(canonical: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(canonical.to_owned()), 1 => ".{1,8}"]
}

fn rarely(extensions: impl Strategy<Value = Extensions>) -> impl Strategy<Value = Extensions> {
    prop_oneof![4 => Just(Extensions::new()), 1 => extensions]
}

/// The type of a profile in 1.0.0-rc.1 and 1.0.0-rc.2, and components of its kind.
fn older_profile() -> impl Strategy<Value = (&'static str, Vec<Component>)> {
    prop_oneof![
        components(PackageKind::Oci).prop_map(|components| ("helm", components)),
        components(PackageKind::Archive).prop_map(|components| ("compose", components)),
        components(PackageKind::Any).prop_map(|components| ("unikernel", components)),
    ]
}

pub(crate) fn rc1_deployment() -> impl Strategy<Value = rc1::ApplicationDeployment> {
    let labels = btree_map("[a-z]{1,4}", ".{0,8}", 0..3);
    (
        api_version(rc1::API_VERSION),
        deployment_id(),
        older_profile(),
        plain_parameters(),
        rarely(extensions()),
        labels,
    )
        .prop_map(|(version, id, (profile_type, components), parameters, extensions, labels)| {
            let annotations = rc1::Annotations::new(id, "pump-monitor".parse().unwrap());
            let mut metadata = rc1::Metadata::new(annotations, "pump-monitor", "plant");
            metadata.labels = labels;
            let mut spec = rc1::Spec::new(rc1::DeploymentProfile::new(profile_type.into(), components));
            spec.parameters = parameters.into_iter().collect();
            spec.extensions = extensions;
            let mut deployment = rc1::ApplicationDeployment::new(metadata, spec);
            deployment.api_version = version;
            deployment
        })
}

pub(crate) fn rc2_deployment() -> impl Strategy<Value = rc2::ApplicationDeployment> {
    let metadata = ("[a-z]{1,8}(/[a-z]{1,8}){0,2}(/\\*)?", btree_map("[a-z]{1,4}", ".{0,8}", 0..3));
    (
        api_version(rc2::API_VERSION),
        deployment_id(),
        older_profile(),
        plain_parameters(),
        rarely(extensions()),
        metadata,
    )
        .prop_map(
            |(version, id, (profile_type, components), parameters, extensions, (target, labels))| {
                let mut metadata = rc2::Metadata::new("pump-monitor", "plant", target.parse().unwrap());
                metadata.labels = labels;
                let profile = rc2::DeploymentProfile::new(profile_type.into(), components);
                let mut spec = rc2::Spec::new("pump-monitor".parse().unwrap(), profile);
                spec.parameters = parameters.into_iter().collect();
                spec.extensions = extensions;
                let mut deployment = rc2::ApplicationDeployment::new(id, metadata, spec);
                deployment.api_version = version;
                deployment
            },
        )
}

/// A deployment of any revision.
pub(crate) fn any_deployment() -> impl Strategy<Value = AnyApplicationDeployment> {
    prop_oneof![
        deployment().prop_map(AnyApplicationDeployment::Rc3),
        rc2_deployment().prop_map(AnyApplicationDeployment::Rc2),
        rc1_deployment().prop_map(AnyApplicationDeployment::Rc1),
        pre_draft_deployment().prop_map(AnyApplicationDeployment::PreDraft),
    ]
}
