//! The page at `/`, on which a person in a browser makes calls of this server: its files are in the program.
//!
//! A request for a file is no call of gRPC. It is counted, charged and bounded as other such requests are
//! (`server/protocol.rs`), needs no token, and holds no memory beside its headers: the bytes that it sends are the program's own.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use tonic::{
    body::Body,
    codegen::http::{HeaderValue, Method, Response, StatusCode, header, request::Parts},
};

use crate::observe::AnsweredByHttp;

/// The only sources of what the page loads and shows: a page in a frame of another would not be this one.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The row of a file below `page/`.
macro_rules! file {
    ($name:literal, $content_type:expr) => {
        (concat!("/page/", $name), $content_type, include_bytes!(concat!("page/", $name)))
    };
}

/// The files: the path of each, its content type and its bytes.
const FILES: [(&str, &str, &[u8]); 33] = [
    ("/", HTML, include_bytes!("page/index.html")),
    file!("answer.js", SCRIPT),
    file!("arrows.js", SCRIPT),
    file!("call.js", SCRIPT),
    file!("cells.js", SCRIPT),
    file!("code.js", SCRIPT),
    file!("cube.js", SCRIPT),
    file!("fields.js", SCRIPT),
    file!("figures.css", CSS),
    file!("histogram.js", SCRIPT),
    file!("icon.svg", SVG),
    file!("image.js", SCRIPT),
    file!("literals.js", SCRIPT),
    file!("main.js", SCRIPT),
    file!("mask.js", SCRIPT),
    file!("npy.js", SCRIPT),
    file!("numbers.js", SCRIPT),
    file!("operations.js", SCRIPT),
    file!("pooled.js", SCRIPT),
    file!("request.js", SCRIPT),
    file!("samples.js", SCRIPT),
    file!("snippets-grpc.js", SCRIPT),
    file!("snippets-native.js", SCRIPT),
    file!("snippets-script.js", SCRIPT),
    file!("snippets.js", SCRIPT),
    file!("style.css", CSS),
    file!("svg.js", SCRIPT),
    file!("tensor-field.js", SCRIPT),
    file!("tensors.js", SCRIPT),
    file!("theme.js", SCRIPT),
    file!("view-clip.js", SCRIPT),
    file!("view-dropout.js", SCRIPT),
    file!("view-normalize.js", SCRIPT),
];

/// A file of the page.
#[derive(Debug)]
struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    /// Differs where the bytes do.
    etag: HeaderValue,
}

/// The page, which answers requests for its files.
#[derive(Clone, Debug)]
pub(super) struct Page(Arc<[File]>);

impl Page {
    pub(super) fn new() -> Self {
        let file = |(path, content_type, bytes)| File { path, content_type, bytes, etag: etag(bytes) };
        Self(FILES.into_iter().map(file).collect())
    }

    /// The answer to a request that asks for a file of the page; `None`: it asks for something else.
    pub(super) fn answer(&self, request: &Parts) -> Option<Response<Body>> {
        let has_body = match request.method {
            Method::GET => true,
            Method::HEAD => false,
            _ => return None,
        };
        let File { path: _, content_type, bytes, etag } = self.0.iter().find(|file| file.path == request.uri.path())?;
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(AnsweredByHttp);
        let headers = response.headers_mut();
        for (name, value) in [
            // The bytes change with the program: browsers ask each time, and get 304 for the same bytes.
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::ETAG, etag.clone());
        if request.headers.get_all(header::IF_NONE_MATCH).iter().any(|known| names(known, etag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Some(response);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CONTENT_LENGTH, bytes.len().into());
        if has_body {
            *response.body_mut() = Body::new(Full::from(Bytes::from_static(bytes)));
        }
        Some(response)
    }
}

/// Whether an `If-None-Match` names this ETag. Browsers send it as it came; proxies that compress put `W/` before it.
fn names(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let tags = known.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    tags.map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag)).any(|tag| tag == b"*" || tag == etag.as_bytes())
}

/// The ETag of bytes: their hash by FNV-1a with 64 bits.
fn etag(bytes: &[u8]) -> HeaderValue {
    const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01B3;
    let hash = bytes.iter().fold(OFFSET, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    HeaderValue::from_str(&format!("\"{hash:016x}\"")).expect("these are digits between quotes")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// Each file of the folder is served, so that none is forgotten, and together they stay small.
    #[test]
    fn the_folder_is_served_and_is_small() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/page");
        let entries = fs::read_dir(folder).expect("it is a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"));
        let of_name = |name: String| if name == "index.html" { "/".to_owned() } else { format!("/page/{name}") };
        let served: BTreeSet<String> = FILES.iter().map(|(path, ..)| (*path).to_owned()).collect();
        assert_eq!(names.map(of_name).collect::<BTreeSet<_>>(), served);
        assert_eq!(served.len(), FILES.len());
        let bytes: usize = FILES.iter().map(|(.., bytes)| bytes.len()).sum();
        assert!(bytes < 200 << 10, "{bytes} bytes");
    }

    /// The page loads nothing from elsewhere: the only other addresses in its files are names of XML.
    #[test]
    fn no_file_names_another_server() {
        for (path, _, bytes) in FILES {
            let text = std::str::from_utf8(bytes).expect("it is text");
            for (at, _) in text
                .match_indices("//")
                .filter(|&(at, _)| text[..at].ends_with("http:") || text[..at].ends_with("https:"))
            {
                let rest = &text[at + 2..];
                assert!(rest.starts_with("www.w3.org/2000/svg"), "{path}: {}", &rest[..rest.len().min(40)]);
            }
        }
    }

    #[test]
    fn an_etag_is_that_of_its_bytes() {
        // The test vectors of FNV-1a's authors.
        for (bytes, hash) in [("", "cbf29ce484222325"), ("a", "af63dc4c8601ec8c"), ("foobar", "85944171f73967e8")] {
            assert_eq!(etag(bytes.as_bytes()), format!("\"{hash}\""));
        }
        let (known, etag) = (HeaderValue::from_static, HeaderValue::from_static("\"1f\""));
        for same in ["\"1f\"", "W/\"1f\"", "\"0\", \"1f\"", "*"] {
            assert!(names(&known(same), &etag), "{same}");
        }
        for other in ["", "\"1\"", "1f", "\"1f", "\"0\" \"1f\""] {
            assert!(!names(&known(other), &etag), "{other}");
        }
    }
}
