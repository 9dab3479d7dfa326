//! Why a pod is not ready, in the word that `kubectl get pods` has for it; no verdict of its own.
//!
//! Only words that stay while the trouble stays: a status that follows each try of the kubelet would be written for ever.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// The word; `None` while the pod just comes up.
pub(super) fn of(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("Terminating".to_owned());
    }
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.iter().flatten();
    let unscheduled = conditions.filter(|c| c.type_ == "PodScheduled" && c.status == "False");
    let container = || status.container_statuses.iter().flatten().find_map(container);
    unscheduled.filter_map(|c| c.reason.clone()).next().or_else(container)
}

fn container(status: &ContainerStatus) -> Option<String> {
    let state = status.state.as_ref();
    match state.and_then(|state| state.waiting.as_ref()?.reason.as_deref()) {
        Some("ContainerCreating" | "PodInitializing" | "CrashLoopBackOff") | None => {}
        // The kubelet says one when it tries and the other when it waits.
        Some("ErrImagePull" | "ImagePullBackOff") => return Some("ImagePullBackOff".to_owned()),
        Some(reason) => return Some(reason.to_owned()),
    }
    // The same while it runs again, while it waits, and when it has just ended.
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = state.and_then(|state| state.terminated.as_ref()).or(last)?;
    let reason = ended.reason.as_deref().unwrap_or("Error");
    Some(format!("the node ended with exit code {} ({reason})", ended.exit_code))
}
