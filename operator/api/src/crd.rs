//! The CustomResourceDefinition, made from the types, and the two things that the derive cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, ValidationRule,
};
use kube_core::CustomResourceExt as _;
use serde_json::json;

use crate::StatusNode;

/// Longest `metadata.name`, so that every name made from it fits into 63 characters.
pub const MAX_NAME_LENGTH: usize = 40;

/// What the API server answers to a name that breaks [`MAX_NAME_LENGTH`] or DNS-1035.
pub const NAME_MESSAGE: &str = "metadata.name must start with a letter, hold only lower-case letters, digits and '-' \
    (no dot), not end with '-', and have at most 40 characters: names of pods and Services are made from it";

const NAME_RULE: &str =
    "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')";

/// The definition of `statusnodes.status.im`.
///
/// `status` has the default `{observedGeneration: -1}`: a tool that reads kstatus, or `kubectl wait`, must not take an
/// object that no operator has seen yet for one that is current (`spec/operators.md` §5.9). CEL at the root sees
/// `metadata.name` and no other metadata.
#[must_use]
pub fn crd() -> CustomResourceDefinition {
    let mut crd = StatusNode::crd();
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        root.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
            rule: NAME_RULE.to_owned(),
            message: Some(NAME_MESSAGE.to_owned()),
            ..ValidationRule::default()
        });
        if let Some(status) = root.properties.as_mut().and_then(|fields| fields.get_mut("status")) {
            status.default = Some(JSON(json!({"observedGeneration": -1})));
        }
    }
    crd
}
