use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::plugins::source::oci::tests::{Fake, status};

fn proxied_by(fake: &Fake) -> Dialer {
    let proxies = Matcher::builder().https(fake.url()).build();
    Dialer::try_new(None, proxies).unwrap()
}

#[tokio::test]
async fn tls_goes_through_the_proxy_and_plain_http_does_not() {
    let proxy = Fake::start(|_, stream| stream.answer(&status(407, "")));
    let dialer = proxied_by(&proxy);
    let uri = Uri::from_static("https://registry.example/v2/");
    let problem = dialer.dial(&uri, Chosen::ByOperator).await.map(drop).unwrap_err();
    assert!(problem.contains("the proxy makes no tunnel: it answers 407"), "{problem}");
    assert!(proxy.heads()[0].starts_with("CONNECT registry.example:443 HTTP/1.1\r\n"), "{:?}", proxy.heads());

    let registry = Fake::start(|_, stream| stream.answer(&status(200, "")));
    let plain = format!("{}/v2/", registry.url()).parse().unwrap();
    let mut stream = dialer.dial(&plain, Chosen::ByOperator).await.map_err(|problem| panic!("{problem}")).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    stream.read_u8().await.unwrap();
    assert_eq!((proxy.heads().len(), registry.heads().len()), (1, 1));
}

#[tokio::test]
async fn a_tunnel_carries_what_is_written_to_it() {
    let proxy = Fake::start(|_, stream| {
        stream.answer("HTTP/1.1 200 Connection established\r\n\r\n");
        let heard = stream.hear(4);
        stream.answer(&String::from_utf8_lossy(&heard).to_uppercase());
    });
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let secret = HeaderValue::from_static("Basic dTpw");
    let mut tunnel = tunnel(stream, &Uri::from_static("https://[::1]/"), 443, Some(&secret)).await.unwrap();
    tunnel.write_all(b"ping").await.unwrap();
    let mut heard = [0; 4];
    tunnel.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"PING");
    let head = &proxy.heads()[0];
    assert!(head.starts_with("CONNECT [::1]:443 ") && head.contains("proxy-authorization: Basic dTpw"), "{head}");
}

#[tokio::test]
async fn a_registry_cannot_send_us_to_the_machine_s_own_addresses() {
    let dialer = Dialer::try_new(None, Matcher::builder().build()).unwrap();
    for uri in ["http://169.254.169.254/latest", "http://[fe80::1]/", "http://0.0.0.0/", "http://[::ffff:169.254.0.1]/"]
    {
        let problem = dialer.dial(&uri.parse().unwrap(), Chosen::ByRegistry).await.map(drop).unwrap_err();
        assert!(problem.contains("no address that a registry may send us to"), "{uri}: {problem}");
    }
}

#[test]
fn what_is_on_this_machine_is_not_asked_of_a_proxy() {
    for (host, expected) in
        [("127.0.0.1", true), ("[::1]", true), ("localhost", true), ("localhost.example", false), ("10.0.0.1", false)]
    {
        assert_eq!(is_loopback(host), expected, "{host}");
    }
}

#[test]
fn proxies_that_are_spoken_to_otherwise_are_refused() {
    assert!(proxy_place(&Uri::from_static("socks5://127.0.0.1:1080")).is_err());
    assert!(proxy_place(&Uri::from_static("https://127.0.0.1:3128")).is_err());
    assert_eq!(proxy_place(&Uri::from_static("http://127.0.0.1:3128")), Ok(("127.0.0.1", 3128)));
}

#[test]
fn a_file_without_certificates_is_refused_by_its_name() {
    for path in ["/nowhere/ca.crt", "/dev/null"] {
        let error = roots(Some(Path::new(path))).map(drop).unwrap_err().to_string();
        assert!(error.starts_with(&format!("certificate_authority {path:?}: ")), "{error}");
    }
}
