//! What can go wrong while a `StatusNode` is reconciled, and what that means for the next try.

use std::time::Duration;

use kube::core::Status;
use rand::Rng;
use statusnode_plan::{Failure, ObjectKind};

/// Longest pause between two tries of one resource.
const LONGEST: Duration = Duration::from_secs(60);
/// Failures in a row after which an answer such as 500 is told in the status: one that passes at once is not, one of an
/// admission webhook that is down would never be told otherwise.
const PATIENCE: u32 = 3;

/// Why a reconcile did not go through.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request about one object was refused or not answered.
    #[error("{verb} {} {name}: {source}", kind.kind())]
    Object {
        /// What was asked.
        verb: &'static str,
        /// Kind of the object.
        kind: ObjectKind,
        /// Name of the object.
        name: String,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// The status could not be written.
    #[error("write status: {0}")]
    Status(#[source] Box<kube::Error>),
    /// A pod's annotation could not be written.
    #[error("annotate Pod {name}: {source}")]
    Touch {
        /// Name of the pod.
        name: String,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// The server's answer is no object of the kind that was asked for.
    #[error("answer for {} {name}: {source}", kind.kind())]
    Answer {
        /// Kind of the object.
        kind: ObjectKind,
        /// Name of the object.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Several of the above in one reconcile, in their order.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Error>),
    /// A bug: the reconcile panicked.
    #[error("reconcile panicked: {0}")]
    Panicked(String),
}

/// What kind of trouble an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The API server did not answer, or asked to be left alone.
    Unavailable,
    /// Somebody else changed the object at the same time.
    Conflict,
    /// The API server does not accept what was asked.
    Refused,
    /// The namespace is being deleted: nothing can be made there any more, and the resource will go as well.
    Ending,
    /// A fault of this program.
    Bug,
}

impl Class {
    /// As the label of a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Ending => "namespace_terminating",
            Self::Bug => "bug",
        }
    }
}

impl Error {
    /// The class, which alone decides how the error is treated.
    pub fn class(&self) -> Class {
        match self {
            Self::Object { source, .. } | Self::Status(source) | Self::Touch { source, .. } => {
                class_of(source)
            }
            Self::Several(errors) => errors.first().map_or(Class::Bug, Self::class),
            Self::Answer { .. } | Self::Panicked(_) => Class::Bug,
        }
    }

    /// All of `errors` as one; `None` when there is none.
    pub fn all(mut errors: Vec<Self>) -> Option<Self> {
        if errors.len() > 1 { Some(Self::Several(errors)) } else { errors.pop() }
    }

    /// What the next plan is to say in the status, after `failures` in a row; empty when it is something that passes.
    pub fn refusals(&self, failures: u32) -> Vec<Failure> {
        match self {
            Self::Several(errors) => errors.iter().flat_map(|error| error.refusals(failures)).collect(),
            Self::Object { kind, name, source, .. } => {
                let told = match self.class() {
                    Class::Refused => true,
                    Class::Unavailable => failures >= PATIENCE && matches!(**source, kube::Error::Api(_)),
                    Class::Conflict | Class::Ending | Class::Bug => false,
                };
                let message = match source.as_ref() {
                    kube::Error::Api(status) => status.message.clone(),
                    other => other.to_string(),
                };
                told.then(|| Failure { kind: *kind, name: name.clone(), message }).into_iter().collect()
            }
            Self::Status(_) | Self::Touch { .. } | Self::Answer { .. } | Self::Panicked(_) => Vec::new(),
        }
    }

    /// Pause before the next try of a resource that has failed `failures` times in a row (1 for the first): doubled
    /// each time from half a second to a minute, and spread by a fifth so that many do not come back at once.
    pub fn retry_after(failures: u32) -> Duration {
        let base =
            Duration::from_millis(500).saturating_mul(1 << failures.saturating_sub(1).min(7)).min(LONGEST);
        base.mul_f64(rand::rng().random_range(0.8..=1.0))
    }
}

/// The class of an answer of the API server.
pub fn class_of(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() => Class::Conflict,
        kube::Error::Api(status) if is_ending(status) => Class::Ending,
        kube::Error::Api(status) if is_refusal(status) => Class::Refused,
        _ => Class::Unavailable,
    }
}

/// `NamespaceTerminatingCause` of the Kubernetes API.
fn is_ending(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_forbidden() && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

fn is_refusal(status: &Status) -> bool {
    (400..500).contains(&status.code) && !matches!(status.code, 408 | 409 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Status { code, reason: reason.into(), ..Default::default() }.boxed())
    }

    #[test]
    fn answers_are_classed_by_what_helps() {
        for (code, reason, class) in [
            (409, "Conflict", Class::Conflict),
            (409, "AlreadyExists", Class::Conflict),
            (403, "Forbidden", Class::Refused),
            (422, "Invalid", Class::Refused),
            (429, "TooManyRequests", Class::Unavailable),
            (500, "InternalError", Class::Unavailable),
            (503, "ServiceUnavailable", Class::Unavailable),
        ] {
            assert_eq!(class_of(&answer(code, reason)), class, "{code}");
        }
        assert_eq!(class_of(&kube::Error::Service("connection reset".into())), Class::Unavailable);
        let ending: Status =
            serde_json::from_value(serde_json::json!({"kind": "Status", "code": 403, "reason": "Forbidden",
            "details": {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]}}))
            .unwrap();
        assert_eq!(class_of(&kube::Error::Api(ending.boxed())), Class::Ending);
    }

    #[test]
    fn what_is_refused_is_told_at_once_and_what_may_pass_when_it_does_not() {
        let about = |code, reason| Error::Object {
            verb: "apply",
            kind: ObjectKind::Service,
            name: "mail-rpc".into(),
            source: Box::new(answer(code, reason)),
        };
        let told = |error: &Error, failures| error.refusals(failures).len();
        assert_eq!((told(&about(422, "Invalid"), 1), told(&about(403, "Forbidden"), 1)), (1, 1));
        assert_eq!((told(&about(500, "InternalError"), 2), told(&about(500, "InternalError"), 3)), (0, 1));
        assert_eq!(told(&about(409, "Conflict"), 99), 0);
        let several = Error::all(vec![about(422, "Invalid"), about(500, "InternalError")]).unwrap();
        assert_eq!((told(&several, 1), told(&several, 3)), (1, 2));
        let source = Box::new(kube::Error::Service("connection reset".into()));
        let cut = Error::Object { verb: "apply", kind: ObjectKind::Service, name: "x".into(), source };
        assert_eq!(told(&cut, 99), 0);
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        for (failures, seconds) in [(1, 0.5), (2, 1.0), (5, 8.0), (8, 60.0), (4_000_000_000, 60.0)] {
            let pause = Error::retry_after(failures).as_secs_f64();
            assert!((seconds * 0.8..=seconds).contains(&pause), "{failures}: {pause}");
        }
    }
}
