//! Connections to name servers that are asked whether they have validated.

use std::net::IpAddr;
use std::pin::Pin;

use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsExchange, DnsHandle};
use hickory_resolver::proto::op::DnsRequest;
use hickory_resolver::{ConnectionProvider, PoolContext};

/// Makes connections over which every question has the bit AD: without it a name
/// server need not say what it knows (RFC 6840 section 5.7).
#[derive(Clone, Default)]
pub(super) struct Asking(TokioRuntimeProvider);

/// One of them.
#[derive(Clone)]
pub(super) struct AskingExchange(DnsExchange<TokioRuntimeProvider>);

impl ConnectionProvider for Asking {
    type Conn = AskingExchange;
    type FutureConn = Pin<Box<dyn Future<Output = Result<AskingExchange, NetError>> + Send>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        context: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let connecting = self.0.new_connection(ip, config, context)?;
        Ok(Box::pin(
            async move { Ok(AskingExchange(connecting.await?)) },
        ))
    }

    fn runtime_provider(&self) -> &TokioRuntimeProvider {
        &self.0
    }
}

impl DnsHandle for AskingExchange {
    type Response = <DnsExchange<TokioRuntimeProvider> as DnsHandle>::Response;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, mut request: DnsRequest) -> Self::Response {
        request.metadata.authentic_data = true;
        self.0.send(request)
    }
}
