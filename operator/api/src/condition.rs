//! Condition types and reasons: a fixed, documented set. Facts: design §3 (Conditions); `spec/operators.md` §5.9 (kstatus).
//!
//! `Ready` is always present. `HistoryComplete` is there with mode Mailserver, `Reconciling`, `Stalled`, `Degraded` and `Paused` are there only while true.

/// Condition types.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ConditionType {
    /// All wanted pods are ready at this generation, no update is under way, and each node that is to have a public
    /// address has had one. Later faults of addresses or canaries do not make it false: see `Degraded`.
    Ready,
    /// The operator is still working towards the spec.
    Reconciling,
    /// The operator cannot go on without a person; the message has the remedy.
    Stalled,
    /// Each node has the public address that it advertises.
    ExternalAddressesReady,
    /// The last canary passed against each node.
    CanaryPassing,
    /// Each volume is bound and takes writes.
    StorageReady,
    /// Each node keeps what its replicas keep.
    HistoryComplete,
    /// The nodes run, and something that users notice is wrong.
    Degraded,
    /// `spec.paused` is true: nothing is changed.
    Paused,
}

impl ConditionType {
    /// All, in the order in which they are listed in status.
    pub const ALL: [Self; 9] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::ExternalAddressesReady,
        Self::CanaryPassing,
        Self::StorageReady,
        Self::HistoryComplete,
        Self::Degraded,
        Self::Paused,
    ];

    /// The value of `type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::ExternalAddressesReady => "ExternalAddressesReady",
            Self::CanaryPassing => "CanaryPassing",
            Self::StorageReady => "StorageReady",
            Self::HistoryComplete => "HistoryComplete",
            Self::Degraded => "Degraded",
            Self::Paused => "Paused",
        }
    }

    /// One sentence for the reference.
    #[must_use]
    pub const fn doc(self) -> &'static str {
        match self {
            Self::Ready => {
                "All wanted pods are ready at this generation, no update is under way, and each node that is to have a \
                 public address has had one. Later faults of addresses or canaries do not make it False: see Degraded."
            }
            Self::Reconciling => {
                "True while the operator is still working towards the spec; otherwise absent."
            }
            Self::Stalled => {
                "True when the operator cannot go on without a person; the message has the remedy. Otherwise absent."
            }
            Self::ExternalAddressesReady => "Each node has the address that it advertises.",
            Self::CanaryPassing => "The last canary passed against each node.",
            Self::StorageReady => "Each volume is bound and takes writes.",
            Self::HistoryComplete => {
                "Each node keeps what its replicas keep, as far as it knows. Only with mode Mailserver."
            }
            Self::Degraded => {
                "True when the nodes run and something that users notice is wrong; otherwise absent."
            }
            Self::Paused => "True while spec.paused is true: nothing is changed. Otherwise absent.",
        }
    }
}

