//! The page at `/`, as a browser asks for it, over HTTP/1.1 and HTTP/2.

use std::{fs, path::Path};

use bytes::Bytes;
use evenkeel::{
    config::{SecurityConfig, ServerConfig, WebConfig},
    server::Running,
};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client as Http, rt::TokioExecutor};
use tonic::codegen::http::{HeaderMap, Request, Response};

use crate::{
    harness::start_with,
    metrics::{config, scrape},
    until::until,
};

/// A server with the page, and metrics.
async fn served() -> Running {
    Running::start(config()).await.expect("the server starts")
}

/// The whole answer to a request for a path, with these headers.
async fn ask(server: &Running, http2: bool, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let http = Http::builder(TokioExecutor::new()).http2_only(http2).build_http();
    let mut request = Request::builder().method(method).uri(format!("{}{path}", server.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::new())).expect("a request");
    let (head, body) = http.request(request).await.expect("an answer").into_parts();
    Response::from_parts(head, body.collect().await.expect("the whole of it").to_bytes())
}

/// A file of the page, as it is in the repository.
fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/page").join(name)).expect("it is in the repository")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("it is text"))
}

#[tokio::test]
async fn a_browser_gets_the_page_and_its_files() {
    let server = served().await;
    for http2 in [false, true] {
        for (path, name, content_type) in [
            ("/", "index.html", "text/html; charset=utf-8"),
            ("/page/main.js", "main.js", "text/javascript; charset=utf-8"),
            ("/page/style.css", "style.css", "text/css; charset=utf-8"),
            ("/page/icon.svg", "icon.svg", "image/svg+xml"),
        ] {
            let bytes = file(name);
            let answer = ask(&server, http2, "GET", path, &[]).await;
            assert_eq!(answer.status(), 200, "{path}");
            assert!(answer.body()[..] == bytes[..], "{path}");
            let headers = answer.headers();
            assert_eq!(text(headers, "content-type"), content_type, "{path}");
            assert_eq!(text(headers, "content-length"), bytes.len().to_string(), "{path}");
            assert_eq!(text(headers, "cache-control"), "no-cache", "{path}");
            assert_eq!(text(headers, "x-content-type-options"), "nosniff", "{path}");
            assert!(text(headers, "content-security-policy").starts_with("default-src 'self';"), "{path}");
            assert!(!headers.contains_key("grpc-status"), "{path}");

            let head = ask(&server, http2, "HEAD", path, &[]).await;
            assert_eq!((head.status(), head.body().len()), (answer.status(), 0), "{path}");
            let dated = |headers: &HeaderMap| {
                let mut headers = headers.clone();
                headers.remove("date");
                headers
            };
            assert_eq!(dated(head.headers()), dated(headers), "{path}");
        }
    }
}

/// A browser that has the bytes gets none.
#[tokio::test]
async fn the_same_bytes_are_not_sent_twice() {
    let server = served().await;
    for http2 in [false, true] {
        let first = ask(&server, http2, "GET", "/", &[]).await;
        let etag = text(first.headers(), "etag");
        for (method, known) in [("GET", etag.to_owned()), ("HEAD", format!("W/\"0\", W/{etag}"))] {
            let again = ask(&server, http2, method, "/", &[("if-none-match", &known)]).await;
            assert_eq!((again.status().as_u16(), again.body().len()), (304, 0), "{method} {known}");
            assert_eq!(text(again.headers(), "etag"), etag);
            assert_eq!(text(again.headers(), "cache-control"), "no-cache");
        }
        let other = ask(&server, http2, "GET", "/page/main.js", &[("if-none-match", etag)]).await;
        assert_eq!(other.status(), 200, "each file has an ETag of its own");
    }
}

/// Other paths and methods are answered as they were without the page.
#[tokio::test]
async fn what_is_no_file_is_no_call() {
    let server = served().await;
    for http2 in [false, true] {
        for (method, path, status) in [
            ("GET", "/page", 405),
            ("GET", "/page/", 405),
            ("GET", "/page/index.html", 405),
            ("GET", "/page/../main.js", 405),
            ("GET", "/favicon.ico", 405),
            ("HEAD", "/page/none.js", 405),
            ("GET", "/evenkeel.v1.TensorOpsService/Normalize", 405),
            ("PUT", "/", 405),
            ("POST", "/", 415),
        ] {
            let answer = ask(&server, http2, method, path, &[]).await;
            assert_eq!(answer.status(), status, "{method} {path}");
            assert_eq!(text(answer.headers(), "content-type"), "text/plain", "{method} {path}");
        }
    }
}

/// Browsers send no token with a page's address; the page asks for one, and sends it with its calls.
#[tokio::test]
async fn the_page_needs_no_token() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens");
    fs::write(&path, "secret\n").expect("it can be written");
    let security = SecurityConfig { auth_token_file: Some(path), ..SecurityConfig::default() };
    let (server, _client) = start_with(ServerConfig { security, ..ServerConfig::on_free_port() }).await;
    assert_eq!(ask(&server, false, "GET", "/", &[]).await.status(), 200);
}

/// Each request is counted, as OK, and holds no memory when it has ended.
#[tokio::test]
async fn requests_for_the_page_are_counted() {
    let server = served().await;
    for (path, known, code) in [("/", "", "OK"), ("/page/main.js", "*", "OK"), ("/page/none.js", "", "UNKNOWN")] {
        let counted = async || {
            let is_one = |series: &str| {
                series.starts_with("grpc_server_handled_total{grpc_service=\"_OTHER\"")
                    && series.contains(&format!("grpc_code=\"{code}\""))
            };
            scrape(&server).await.iter().filter(|(series, _)| is_one(series)).map(|(_, count)| count).sum::<f64>()
        };
        let before = counted().await;
        ask(&server, false, "GET", path, &[("if-none-match", known)]).await;
        until("the request is counted", async || counted().await == before + 1.0).await;
    }
    until("no memory is held", async || scrape(&server).await["evenkeel_bytes_in_flight"] == 0.0).await;
}

/// The calls of the page are Connect's.
#[tokio::test]
async fn the_page_is_off_without_connect() {
    let web = WebConfig { connect: Some(false), ..WebConfig::default() };
    let server = Running::start(ServerConfig { web, ..ServerConfig::on_free_port() }).await.expect("the server starts");
    for path in ["/", "/page/main.js"] {
        assert_eq!(ask(&server, true, "GET", path, &[]).await.status(), 405, "{path}");
    }
}
