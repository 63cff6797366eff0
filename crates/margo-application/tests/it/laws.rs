use std::collections::BTreeMap;

use margo_application::rc1::{
    Architecture, InterfaceType, PeripheralType, RequiredCpu, RequiredInterface, RequiredPeripheral,
    RequiredResources,
};
use margo_application::{
    AnyApplicationDescription, ApplicationDescription, Author, Catalog, Configuration, DataType,
    DescriptionProfile, Instantiation, Metadata, Organization, ParameterDefinition, Schema, Section, Setting,
    check_description, check_values, instantiate, pre_draft, rc1, rc2,
};
use margo_core::{Extensions, Level, SpecVersion, Strictness};
use margo_deployment::pre_draft::ProfileType as PreDraftProfileType;
use margo_deployment::{ApplicationDeployment, Component, Operator, Package, ProfileType, Target};
use margo_syntax::{Format, Limits};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::conversion;

const PLACES: &[&str] = &[
    "",
    "/id",
    "/kind",
    "/metadata",
    "/metadata/id",
    "/metadata/version",
    "/deploymentProfiles",
    "/deploymentProfiles/0",
    "/deploymentProfiles/0/type",
    "/deploymentProfiles/0/components",
    "/deploymentProfiles/0/components/0",
    "/deploymentProfiles/0/requiredResources",
    "/deploymentProfiles/0/requiredResources/cpu",
    "/deploymentProfiles/0/requiredResources/cpu/architectures",
    "/deploymentProfiles/0/requiredResources/memory",
    "/deploymentProfiles/0/deviceConstraints",
    "/deploymentProfiles/0/deviceConstraints/eligibilityRules",
    "/parameters",
    "/parameters/p/targets/0",
    "/parameters/p/targets/0/components",
    "/configuration/schema",
];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("12")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| vec(inner, 0..3).prop_map(Value::from))
}

fn extensions() -> impl Strategy<Value = Extensions> {
    let extensions = btree_map("x-[a-z][a-z0-9-]{0,5}-extensions", json_value(), 0..2);
    extensions.prop_map(|extensions| extensions.into_iter().collect())
}

fn components(package: impl Strategy<Value = Package>) -> impl Strategy<Value = Vec<Component>> {
    btree_map("[a-c]", (package, extensions()), 1..4).prop_map(|components| {
        let component = |(name, (package, extensions)): (String, _)| {
            let mut component = Component::new(name.parse().unwrap(), package);
            component.extensions = extensions;
            component
        };
        components.into_iter().map(component).collect()
    })
}

fn oci() -> impl Strategy<Value = Package> {
    ("[a-z]{1,8}", "[0-9]\\.[0-9]\\.[0-9]").prop_map(|(name, revision)| {
        Package::oci(format!("oci://registry.example/{name}"), revision.parse().unwrap())
    })
}

fn archive() -> impl Strategy<Value = Package> {
    "[a-z]{1,8}".prop_map(|name| Package::archive(format!("https://example.com/{name}.tar.gz")))
}

fn catalog() -> impl Strategy<Value = Catalog> {
    (vec(".{1,8}", 0..3), option::of(".{0,8}")).prop_map(|(organizations, author)| {
        let mut catalog = Catalog::new(organizations.into_iter().map(Organization::new).collect());
        catalog.author = author
            .into_iter()
            .map(|name| {
                let mut author = Author::default();
                author.name = Some(name);
                author
            })
            .collect();
        catalog
    })
}

fn parameters() -> impl Strategy<Value = BTreeMap<String, ParameterDefinition>> {
    let target = ("[a-z.]{1,8}", vec("[a-d]", 0..3)).prop_map(|(pointer, components)| {
        Target::new(pointer, components.into_iter().map(|name| name.parse().unwrap()))
    });
    let definition = (option::of(json_value()), vec(target, 0..3)).prop_map(|(value, targets)| {
        let mut definition = ParameterDefinition::new(targets);
        definition.value = value;
        definition
    });
    btree_map("[p-s]", definition, 0..4)
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let data_type = prop::sample::select(DataType::KNOWN);
    let schema =
        ("[s-u]", data_type, any::<bool>(), option::of(0_u64..5), option::of(vec(json_value(), 0..3)));
    let schema = schema.prop_map(|(name, data_type, allow_empty, bound, options)| {
        let mut schema = Schema::new(name, data_type);
        schema.allow_empty = allow_empty;
        schema.min_length = bound;
        schema.max_value = bound.map(Into::into);
        schema.max_precision = bound;
        schema.regex_match = bound.map(|bound| format!("^.{{{bound}}}"));
        schema.options = options;
        schema
    });
    let setting = ("[p-t]", "[s-u]", any::<bool>()).prop_map(|(parameter, schema, immutable)| {
        let mut setting = Setting::new(parameter, "Name", schema);
        setting.immutable = immutable;
        setting
    });
    (vec(setting, 0..4), vec(schema, 0..3))
        .prop_map(|(settings, schema)| Configuration::new(vec![Section::new("Section", settings)], schema))
}

