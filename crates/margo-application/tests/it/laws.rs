use std::collections::BTreeMap;

use margo_application::{
    AnyApplicationDescription, ApplicationDescription, Author, Catalog, Configuration, DataType,
    DescriptionProfile, Instantiation, Metadata, Organization, ParameterDefinition, Schema, Section, Setting,
    check_description, check_values, instantiate, pre_draft,
};
use margo_core::Extensions;
use margo_deployment::pre_draft::ProfileType as PreDraftProfileType;
use margo_deployment::{ApplicationDeployment, Component, Package, ProfileType, Target};
use margo_syntax::Limits;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

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
    }

    #[test]
    fn a_damaged_description_is_read_without_panic(
        description in description(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut yaml = description.to_yaml().unwrap().into_bytes();
        let at = at.index(yaml.len());
        yaml[at] = byte;
        _ = AnyApplicationDescription::parse(&yaml, &limits());
    }
}
