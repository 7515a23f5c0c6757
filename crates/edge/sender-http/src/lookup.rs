//! The second gate: every address a name resolves to.

use crate::{
    address::AddressPolicy,
    fair_lookup::FairLookup,
    watch::{Step, Watch},
};
use async_trait::async_trait;
use hyper_util::client::legacy::connect::dns::Name;
use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    pin::Pin,
    task::{Context, Poll},
    vec,
};
use tower::{BoxError, Service};

/// Finds the addresses of a name. How many may be under way is the sender's business.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// All of them.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver. A lookup holds a thread until it gives up.
pub struct SystemLookup {
    /// Names are taken as absolute, so that a search domain cannot turn `a.example` into `a.example.corp.internal`.
    /// Where the operator opened internal networks, the hosts file and search domains are asked as well.
    also_relative: bool,
}

impl SystemLookup {
    /// A resolver for destinations under this policy.
    pub fn new(policy: &AddressPolicy) -> Self {
        Self {
            also_relative: policy.is_opened(),
        }
    }
}

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let (name, also_relative) = (name.to_owned(), self.also_relative);
        tokio::task::spawn_blocking(move || {
            let is_absolute = name.ends_with('.') || !name.contains('.');
            let absolute = if is_absolute {
                ask(&name)
            } else {
                ask(&format!("{name}."))
            };
            match absolute {
                Err(_) if also_relative && !is_absolute => ask(&name),
                answer => answer,
            }
        })
        .await
        .map_err(io::Error::other)?
    }
}

fn ask(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0)
        .to_socket_addrs()?
        .map(|address| address.ip())
        .collect())
}

/// The resolver given to the client: it lets a name pass only with all its addresses.
#[derive(Clone)]
pub(crate) struct GuardedResolver {
    pub(crate) lookup: FairLookup,
    pub(crate) policy: AddressPolicy,
    /// The operator's own proxy is not a destination.
    pub(crate) proxy_host: Option<String>,
}

impl Service<Name> for GuardedResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str()).await?;
            Ok(addresses.into_iter())
        })
    }
}

impl GuardedResolver {
    /// The port is the client's to set.
    async fn resolve(&self, name: &str) -> Result<Vec<SocketAddr>, BoxError> {
        let watch = Watch::current().ok_or("a lookup outside an attempt")?;
        watch.enter(Step::LookingUp);
        let addresses = self.lookup.addresses(name).await?;
        if addresses.is_empty() {
            return Err("the name has no address".into());
        }
        if self.proxy_host.as_deref() != Some(name) {
            // An honest name has no inner address: one is enough to refuse them all.
            for ip in &addresses {
                self.policy.check(SocketAddr::new(*ip, watch.port))?;
            }
        }
        watch.enter(Step::Connecting);
        Ok(addresses
            .into_iter()
            .map(|ip| SocketAddr::new(ip, 0))
            .collect())
    }
}
