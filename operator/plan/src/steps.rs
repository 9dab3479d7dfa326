//! The writes of one plan, in the order that the comments give reasons for.

use statusnode_api::{ServiceMonitorPolicy, Switch};

use crate::{
    Entropy, Object, ObjectKind, Ordinal, SecretView, Step, build, names, orphans,
    rollout::{self, Rollout},
    world::{SharedSecret, World},
};

/// The writes, and how far the rollout is.
pub(crate) struct Steps {
    pub(crate) steps: Vec<Step>,
    pub(crate) rollout: Rollout,
}

pub(crate) fn steps(world: &World<'_>, entropy: &mut dyn Entropy) -> Steps {
    let mut list = List { world, steps: Vec::new(), wanted: Vec::new() };
    let settings = world.settings;

    // 1. Keys: whatever names a node id comes after the key is stored.
    list.secrets(entropy);
    // 2. Volumes and addresses: slow to come, and they remember the node id.
    for replica in &world.replicas {
        list.apply_some(build::volume_claim(world, replica));
    }
    for replica in &world.replicas {
        list.apply(build::p2p_service(settings, replica));
    }
    list.apply(build::headless_service(settings));
    list.apply(build::rpc_service(settings));
    list.apply(build::metrics_service(settings));
    // 3. The walls before what they protect.
    if settings.spec.network_policy.policy == Switch::Always {
        list.apply(build::network_policy(world));
    }
    list.apply_some(build::disruption_budget(settings));
    // 4. Configuration, before the pods that mount it.
    let config = build::config(world);
    let config_name = config.name.clone();
    list.apply(config);
    let startable = list.live_configs();
    // 5. Pods.
    let rollout = list.stateful_sets(&config_name, &startable);
    // 6. What looks at them.
    let monitor = &settings.spec.metrics.service_monitor.policy;
    if *monitor != ServiceMonitorPolicy::Never && world.observed.environment.service_monitor_api {
        list.apply(build::service_monitor(settings));
    }
    // 7. What is left over.
    list.leftovers();
    for replica in &world.replicas {
        list.steps.extend(build::touch(world, replica).map(Step::TouchPod));
    }
    Steps { steps: list.steps, rollout }
}

struct List<'w, 'a> {
    world: &'w World<'a>,
    steps: Vec<Step>,
    wanted: Vec<(ObjectKind, String)>,
}

impl List<'_, '_> {
    /// Applies an object if its name is not taken; says whether.
    fn apply(&mut self, object: Object) -> bool {
        self.wanted.push((object.kind, object.name.clone()));
        let may = self.world.may_write(object.kind, &object.name);
        if may {
            self.steps.push(Step::Apply(object));
        }
        may
    }

    fn apply_some(&mut self, object: Option<Object>) {
        if let Some(object) = object {
            self.apply(object);
        }
    }

    fn secrets(&mut self, entropy: &mut dyn Entropy) {
        let world = self.world;
        for replica in &world.replicas {
            let name = names::identity(&world.settings.name, replica.ordinal);
            self.wanted.push((ObjectKind::Secret, name.clone()));
            if let Some(key) = &replica.generated {
                self.steps.push(Step::Create(build::identity_secret(world.settings, replica.ordinal, key)));
            } else if let Some(SecretView::Present(live)) = world.observed.secrets.get(&name)
                && world.settings.own_key(replica.ordinal).is_none()
                && world.may_write(ObjectKind::Secret, &name)
            {
                self.steps.extend(build::reowned(world.settings, live).map(Step::Update));
            }
        }
        match &world.token {
            SharedSecret::Absent(_) => {
                self.steps.push(Step::Create(build::token_secret(world.settings, entropy)))
            }
            SharedSecret::Conflict(name) => {
                world.may_write(ObjectKind::Secret, name);
            }
            SharedSecret::NotWanted | SharedSecret::Ready(_) | SharedSecret::Waiting(_) => {}
        }
        if world.settings.spec.rpc.token_secret_key_ref.is_none() {
            self.wanted.push((ObjectKind::Secret, names::rpc_token(&world.settings.name)));
        }
        // What the user names is the user's, whatever labels it has.
        let own = world.settings.own_keys.iter().map(|(_, key)| key);
        let own = own.chain(world.settings.spec.rpc.token_secret_key_ref.as_ref());
        self.wanted.extend(own.map(|key| (ObjectKind::Secret, key.name.clone())));
    }

    /// Live files; returns the ordinals whose pods have all that they mount. A file is not made before it can be
    /// complete, so that a node starts once and right.
    fn live_configs(&mut self) -> Vec<Ordinal> {
        let world = self.world;
        let complete = world.peers_are_known();
        let mut startable = Vec::new();
        for replica in &world.replicas {
            let object = build::live_config(world, replica);
            let exists = world.observed.objects.config_maps.contains_key(&object.name);
            if !(complete || exists) || replica.public_key.is_none() {
                self.wanted.push((object.kind, object.name));
                continue;
            }
            let service = names::p2p(&world.settings.name, replica.ordinal);
            let claim = names::volume_claim(&world.settings.name, replica.ordinal);
            let mounts = world.may_write(ObjectKind::Service, &service)
                && (world.settings.volume.is_none()
                    || world.may_write(ObjectKind::PersistentVolumeClaim, &claim));
            if self.apply(object) && mounts {
                startable.push(replica.ordinal);
            }
        }
        startable
    }

    fn stateful_sets(&mut self, config: &str, startable: &[Ordinal]) -> Rollout {
        let world = self.world;
        let mut sets = Vec::new();
        for replica in &world.replicas {
            let name = names::stateful_set(&world.settings.name, replica.ordinal);
            if startable.contains(&replica.ordinal)
                && let Some(object) = build::stateful_set(world, replica, config)
            {
                sets.push((replica.ordinal, object));
            }
            self.wanted.push((ObjectKind::StatefulSet, name));
        }
        let rollout = rollout::decide(world, &sets);
        for (ordinal, object) in sets {
            if !rollout.held.contains(&ordinal) {
                self.apply(object);
            }
        }
        rollout
    }

    fn leftovers(&mut self) {
        let world = self.world;
        let deletions = orphans::orphans(world, &self.wanted);
        let claims: Vec<Ordinal> = world
            .observed
            .objects
            .volume_claims
            .values()
            .filter(|claim| !deletions.iter().any(|gone| Some(&gone.uid) == claim.metadata.uid.as_ref()))
            .filter_map(|claim| Ordinal::of(&claim.metadata))
            .filter(|ordinal| !world.settings.ordinals.contains(ordinal))
            .collect();
        for ordinal in claims {
            self.apply_some(build::retained_claim(world, ordinal));
        }
        self.steps.extend(deletions.into_iter().map(Step::Delete));
    }
}