fn description() -> impl Strategy<Value = ApplicationDescription> {
    let profile =
        (prop::sample::select(ProfileType::KNOWN), components(prop_oneof![oci(), archive()]), extensions());
    let profiles = vec(profile, 1..3).prop_map(|profiles| {
        let profile = |(index, (profile_type, components, extensions))| {
            let mut profile = DescriptionProfile::new(profile_type, format!("profile-{index}"), components);
            profile.extensions = extensions;
            profile
        };
        profiles.into_iter().enumerate().map(profile).collect::<Vec<_>>()
    });
    let version = prop_oneof![Just("1.0".to_owned()), Just("1e3".to_owned()), ".{0,8}"];
    (catalog(), version, profiles, parameters(), option::of(configuration()), extensions()).prop_map(
        |(catalog, version, profiles, parameters, configuration, extensions)| {
            let metadata = Metadata::new("Name", version, catalog);
            let mut description =
                ApplicationDescription::new("pump-monitor".parse().unwrap(), metadata, profiles);
            description.parameters = parameters;
            description.configuration = configuration;
            description.extensions = extensions;
            description
        },
    )
}

fn pre_draft_description() -> impl Strategy<Value = pre_draft::ApplicationDescription> {
    let profile = prop_oneof![
        components(oci())
            .prop_map(|components| pre_draft::Profile::new(PreDraftProfileType::HelmV3, components)),
        components(archive())
            .prop_map(|components| pre_draft::Profile::new(PreDraftProfileType::DockerCompose, components)),
    ];
    (catalog(), ".{0,8}", vec(profile, 1..3), parameters(), option::of(configuration()), extensions())
        .prop_map(|(catalog, version, profiles, parameters, configuration, extensions)| {
            let metadata =
                pre_draft::Metadata::new("line-dashboard".parse().unwrap(), "Name", version, catalog);
            let mut description = pre_draft::ApplicationDescription::new(metadata, profiles);
            description.parameters = parameters;
            description.configuration = configuration;
            description.extensions = extensions;
            description
        })
}

fn required() -> impl Strategy<Value = RequiredResources> {
    let architectures = option::of(vec(prop::sample::select(Architecture::KNOWN), 0..3));
    let cpu = (1_u64..64, architectures).prop_map(|(cores, architectures)| {
        let mut cpu = RequiredCpu::new(cores);
        cpu.architectures = architectures;
        cpu
    });
    let peripheral =
        (prop::sample::select(PeripheralType::KNOWN), option::of(".{0,6}"), option::of(".{0,6}")).prop_map(
            |(peripheral_type, manufacturer, model)| {
                let mut peripheral = RequiredPeripheral::new(peripheral_type);
                peripheral.manufacturer = manufacturer;
                peripheral.model = model;
                peripheral
            },
        );
    let interface = prop_oneof![
        prop::sample::select(InterfaceType::KNOWN),
        "[a-z]{1,4}".prop_map(|text| text.as_str().into()),
    ]
    .prop_map(RequiredInterface::new);
    let amount = || option::of("[0-9]{1,4}(Ki|Mi|Gi)".prop_map(Into::into));
    (option::of(cpu), amount(), amount(), vec(peripheral, 0..3), vec(interface, 0..3)).prop_map(
        |(cpu, memory, storage, peripherals, interfaces)| {
            let mut required = RequiredResources::default();
            required.cpu = cpu;
            required.memory = memory;
            required.storage = storage;
            required.peripherals = peripherals;
            required.interfaces = interfaces;
            required
        },
    )
}

