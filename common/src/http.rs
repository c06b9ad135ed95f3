//! The HTTP listener of a service: `/livez`, `/readyz`, `/metrics`.

mod answers;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::debug;

use crate::config::HttpSettings;
use crate::health::Health;
use crate::listen::{ListenError, listen};
use crate::outage::Outage;

/// The metrics of a process, shared by the parts that count and the listener that shows.
pub type SharedRegistry = Arc<Mutex<Registry>>;

/// A listener that is bound but not served yet.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    settings: HttpSettings,
}

impl HttpServer {
    /// Listens on `http.listen`.
    ///
    /// # Errors
    /// When it cannot, with the key and the address.
    pub async fn bind(settings: &HttpSettings) -> Result<Self, ListenError> {
        let listener = listen("http.listen", settings.listen).await?;
        Ok(Self { listener, settings: settings.clone() })
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.settings.listen)
    }

    /// Serves until it is dropped. Each connection gets one answer within `request_timeout_ms`, at most
    /// `connections_max` at a time.
    pub async fn serve(self, health: Health, registry: SharedRegistry) {
        let router = TowerToHyperService::new(answers::router(health, registry));
        let permits = Arc::new(Semaphore::new(self.settings.connections_max));
        let timeout = self.settings.request_timeout();
        let mut outage = Outage::new("accept HTTP connections", self.address().to_string());
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: without a pause this would be a busy loop.
                    outage.failed(&error);
                    tokio::time::sleep(timeout.min(std::time::Duration::from_millis(100))).await;
                    continue;
                }
            };
            outage.works();
            let router = router.clone();
            let settings = self.settings.clone();
            tokio::spawn(async move {
                answer(stream, router, &settings).await;
                drop(permit);
            });
        }
    }
}

async fn answer(stream: TcpStream, router: TowerToHyperService<axum::Router>, settings: &HttpSettings) {
    let timeout = settings.request_timeout();
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .serve_connection(TokioIo::new(stream), router);
    match tokio::time::timeout(timeout, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "an HTTP client went away"),
        Err(_) => debug!("an HTTP client was too slow"),
    }
}

#[cfg(test)]
mod tests;
