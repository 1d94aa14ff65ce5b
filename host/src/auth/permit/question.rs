//! The question that the API server is asked: a SubjectAccessReview's `spec`. Pure.
//!
//! Empty fields are left out. Selectors are part of the question, so that somebody may be allowed to list only what
//! they name; API servers before 1.32 do not know that part and answer for all objects. Comparisons (`>`, `<`) cannot
//! be expressed there. To leave a requirement out asks for more, and so never allows too much.
//!
//! Rules: `k8s.io/apiserver` v0.36, `plugin/pkg/authorizer/webhook/webhook.go` and `pkg/endpoints/request/requestinfo.go`.

use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes as ReviewedResource,
    SubjectAccessReviewSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldSelectorRequirement, LabelSelectorRequirement};

use crate::auth::{Attributes, ResourceAttributes, User};
use crate::model::selector::{Operator, Requirement};

pub(super) fn about(user: &User, attributes: &Attributes) -> SubjectAccessReviewSpec {
    let mut spec = SubjectAccessReviewSpec {
        user: given(&user.name),
        uid: given(&user.uid),
        groups: (!user.groups.is_empty()).then(|| user.groups.clone()),
        extra: (!user.extra.is_empty()).then(|| user.extra.clone()),
        ..SubjectAccessReviewSpec::default()
    };
    match &attributes.resource {
        None => {
            let (path, verb) = (given(&attributes.path), given(attributes.verb));
            spec.non_resource_attributes = Some(NonResourceAttributes { path, verb });
        }
        Some(resource) => spec.resource_attributes = Some(reviewed(resource, attributes.verb)),
    }
    spec
}

fn reviewed(resource: &ResourceAttributes, verb: &str) -> ReviewedResource {
    let of_many = OF_MANY.contains(&verb);
    ReviewedResource {
        group: given(&resource.group),
        version: given(&resource.version),
        namespace: given(&resource.namespace),
        resource: given(&resource.resource),
        subresource: given(&resource.subresource),
        name: given(&resource.name),
        verb: given(verb),
        field_selector: of_many.then(|| fields(resource)).flatten(),
        label_selector: of_many.then(|| labels(resource)).flatten(),
    }
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Verbs that mean more than one object; only their selectors matter.
const OF_MANY: [&str; 3] = ["list", "watch", "deletecollection"];

fn labels(resource: &ResourceAttributes) -> Option<LabelSelectorAttributes> {
    let expressed = |requirement: &Requirement| {
        let (operator, values) = expressed(requirement)?;
        Some(LabelSelectorRequirement { key: requirement.key.clone(), operator, values })
    };
    let requirements: Vec<_> = resource.labels.requirements().iter().filter_map(expressed).collect();
    let requirements = Some(requirements).filter(|requirements| !requirements.is_empty())?;
    Some(LabelSelectorAttributes { requirements: Some(requirements), raw_selector: None })
}

fn fields(resource: &ResourceAttributes) -> Option<FieldSelectorAttributes> {
    let expressed = |requirement: &Requirement| {
        let (operator, values) = expressed(requirement)?;
        Some(FieldSelectorRequirement { key: requirement.key.clone(), operator, values })
    };
    let requirements: Vec<_> = resource.fields.requirements().iter().filter_map(expressed).collect();
    let requirements = Some(requirements).filter(|requirements| !requirements.is_empty())?;
    Some(FieldSelectorAttributes { requirements: Some(requirements), raw_selector: None })
}

/// Operator and values as a review writes them.
fn expressed(requirement: &Requirement) -> Option<(String, Option<Vec<String>>)> {
    let operator = match requirement.operator {
        Operator::In => "In",
        Operator::NotIn => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
        Operator::GreaterThan | Operator::LessThan => return None,
    };
    let values = Some(requirement.values.clone()).filter(|values| !values.is_empty());
    Some((operator.to_owned(), values))
}
