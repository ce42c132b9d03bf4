//! Says on whose behalf a message is sent.

use std::str::FromStr;

use async_trait::async_trait;

use super::Policy;
use crate::message::{Message, NewField, Response, ReversePath, Tenant};

const SENDER_DOMAIN: &str = "sender-domain";
const FIELD: &str = "field:";

/// Names the tenant of each message that has none, so that nobody's bulk stands
/// before another's mail. What names no tenant leaves it without one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AssignTenant {
    /// The domain of the reverse-path.
    BySenderDomain,
    /// The first field of the header that has this name. It is taken out, for it
    /// is nobody else's business.
    ByField(String),
}

/// A text does not say how tenants are named.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{0}\" does not say what names a tenant: write sender-domain, or field: and the name of a header field, such as field:X-Tenant"
)]
pub struct AssignTenantError(String);

impl FromStr for AssignTenant {
    type Err = AssignTenantError;

    fn from_str(text: &str) -> Result<Self, AssignTenantError> {
        if text == SENDER_DOMAIN {
            return Ok(AssignTenant::BySenderDomain);
        }
        let name = text.strip_prefix(FIELD);
        match name.filter(|name| NewField::new(name, "").is_ok()) {
            Some(name) => Ok(AssignTenant::ByField(name.to_owned())),
            None => Err(AssignTenantError(text.chars().take(64).collect())),
        }
    }
}

#[async_trait]
impl Policy for AssignTenant {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        let named: Option<Tenant> = match self {
            AssignTenant::BySenderDomain => {
                let domain = match &message.envelope.sender {
                    ReversePath::Mailbox(address) => address.domain(),
                    ReversePath::Null => None,
                };
                domain.and_then(|domain| domain.parse().ok())
            }
            AssignTenant::ByField(name) => {
                let field = message.content.field(name);
                let named = field.and_then(|field| field.value().trim().parse().ok());
                message.content.remove(name);
                named
            }
        };
        message.tenant = message.tenant.or(named);
        Ok(vec![message])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::message;
    use super::*;

    /// The tenant by this policy, and the contents after it.
    async fn assigned(policy: &str, sender: &str, content: &str) -> (Option<String>, String) {
        let mut message = message(content, &["b@example.org"]);
        if !sender.is_empty() {
            message.envelope.sender = ReversePath::Mailbox(sender.parse().unwrap());
        }
        let policy: AssignTenant = policy.parse().unwrap();
        let message = policy.apply(message).await.unwrap().remove(0);
        let content = String::from_utf8(message.content.to_vec()).unwrap();
        (message.tenant.map(|tenant| tenant.to_string()), content)
    }

    #[tokio::test]
    async fn the_domain_of_the_sender_names_a_tenant() {
        let by = |sender| assigned("sender-domain", sender, "Subject: a\r\n\r\n");
        assert_eq!(
            by("a@Acme.Example").await.0.as_deref(),
            Some("acme.example")
        );
        assert_eq!(by("").await.0, None);
        assert_eq!(by("a@[192.0.2.1]").await.0, None);
    }

    #[tokio::test]
    async fn a_field_names_a_tenant_and_is_taken_out() {
        let by = async |value: &str| {
            let text = format!("X-Tenant: {value}\r\nSubject: a\r\nx-tenant: other\r\n\r\nbody");
            let (tenant, content) = assigned("field:X-Tenant", "a@b.example", &text).await;
            assert_eq!(content, "Subject: a\r\n\r\nbody");
            tenant
        };
        assert_eq!(by(" Acme ").await.as_deref(), Some("acme"));
        assert_eq!(by("no tenant at all").await, None);
        let (tenant, content) = assigned("field:X-Tenant", "", "Subject: a\r\n\r\n").await;
        assert_eq!((tenant, content.as_str()), (None, "Subject: a\r\n\r\n"));
    }

    #[tokio::test]
    async fn who_has_a_tenant_keeps_it() {
        let mut message = message("\r\n", &[]);
        message.envelope.sender = ReversePath::Mailbox("a@b.example".parse().unwrap());
        message.tenant = Some("acme".parse().unwrap());
        let policy = AssignTenant::BySenderDomain;
        let kept = policy.apply(message.clone()).await.unwrap();
        assert_eq!(kept, [message]);
    }

    #[test]
    fn what_names_no_tenant_is_refused() {
        for text in ["", "sender", "field:", "field:X Y", "field:X:", "header:X"] {
            let error = text.parse::<AssignTenant>().unwrap_err().to_string();
            assert!(error.contains("sender-domain"), "{text:?}: {error}");
        }
    }
}
