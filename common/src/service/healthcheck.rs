//! `healthcheck`: asks the service that runs beside, for container engines whose images have no shell and no curl.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use clap::ValueEnum;

use crate::config::HttpSettings;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Question {
    /// Can it do its work? As /readyz
    Ready,
    /// Does its main loop run? As /livez
    Live,
}

impl Question {
    fn path(self) -> &'static str {
        match self {
            Self::Ready => "/readyz",
            Self::Live => "/livez",
        }
    }
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unhealthy {
    #[error(
        "nothing answers on {0}, where http.listen says it should; is the service running with this configuration?"
    )]
    Silent(SocketAddr, #[source] io::Error),
    #[error("{0}")]
    Failing(String),
}

/// Bytes of an answer that are read: the reasons fit, and a stranger on the port cannot fill the memory.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Asks the service that listens where `http` says; gives back its answer.
pub(super) fn ask(question: Question, http: &HttpSettings) -> Result<String, Unhealthy> {
    let address = reachable(http.listen);
    let answer = get(address, question.path(), http).map_err(|error| Unhealthy::Silent(address, error))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let body = body.trim_end();
    // RFC 9112, section 4: version, status, reason.
    if head.split(' ').nth(1) == Some("200") {
        return Ok(body.to_owned());
    }
    Err(Unhealthy::Failing(if body.is_empty() { head.to_owned() } else { body.to_owned() }))
}

/// Who listens everywhere is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn get(address: SocketAddr, path: &str, http: &HttpSettings) -> io::Result<String> {
    let timeout = http.request_timeout();
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one request on a port of every address, with `answer`; gives back how the service would be configured.
    fn service(answer: &'static str) -> HttpSettings {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let listen = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let asked: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            assert_eq!(asked.first().map(String::as_str), Some("GET /readyz HTTP/1.1"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        HttpSettings { listen, ..HttpSettings::default() }
    }

    #[test]
    fn a_service_that_is_ready_is_healthy() {
        let http = service("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n");
        assert_eq!(ask(Question::Ready, &http).unwrap(), "ready");
    }

    #[test]
    fn a_service_that_is_not_ready_gives_its_reasons() {
        let http = service("HTTP/1.1 503 Service Unavailable\r\n\r\ndatabase: connection refused\n");
        let unhealthy = ask(Question::Ready, &http).unwrap_err().to_string();
        assert_eq!(unhealthy, "database: connection refused");
    }

    #[test]
    fn where_nobody_listens_nothing_is_healthy() {
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let http = HttpSettings { listen, ..HttpSettings::default() };
        let unhealthy = ask(Question::Live, &http).unwrap_err().to_string();
        assert!(unhealthy.contains(&format!("nothing answers on {listen}")), "{unhealthy}");
    }
}