/// What a profile of 1.0.0-rc.1 or 1.0.0-rc.2 is made of.
type OlderProfile = (&'static str, Vec<Component>, Option<String>, Option<RequiredResources>);

fn older_profiles() -> impl Strategy<Value = Vec<OlderProfile>> {
    let parts = prop_oneof![
        components(oci()).prop_map(|components| ("helm", components)),
        components(archive()).prop_map(|components| ("compose", components)),
    ];
    let profile = (parts, option::of(".{0,8}"), option::of(required()));
    let profile =
        profile.prop_map(|((kind, components), about, required)| (kind, components, about, required));
    vec(profile, 1..3)
}

fn api_version() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(rc1::API_VERSION.to_owned()), 1 => ".{1,8}"]
}

fn rc1_description() -> impl Strategy<Value = rc1::ApplicationDescription> {
    let configuration = option::of(configuration());
    (catalog(), api_version(), older_profiles(), parameters(), configuration, rarely()).prop_map(
        |(catalog, version, profiles, parameters, configuration, extensions)| {
            let profile = |(index, (kind, components, about, required)): (usize, OlderProfile)| {
                let mut profile = rc1::Profile::new(kind.into(), format!("profile.{index}"), components);
                profile.description = about;
                profile.required_resources = required;
                profile
            };
            let profiles = profiles.into_iter().enumerate().map(profile).collect();
            let metadata = rc1::Metadata::new("line-dashboard".parse().unwrap(), "Name", "1.0", catalog);
            let mut description = rc1::ApplicationDescription::new(metadata, profiles);
            description.api_version = version;
            description.parameters = parameters;
            description.configuration = configuration;
            description.extensions = extensions;
            description
        },
    )
}

fn rc2_description() -> impl Strategy<Value = rc2::ApplicationDescription> {
    let configuration = option::of(configuration());
    (catalog(), api_version(), older_profiles(), parameters(), configuration, rarely()).prop_map(
        |(catalog, version, profiles, parameters, configuration, extensions)| {
            let profile = |(index, (kind, components, about, required)): (usize, OlderProfile)| {
                let mut profile = rc2::Profile::new(kind.into(), format!("profile.{index}"), components);
                profile.description = about;
                profile.required_resources = required;
                profile
            };
            let profiles = profiles.into_iter().enumerate().map(profile).collect();
            let id = "line-dashboard".parse().unwrap();
            let mut description =
                rc2::ApplicationDescription::new(id, Metadata::new("Name", "1.0", catalog), profiles);
            description.api_version = version;
            description.parameters = parameters;
            description.configuration = configuration;
            description.extensions = extensions;
            description
        },
    )
}

fn rarely() -> impl Strategy<Value = Extensions> {
    prop_oneof![4 => Just(Extensions::new()), 1 => extensions()]
}

/// A description of any revision.
fn any_description() -> impl Strategy<Value = AnyApplicationDescription> {
    prop_oneof![
        description().prop_map(AnyApplicationDescription::Rc3),
        rc2_description().prop_map(AnyApplicationDescription::Rc2),
        rc1_description().prop_map(AnyApplicationDescription::Rc1),
        pre_draft_description().prop_map(AnyApplicationDescription::PreDraft),
    ]
}

