//! Which runtime a deployment goes to.

use std::sync::Arc;

use margo_agent::{Agent, MemoryJournal, Runtimes};
use margo_api::WorkloadRuntime as _;
use margo_core::Document;
use margo_deployment::{ApplicationDeployment, ProfileType};
use margo_syntax::Limits;

use crate::world::{World, deployment};

/// Of this type, with more lines in its profile.
fn of_type(profile_type: &str, more: &str) -> Document<ApplicationDeployment> {
    let helm = deployment("app-1", &["web"], "");
    let text = std::str::from_utf8(helm.bytes()).unwrap();
    let text = text.replace("    type: helm\n", &format!("    type: {profile_type}\n{more}"));
    ApplicationDeployment::decode(text.into(), &Limits::default()).unwrap()
}

struct Plant {
    compose: World,
    helm: World,
    acme: World,
    runtimes: Runtimes,
}

/// `acme` is for what has its extension.
fn plant() -> Plant {
    let (compose, helm, acme) = (World::new(), World::new(), World::new());
    let runtimes = Runtimes::new()
        .with(ProfileType::Compose, Arc::new(compose.clone()))
        .with(ProfileType::Helm, Arc::new(helm.clone()))
        .with_custom(
            "acme-plc",
            |profile| profile.extensions.get("x-acme-extensions").is_some(),
            Arc::new(acme.clone()),
        );
    Plant { compose, helm, acme, runtimes }
}

impl Plant {
    async fn apply(&self, deployment: &Document<ApplicationDeployment>) -> Result<(), String> {
        let component = &deployment.spec.deployment_profile.components[0];
        let applied = self.runtimes.apply(deployment, component).await;
        applied.map_err(|error| format!("{}: {}", error.code(), error.message()))
    }

    /// Who has something: Compose, Helm, Acme.
    fn held(&self) -> [usize; 3] {
        [&self.compose, &self.helm, &self.acme].map(|world| world.running().len())
    }
}

/// R-D-031, R-D-032: a vendor's runtime takes what its predicate chooses, and only of `custom`.
#[tokio::test]
async fn each_type_goes_to_its_runtime() {
    for (profile_type, more, held) in [
        ("compose", "", [1, 0, 0]),
        ("helm", "", [0, 1, 0]),
        ("custom", "    x-acme-extensions: { slot: 3 }\n", [0, 0, 1]),
        ("helm", "    x-acme-extensions: { slot: 3 }\n", [0, 1, 0]),
    ] {
        let plant = plant();
        let deployment = of_type(profile_type, more);
        plant.runtimes.prepare(&deployment).await.unwrap();
        plant.apply(&deployment).await.unwrap();
        assert_eq!(plant.held(), held, "{profile_type} {more}");
        assert_eq!(plant.runtimes.present().await.unwrap().len(), 1);
        plant.runtimes.remove(&deployment.id, &"web".parse().unwrap()).await.unwrap();
        assert_eq!(plant.held(), [0, 0, 0]);
    }
}

/// R-D-032: what nobody takes is refused, and reported; it is not ignored.
#[tokio::test(start_paused = true)]
async fn what_no_runtime_takes_is_refused_and_reported() {
    for (profile_type, more) in
        [("custom", ""), ("custom", "    x-other-extensions: {}\n"), ("unikernel", "")]
    {
        let plant = plant();
        let deployment = of_type(profile_type, more);
        assert_eq!(
            plant.runtimes.prepare(&deployment).await.unwrap_err().code(),
            "unsupported-deployment-type"
        );
        let error = plant.apply(&deployment).await.unwrap_err();
        assert!(error.contains(profile_type) && error.contains("compose, helm, acme-plc"), "{error}");
        let manager = World::new();
        manager.desire(1, &[&deployment]);
        let runtimes = plant.runtimes.clone();
        let mut agent = Agent::new(manager.clone(), manager.clone(), runtimes, MemoryJournal::new());
        let _ = agent.reconcile().await;
        agent.deliver().await.unwrap();
        let told = manager.told("app-1");
        assert!(told.last().unwrap().starts_with("failed(unsupported-deployment-type)"), "{told:?}");
        assert_eq!(plant.held(), [0, 0, 0]);
    }
    assert!(Runtimes::new().prepare(&of_type("helm", "")).await.unwrap_err().message().contains("none"));
}

/// The first of several that would do, and the one for everything only after them.
#[tokio::test]
async fn the_first_that_was_added_is_taken() {
    let (first, second, any) = (World::new(), World::new(), World::new());
    let runtimes = Runtimes::new()
        .with_custom("first", |_| true, Arc::new(first.clone()))
        .with_custom("second", |_| true, Arc::new(second.clone()))
        .with_any(Arc::new(any.clone()));
    for deployment in [of_type("custom", ""), of_type("unikernel", "")] {
        runtimes.apply(&deployment, &deployment.spec.deployment_profile.components[0]).await.unwrap();
        let held = [&first, &second, &any].map(|world| world.running().len());
        let expected = if deployment.spec.deployment_profile.profile_type == ProfileType::Custom {
            [1, 0, 0]
        } else {
            [0, 0, 1]
        };
        assert_eq!(held, expected);
    }
}

/// A deployment whose type changes leaves nothing in the runtime it had.
#[tokio::test]
async fn a_change_of_type_moves_the_component() {
    let plant = plant();
    plant.apply(&of_type("compose", "")).await.unwrap();
    plant.apply(&of_type("helm", "")).await.unwrap();
    assert_eq!(plant.held(), [0, 1, 0]);
    // What nobody takes leaves what runs.
    plant.apply(&of_type("custom", "")).await.unwrap_err();
    assert_eq!(plant.held(), [0, 1, 0]);
}