/// Reasons of conditions and of Events.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// Everything wanted is there.
    AllReady,
    /// `spec.suspend` is true; there are no pods.
    Suspended,
    /// `spec.replicas` is 0.
    ScaledToZero,
    /// `spec.paused` is true.
    Paused,
    /// Pods are being created or are not ready.
    PodsNotReady,
    /// A change is being rolled out, one node at a time.
    UpdateInProgress,
    /// A load balancer has not been given its first address.
    WaitingForAddress,
    /// A Secret that the spec names does not exist or has not the key.
    WaitingForSecret,
    /// An object of a former StatusNode of this name is still being removed.
    WaitingForDeletion,
    /// The API server refused an object; the message has its answer. It is tried again.
    ApplyFailed,
    /// The stored spec breaks a rule.
    InvalidSpec,
    /// A node id is recorded and the Secret with its key is gone or holds another key.
    IdentityLost,
    /// An object of a wanted name exists and does not belong to this StatusNode.
    NameConflict,
    /// Each node has its address.
    AllAssigned,
    /// `p2p.exposure.type` is None: nothing is advertised.
    NotExposed,
    /// No node has its address yet.
    WaitingForLoadBalancer,
    /// Some nodes have their address.
    PartiallyAssigned,
    /// A load balancer gave a host name and no IP address; an enode needs an IP address.
    HostnameOnly,
    /// A load balancer refuses the Service; the message has its words.
    LoadBalancerRefused,
    /// The last canary passed against each node.
    CanaryPassed,
    /// The last canary failed against at least one node.
    CanaryFailed,
    /// At least one node has had no canary yet.
    CanaryPending,
    /// Each volume is bound.
    VolumesBound,
    /// No volume is wanted.
    NoVolumes,
    /// At least one volume is not bound yet.
    VolumePending,
    /// A volume is gone from under its claim.
    VolumeLost,
    /// A node cannot write to its archive.
    ArchiveNotWritable,
    /// Each node has compared its history with a replica's since it started, or has no replica.
    HistoryCompared,
    /// A node has found no replica to compare its history with, and does not wait for one any longer.
    HistoryAssumed,
    /// A node has not yet compared its history with a replica's since it started.
    HistorySyncing,
    /// It is not known yet whether each node's history is complete.
    HistoryPending,
    /// `metrics.serviceMonitor.policy` is Always and the cluster has not the API.
    ServiceMonitorApiMissing,
    /// A key was generated for a node (Event).
    IdentityCreated,
    /// A node's advertised address changed (Event).
    AddressChanged,
    /// Nodes that are no longer wanted were removed (Event).
    ScaledDown,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 35] = [
        Self::AllReady,
        Self::Suspended,
        Self::ScaledToZero,
        Self::Paused,
        Self::PodsNotReady,
        Self::UpdateInProgress,
        Self::WaitingForAddress,
        Self::WaitingForSecret,
        Self::WaitingForDeletion,
        Self::ApplyFailed,
        Self::InvalidSpec,
        Self::IdentityLost,
        Self::NameConflict,
        Self::AllAssigned,
        Self::NotExposed,
        Self::WaitingForLoadBalancer,
        Self::PartiallyAssigned,
        Self::HostnameOnly,
        Self::LoadBalancerRefused,
        Self::CanaryPassed,
        Self::CanaryFailed,
        Self::CanaryPending,
        Self::VolumesBound,
        Self::NoVolumes,
        Self::VolumePending,
        Self::VolumeLost,
        Self::ArchiveNotWritable,
        Self::HistoryCompared,
        Self::HistoryAssumed,
        Self::HistorySyncing,
        Self::HistoryPending,
        Self::ServiceMonitorApiMissing,
        Self::IdentityCreated,
        Self::AddressChanged,
        Self::ScaledDown,
    ];

    /// The value as conditions and Events have it, and one sentence for the reference.
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::AllReady => ("AllReady", "Everything wanted is there."),
            Self::Suspended => ("Suspended", "spec.suspend is true; there are no pods."),
            Self::ScaledToZero => ("ScaledToZero", "spec.replicas is 0."),
            Self::Paused => ("Paused", "spec.paused is true."),
            Self::PodsNotReady => ("PodsNotReady", "Pods are being created or are not ready."),
            Self::UpdateInProgress => {
                ("UpdateInProgress", "A change is being rolled out, one node at a time.")
            }
            Self::WaitingForAddress => {
                ("WaitingForAddress", "A load balancer has not been given its first address.")
            }
            Self::WaitingForSecret => {
                ("WaitingForSecret", "A Secret that the spec names does not exist or has not the key.")
            }
            Self::WaitingForDeletion => (
                "WaitingForDeletion",
                "An object of a former StatusNode of this name is still being removed.",
            ),
            Self::ApplyFailed => (
                "ApplyFailed",
                "The API server refused an object; the message has its answer. It is tried again.",
            ),
            Self::InvalidSpec => {
                ("InvalidSpec", "The stored spec breaks a rule; the message names the field.")
            }
            Self::IdentityLost => (
                "IdentityLost",
                "A node id is recorded and the Secret with its key is gone or holds another key. No new key is made: \
                 restore the Secret, or name a key of your own in spec.identity.keys.",
            ),
            Self::NameConflict => {
                ("NameConflict", "An object of a wanted name exists and does not belong to this StatusNode.")
            }
            Self::AllAssigned => ("AllAssigned", "Each node has its address."),
            Self::NotExposed => ("NotExposed", "p2p.exposure.type is None: nothing is advertised."),
            Self::WaitingForLoadBalancer => ("WaitingForLoadBalancer", "No node has its address yet."),
            Self::PartiallyAssigned => ("PartiallyAssigned", "Some nodes have their address, others not."),
            Self::HostnameOnly => (
                "HostnameOnly",
                "A load balancer gave a host name and no IP address; an enode needs an IP address.",
            ),
            Self::LoadBalancerRefused => (
                "LoadBalancerRefused",
                "A load balancer refuses the Service, as some do that cannot have TCP and UDP on one address; the \
                 message has its words.",
            ),
            Self::CanaryPassed => ("CanaryPassed", "The last canary passed against each node."),
            Self::CanaryFailed => ("CanaryFailed", "The last canary failed against at least one node."),
            Self::CanaryPending => ("CanaryPending", "At least one node has had no canary yet."),
            Self::VolumesBound => ("VolumesBound", "Each volume is bound and takes writes."),
            Self::NoVolumes => ("NoVolumes", "No volume is wanted."),
            Self::VolumePending => ("VolumePending", "At least one volume is not bound yet."),
            Self::VolumeLost => ("VolumeLost", "A volume is gone from under its claim."),
            Self::ArchiveNotWritable => ("ArchiveNotWritable", "A node cannot write to its archive."),
            Self::HistoryCompared => (
                "HistoryCompared",
                "Each node has compared its history with a replica's since it started, and has what it missed; or it \
                 has no replica.",
            ),
            Self::HistoryAssumed => (
                "HistoryAssumed",
                "A node found no replica to compare its history with in time, and serves what it has.",
            ),
            Self::HistorySyncing => (
                "HistorySyncing",
                "A node has not yet compared its history with a replica's since it started: what it missed may be \
                 missing in its answers. It takes a minute when little is missing.",
            ),
            Self::HistoryPending => {
                ("HistoryPending", "It is not known yet whether each node's history is complete.")
            }
            Self::ServiceMonitorApiMissing => (
                "ServiceMonitorApiMissing",
                "metrics.serviceMonitor.policy is Always and the cluster has not the API monitoring.coreos.com/v1.",
            ),
            Self::IdentityCreated => ("IdentityCreated", "A key was generated for a node."),
            Self::AddressChanged => ("AddressChanged", "The address that a node advertises changed."),
            Self::ScaledDown => ("ScaledDown", "Nodes that are no longer wanted were removed."),
        }
    }

    /// The value of `reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// One sentence for the reference.
    #[must_use]
    pub const fn doc(self) -> &'static str {
        self.row().1
    }
}

/// The value of `status` of a condition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be known yet.
    Unknown,
}

impl Verdict {
    /// The value of `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}