fn limits() -> Limits {
    Limits::default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_description_survives_its_text(description in description()) {
        let yaml = description.to_yaml().unwrap();
        let read = AnyApplicationDescription::parse(yaml.as_bytes(), &limits()).unwrap();
        prop_assert_eq!(read, AnyApplicationDescription::Rc3(description));
    }

    #[test]
    fn a_pre_draft_description_survives_its_text(description in pre_draft_description()) {
        let yaml = description.to_yaml().unwrap();
        let read = AnyApplicationDescription::parse(yaml.as_bytes(), &limits()).unwrap();
        prop_assert_eq!(&read, &AnyApplicationDescription::PreDraft(description));
        // What an upgrade makes is a document of the newest revision.
        let upgraded = read.upgrade();
        prop_assert!(upgraded.losses.is_empty());
        let yaml = upgraded.value.to_yaml().unwrap();
        prop_assert_eq!(ApplicationDescription::parse(yaml.as_bytes(), &limits()), Ok(upgraded.value));
    }

    /// Type to text to type, and text to type to text for what is emitted, in every revision.
    #[test]
    fn a_description_of_any_revision_survives_its_text(description in any_description()) {
        let yaml = description.to_yaml().unwrap();
        let revision = description.revision();
        let read = AnyApplicationDescription::decode_as(yaml.clone().into(), revision, &limits()).unwrap();
        prop_assert_eq!(read.value(), &description);
        prop_assert_eq!(read.to_yaml().unwrap(), yaml.clone());
        let value = margo_syntax::parse(yaml.as_bytes(), Format::Yaml, &limits()).unwrap().to_value();
        prop_assert_eq!(AnyApplicationDescription::detect(&value).likeliest(), Some(revision));
        let reading = AnyApplicationDescription::read(yaml.into(), None, Strictness::Lenient, &limits()).unwrap();
        prop_assert_eq!(reading.value.into_value(), description);
    }

    /// Downgrade after upgrade is identity where nothing was lost, and only there.
    #[test]
    fn nothing_changes_on_the_way_up_and_down(description in any_description()) {
        let upgraded = description.convert(SpecVersion::LATEST).unwrap();
        let downgraded = upgraded.value.convert(description.revision()).unwrap();
        if upgraded.losses.is_empty() && downgraded.losses.is_empty() {
            prop_assert_eq!(downgraded.value, description);
        } else {
            prop_assert_ne!(downgraded.value, description);
        }
    }

    /// Upgrade after downgrade, too: what an older revision can say without loss, it says.
    #[test]
    fn nothing_changes_on_the_way_down_and_up(
        description in any_description(),
        to in prop::sample::select(&SpecVersion::ALL[..]),
    ) {
        if let Ok(converted) = description.convert(to)
            && converted.losses.is_empty()
        {
            let back = converted.value.convert(description.revision()).unwrap();
            prop_assert!(!back.losses.is_empty() || back.value == description, "{to}");
        }
    }

    /// What any older revision leaves out is listed, and what it cannot say is named.
    #[test]
    fn what_is_lost_on_the_way_down_is_listed(
        newer in prop_oneof![description(), any_description().prop_map(|any| any.upgrade().value)],
        to in prop::sample::select(&SpecVersion::ALL[..3]),
    ) {
        let document = serde_json::to_value(&newer).unwrap();
        let converted = AnyApplicationDescription::from(newer).convert(to);
        let back = |older: AnyApplicationDescription| serde_json::to_value(older.upgrade().value).unwrap();
        conversion::down_and_up(&document, converted, back)?;
    }

    /// What the newest revision has no place for is listed, at its place in the older document, and the rest comes back.
    #[test]
    fn what_is_lost_on_the_way_up_is_listed(description in any_description()) {
        let tree = |description: &AnyApplicationDescription| {
            let yaml = description.to_yaml().unwrap();
            margo_syntax::parse(yaml.as_bytes(), Format::Yaml, &limits()).unwrap().to_value()
        };
        let document = tree(&description);
        let upgraded = description.clone().upgrade();
        conversion::told(&document, &upgraded.losses)?;
        let newest = AnyApplicationDescription::from(upgraded.value);
        let again = newest.convert(description.revision()).unwrap();
        conversion::told(&tree(&newest), &again.losses)?;
        if again.losses.is_empty() {
            conversion::holds(&document, &tree(&again.value), &upgraded.losses)?;
        }
    }

    /// What is required of a device is asked for once for each thing, and comes back the same (X-D-30).
    #[test]
    fn requirements_become_constraints_and_come_back(required in required()) {
        let package = Package::oci("oci://registry.example/a", "1.0.0".parse().unwrap());
        let components = vec![Component::new("a".parse().unwrap(), package)];
        let mut profile = rc1::Profile::new("helm".into(), "profile", components);
        profile.required_resources = Some(required.clone());
        let metadata =
            rc1::Metadata::new("a".parse().unwrap(), "A", "1", Catalog::new(vec![Organization::new("Acme")]));
        let old = rc1::ApplicationDescription::new(metadata, vec![profile]);
        let upgraded = old.clone().upgrade();
        prop_assert_eq!(&upgraded.losses, &[]);
        let constraints = upgraded.value.deployment_profiles[0].device_constraints.clone().unwrap();
        let rules = constraints.eligibility_rules.unwrap_or_default();
        let expressions: Vec<_> =
            rules.iter().flat_map(|rule| &rule.property_selector).flat_map(|s| &s.match_expressions).collect();
        prop_assert_eq!(expressions.len(), required.peripherals.len() + required.interfaces.len());
        prop_assert!(expressions.iter().all(|expression| expression.operator == Operator::ContainsAll));
        prop_assert_eq!(rc1::ApplicationDescription::try_from(&upgraded.value), Ok(old));
    }

    /// What goes anywhere can be read there.
    #[test]
    fn what_is_written_for_another_revision_is_its_own(
        description in any_description(),
        to in prop::sample::select(&SpecVersion::ALL[..]),
    ) {
        if let Ok(converted) = description.convert(to) {
            let yaml = converted.value.to_yaml().unwrap();
            let read = AnyApplicationDescription::decode_as(yaml.into(), to, &limits()).unwrap();
            prop_assert_eq!(read.into_value(), converted.value);
        }
    }

    /// Strictness only ever refuses more, and what it lets pass means the same.
    #[test]
    fn strict_is_lenient_and_more(description in any_description()) {
        let read = |strictness| {
            let bytes = description.to_yaml().unwrap().into();
            AnyApplicationDescription::read(bytes, Some(description.revision()), strictness, &limits())
        };
        if let Ok(strict) = read(Strictness::Strict) {
            prop_assert!(strict.deviations.iter().all(|deviation| deviation.level < Level::L3));
            prop_assert_eq!(read(Strictness::Lenient), Ok(strict));
        }
    }

    /// Any tree at all, in the place of any part of a document.
    #[test]
    fn any_tree_is_read_without_panic(tree in json_value(), place in prop::sample::select(PLACES)) {
        let mut document = json!({
            "apiVersion": "v1", "kind": "ApplicationDescription", "id": "a",
            "metadata": { "id": "a", "version": 1.0 },
            "deploymentProfiles": [{
                "type": "helm", "components": [{ "name": "a", "properties": {} }],
                "requiredResources": { "cpu": { "architectures": ["x86_64"] }, "memory": "1 Gi" },
                "deviceConstraints": { "eligibilityRules": [{}] },
            }],
            "parameters": { "p": { "targets": [{ "components": ["a"] }] } },
            "configuration": { "schema": [{}] },
        });
        *document.pointer_mut(place).unwrap() = tree;
        _ = AnyApplicationDescription::detect(&document);
        for revision in SpecVersion::ALL {
            _ = AnyApplicationDescription::deviations(&document, revision);
            let text = document.to_string().into();
            _ = AnyApplicationDescription::read(text, Some(revision), Strictness::Lenient, &limits());
        }
    }

    /// Whatever is made can be read, carries only parameters that reach a component, and making it again from
    /// its own values changes nothing.
    #[test]
    fn what_is_made_can_be_made_again(
        description in description(),
        // Taking a default away cannot be said again by values alone.
        values in btree_map("[p-t]", json_value().prop_filter("is nothing", |value| *value != json!("")), 0..4),
    ) {
        let mut request = Instantiation::new("d-1".parse().unwrap(), "plc-7".parse().unwrap(), "plant");
        request.profile = Some("profile-0".into());
        request.values = values;
        let made = instantiate(&description, &request);
        prop_assume!(made.is_ok());
        let deployment = made.unwrap();
        let yaml = deployment.to_yaml().unwrap();
        let read = ApplicationDeployment::parse(yaml.as_bytes(), &limits());
        prop_assert_eq!(read.as_ref(), Ok(&deployment));
        let profile = &deployment.spec.deployment_profile;
        for parameter in deployment.spec.parameters.values() {
            prop_assert!(!parameter.targets.is_empty());
            for component in parameter.targets.iter().flat_map(|target| &target.components) {
                prop_assert!(profile.component(component).is_some());
            }
        }

        let values = deployment.spec.parameters.iter();
        let values: BTreeMap<_, _> = values.map(|(name, p)| (name.clone(), p.value.clone())).collect();
        let again = check_values(&description, &profile.components, &values, Some(&values));
        prop_assert_eq!(again, Ok(values));
    }

    #[test]
    fn any_description_is_checked_without_panic(
        description in description(),
        values in btree_map("[p-t]", json_value(), 0..4),
        previous in btree_map("[p-t]", json_value(), 0..4),
    ) {
        _ = check_description(&description);
        let components = &description.deployment_profiles[0].components;
        _ = check_values(&description, components, &values, Some(&previous));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in any::<Vec<u8>>()) {
        _ = AnyApplicationDescription::parse(&bytes, &limits());
        _ = AnyApplicationDescription::detect_bytes(&bytes, Format::Yaml, &limits());
        for revision in SpecVersion::ALL {
            let bytes = bytes.clone().into();
            _ = AnyApplicationDescription::read(bytes, Some(revision), Strictness::Strict, &limits());
        }
    }

    #[test]
    fn a_damaged_description_is_read_without_panic(
        description in any_description(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut yaml = description.to_yaml().unwrap().into_bytes();
        let at = at.index(yaml.len());
        yaml[at] = byte;
        _ = AnyApplicationDescription::parse(&yaml, &limits());
    }
}
