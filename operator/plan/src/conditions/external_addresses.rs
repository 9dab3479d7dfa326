//! ExternalAddressesReady: each node has the address that it advertises.

use statusnode_api::condition::{Reason, Verdict};

use super::{Outcome, ordinals};
use crate::world::{Exposed, World};

pub(super) fn external_addresses(world: &World<'_>) -> Outcome {
    let mut pending = Vec::new();
    let mut named = Vec::new();
    let mut refused = Vec::new();
    let mut nothing = 0;
    for replica in &world.replicas {
        match &replica.exposed {
            Exposed::Nothing => nothing += 1,
            Exposed::Pending => pending.push(replica.ordinal),
            Exposed::Hostname(name) => named.push(format!("ordinal {} ({name})", replica.ordinal)),
            Exposed::Refused(why) => refused.push(format!("ordinal {}: {why}", replica.ordinal)),
            Exposed::Address(_) => {}
        }
    }
    if nothing > 0 {
        return Outcome::new(
            Verdict::True,
            Reason::NotExposed,
            "p2p.exposure.type is None: nothing is advertised",
        );
    }
    if !refused.is_empty() {
        let message = format!("the load balancer refuses the Service: {}", refused.join("; "));
        return Outcome::new(Verdict::False, Reason::LoadBalancerRefused, message);
    }
    if !named.is_empty() {
        let message = format!(
            "the load balancer gave a host name and no IP address: {}; an enode needs an IP address",
            named.join(", ")
        );
        return Outcome::new(Verdict::False, Reason::HostnameOnly, message);
    }
    if pending.is_empty() {
        return Outcome::new(Verdict::True, Reason::AllAssigned, "each node has its address");
    }
    let reason = if pending.len() == world.replicas.len() {
        Reason::WaitingForLoadBalancer
    } else {
        Reason::PartiallyAssigned
    };
    Outcome::new(Verdict::False, reason, format!("{}: the Service has no address", ordinals(pending)))
}
