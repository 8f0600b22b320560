//! The headers of requests to the collector, such as a token.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataKey, MetadataValue},
    service::Interceptor,
};

use crate::{
    config::OtlpConfig,
    lines::lines,
    metrics::Files,
    setting::{Error, File},
    watched::{Reloaded, Reloads},
};

/// Names that belong to HTTP/2, gRPC and the exporter.
const RESERVED: [&str; 5] = ["content-type", "te", "user-agent", "host", "connection"];

/// Names and values. The values are marked as sensitive, so that `Debug` does not show them.
#[derive(Debug)]
struct List(Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>);

/// Adds the headers of the file, as it is now, to each request; they count more than those of
/// `OTEL_EXPORTER_OTLP_HEADERS`.
#[derive(Clone, Debug)]
pub(super) struct CollectorHeaders(Option<Reloaded<List>>);

impl CollectorHeaders {
    /// The headers of the file, if one is set. The task that reads it again is added to `reloads`.
    ///
    /// # Errors
    /// A file that cannot be read, or has a line that is no header.
    pub(super) fn new(config: &OtlpConfig, reloads: &mut Reloads) -> Result<Self, Error> {
        let Some(path) = &config.headers_file else { return Ok(Self(None)) };
        let file = File { key: "otlp-headers-file", path: path.clone() };
        let (headers, reload) = Reloaded::load(vec![file], |files, contents| parse(&files[0], &contents[0]))?;
        reloads.watch(reload, Files::CollectorHeaders);
        Ok(Self(Some(headers)))
    }
}

impl Interceptor for CollectorHeaders {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(headers) = &self.0 {
            for (name, value) in &headers.get().0 {
                request.metadata_mut().insert(name.clone(), value.clone());
            }
        }
        Ok(request)
    }
}

/// One header a line, `name: value`; empty lines and those that begin with `#` are ignored. An error names the line,
/// but does not repeat it.
fn parse(file: &File, content: &[u8]) -> Result<List, Error> {
    let mut headers = Vec::new();
    for (number, line) in lines(content).map_err(|reason| file.error(reason))? {
        let refused = |what: &str| file.error(format!("line {number}: {what}"));
        let (name, value) = line.split_once(':').ok_or_else(|| refused("it is not `name: value`"))?;
        let name = name.trim().to_ascii_lowercase();
        if RESERVED.contains(&name.as_str()) || name.starts_with("grpc-") {
            return Err(refused("the name is not free"));
        }
        // This also refuses names that end in `-bin`, whose values are not text.
        let name: MetadataKey<Ascii> = name.parse().map_err(|_| refused("it is not a valid header name"))?;
        let mut value: MetadataValue<Ascii> =
            value.trim().parse().map_err(|_| refused("it is not a valid header value"))?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    if headers.is_empty() { Err(file.error("there is no header in it")) } else { Ok(List(headers)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<List, Error> {
        parse(&File { key: "otlp-headers-file", path: "headers".into() }, text.as_bytes())
    }

    #[test]
    fn a_line_is_a_header() {
        let headers = parsed("# who sends\nAuthorization: Bearer a:b=c\r\n\nx-scope-orgid:  team \n").expect("right");
        let seen: Vec<_> =
            headers.0.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII"))).collect();
        assert_eq!(seen, [("authorization", "Bearer a:b=c"), ("x-scope-orgid", "team")]);
        assert!(!format!("{headers:?}").contains("Bearer"), "{headers:?}");
    }

    #[test]
    fn a_line_that_is_none_is_named_and_not_repeated() {
        for (text, line) in [
            ("a: b\nsecret", "line 2"),
            (": secret", "line 1"),
            ("a b: secret", "line 1"),
            ("a-bin: secret", "line 1"),
            ("content-type: secret", "line 1"),
            ("grpc-timeout: secret", "line 1"),
            ("\n\na: secret\u{7f}", "line 3"),
            ("", "no header"),
            ("# secret", "no header"),
        ] {
            let error = parsed(text).expect_err(text).to_string();
            assert!(error.contains("--otlp-headers-file") && error.contains(line), "{text:?}: {error}");
            assert!(!error.contains("secret"), "{text:?}: {error}");
        }
    }
}
