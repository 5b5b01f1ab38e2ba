//! The client, token and deadline that all subcommands share.

use std::time::Duration;

use crate::client::OrderClient;
use crate::client::token::BearerToken;

pub(super) struct CallContext {
    pub(super) client: OrderClient,
    pub(super) token: Option<BearerToken>,
    pub(super) timeout: Duration,
    pub(super) json: bool,
}

impl CallContext {
    /// A request with the token and a deadline, so that the service stops working on it when the caller no longer
    /// waits.
    pub(super) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(self.timeout);
        if let Some(token) = &self.token {
            token.show(&mut request);
        }
        request
    }
}
