//! What is read out of `postgres.url`, and what is refused.

use super::*;

fn read(url: &str) -> Result<ConnectionString, UrlMistake> {
    ConnectionString::new(&PostgresSettings { url: url.to_owned(), ..PostgresSettings::default() })
}

fn mode(parameters: &str) -> Option<SslMode> {
    read(&format!("postgres://u@h/d?{parameters}")).ok().map(|string| string.tls.mode)
}

#[test]
fn sslmode_is_prefer_unless_it_is_given() {
    assert_eq!(mode(""), Some(SslMode::Prefer));
    assert_eq!(mode("sslmode=disable"), Some(SslMode::Disable));
    assert_eq!(mode("sslmode=require"), Some(SslMode::Require));
    assert_eq!(mode("sslmode=verify-ca&sslrootcert=%2Fca.pem"), Some(SslMode::VerifyCa));
    assert_eq!(mode("sslrootcert=/ca.pem&sslmode=verify-full"), Some(SslMode::VerifyFull));
    assert_eq!(mode("sslrootcert=system"), Some(SslMode::VerifyFull));
}

#[test]
fn files_are_read_with_their_escapes() {
    let string = read("postgres://u@h/d?sslrootcert=/a%20b.pem&sslcert=/c.pem&sslkey=/k.pem");
    let tls = string.map(|string| string.tls);
    let client = Some(ClientCertificate { chain: "/c.pem".into(), key: "/k.pem".into() });
    let roots = Some(Certificates::File("/a b.pem".into()));
    assert_eq!(tls, Ok(TlsSettings { mode: SslMode::Prefer, roots, client }));
}

#[test]
fn servers_keep_their_order_names_and_ports() {
    let places = |url: &str| read(url).map(|string| string.place());
    assert_eq!(places("postgres://u@a,b:7/d").as_deref(), Ok("a:5432,b:7"));
    assert_eq!(places("postgres://u@/d?host=a,b&port=6,7").as_deref(), Ok("a:6,b:7"));
    assert_eq!(places("postgres://u@/d?host=a,b&port=6").as_deref(), Ok("a:6,b:6"));
    let servers = read("postgres://u@a/d?hostaddr=127.0.0.1").map(|string| string.servers().collect());
    let expected: Vec<HostPort> =
        vec![HostPort { host: "a".into(), hostaddr: "127.0.0.1".parse().ok(), port: 5432 }];
    assert_eq!(servers, Ok(expected));
}

#[test]
fn silence_is_noticed_after_the_setting_unless_the_url_says_otherwise() {
    let keepalive = |parameters: &str| {
        let session = read(&format!("postgres://u@h/d?{parameters}")).map(|string| string.session);
        session.map(|session| {
            (
                session.get_keepalives_idle().as_secs(),
                session.get_keepalives_retries(),
                session.get_tcp_user_timeout().map(Duration::as_secs),
            )
        })
    };
    assert_eq!(keepalive(""), Ok((30, Some(3), Some(60))));
    assert_eq!(keepalive("keepalives_idle=5&keepalives_count=2"), Ok((5, Some(2), Some(60))));
    assert_eq!(keepalive("tcp_user_timeout=9000"), Ok((30, Some(3), Some(9))));
}

#[test]
fn mistakes_name_the_parameter_and_what_would_be_right() {
    for (url, reason) in [
        ("postgres://u@h/d?sslmode=allow", "sslmode must be disable, prefer"),
        ("postgres://u@h/d?sslmode=verify-full", "needs sslrootcert"),
        ("postgres://u@h/d?sslmode=require&sslrootcert=system", "needs sslmode=verify-full"),
        ("postgres://u@h/d?sslcert=/c.pem", "both sslcert and sslkey"),
        ("postgres://u@h/d?sslcrl=/crl.pem", "parameter sslcrl, which is not supported"),
        ("postgres://u@h/d?target_session_attrs=primary", "must be any, read-write or read-only"),
        ("postgres://u@h/d?connect_timeout=soon", "connect_timeout must be a number"),
        ("postgres://u@h/d?tcp_user_timeout=soon", "tcp_user_timeout must be a number"),
        ("postgres://h/d", "names no user"),
        ("postgres://u@/d", "names no host"),
        ("postgres://u@a/d?host=b", "names hosts in two places"),
        ("postgres://u@%2Ftmp/d", "names a Unix socket"),
        ("postgres://u@/d?host=a,b,c&port=1,2", "as many ports as hosts"),
    ] {
        let mistake = read(url).err().map(|mistake| mistake.to_string()).unwrap_or_default();
        assert!(mistake.contains(reason), "{url}: {mistake}");
    }
}

#[test]
fn no_mistake_repeats_what_may_be_a_password() {
    for url in [
        "postgres://u:hunter?2hunter=@h/d",
        "postgres://u:hunter2@h:hunter2/d",
        "postgres://u@h/d?password=%FF",
    ] {
        let mistake = read(url).err().map(|mistake| mistake.to_string());
        assert!(mistake.is_some_and(|text| !text.contains("hunter")), "{url}");
    }
}
