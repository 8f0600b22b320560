//! GetServerInfo: the settings of a server that a client can ask for before it sends a tensor.

use std::fs;

use evenkeel::config::{Encoding, SecurityConfig, ServerConfig};
use evenkeel_proto::v1 as pb;
use pb::DataType;
use tonic::{Code, Request};

use crate::harness::{self, refusal, start, start_with};

#[tokio::test]
async fn a_server_tells_its_settings() {
    for codec_path in [false, true] {
        let config = ServerConfig {
            max_message_bytes: 123_456,
            compression: vec![Encoding::Zstd, Encoding::Gzip],
            codec_path,
            ..ServerConfig::on_free_port()
        };
        let (_server, mut client) = start_with(config).await;
        let info = client.get_server_info(pb::GetServerInfoRequest {}).await.expect("there is nothing to refuse");
        let pb::GetServerInfoResponse {
            version,
            max_message_bytes,
            max_stream_chunk_bytes,
            dtypes,
            norm_kinds,
            compression,
        } = info.into_inner();
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
        // A message has room for a chunk's key and length.
        assert_eq!((max_message_bytes, max_stream_chunk_bytes), (123_456, 123_448));
        assert_eq!(
            dtypes,
            [DataType::Float32, DataType::Float64, DataType::Float16, DataType::Bfloat16].map(i32::from)
        );
        assert_eq!(norm_kinds, harness::norm_kinds().map(i32::from).collect::<Vec<_>>());
        assert_eq!(compression, ["zstd", "gzip"]);
    }
}

#[tokio::test]
async fn a_server_without_compression_names_none() {
    let (_server, mut client) = start().await;
    let info = client.get_server_info(pb::GetServerInfoRequest {}).await.expect("there is nothing to refuse");
    assert_eq!(info.into_inner().compression, [""; 0]);
}

#[tokio::test]
async fn the_settings_are_told_to_those_who_have_a_token() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens");
    fs::write(&path, "secret\n").expect("it can be written");
    let security = SecurityConfig { auth_token_file: Some(path), ..Default::default() };
    let (_server, mut client) = start_with(ServerConfig { security, ..ServerConfig::on_free_port() }).await;
    refusal(client.get_server_info(pb::GetServerInfoRequest {}).await, Code::Unauthenticated);
    let mut request = Request::new(pb::GetServerInfoRequest {});
    request.metadata_mut().insert("authorization", "Bearer secret".parse().expect("a header's value"));
    client.get_server_info(request).await.expect("the token is right");
}
