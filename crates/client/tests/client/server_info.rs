//! What a client learns of a server.

use evenkeel::{
    config::{Encoding, ServerConfig},
    server::Running,
};
use evenkeel_client::{Client, DType, Error, NormKind};
use evenkeel_proto::v1 as pb;
use tonic::Code;

use crate::{TestResult, fake::Fake};

#[tokio::test]
async fn a_server_tells_what_it_is() -> TestResult {
    let config =
        ServerConfig { max_message_bytes: 1 << 21, compression: vec![Encoding::Gzip], ..ServerConfig::on_free_port() };
    let server = Running::start(config).await?;
    let info = Client::connect(server.url()).await?.server_info().await?;
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    assert_eq!((info.max_message_bytes, info.max_stream_chunk_bytes), (1 << 21, 1 << 20));
    assert_eq!(info.dtypes, [DType::F32, DType::F64, DType::F16, DType::Bf16]);
    assert_eq!(info.norm_kinds, NormKind::ALL);
    assert_eq!(info.compression, ["gzip"]);
    Ok(())
}

/// A server that is newer than this client can do more; one that is older does not know the call.
#[tokio::test]
async fn what_is_not_known_is_left_out() -> TestResult {
    let newer =
        |_| Ok(pb::GetServerInfoResponse { dtypes: vec![99, 1, 0], norm_kinds: vec![0, 2, 77], ..Default::default() });
    let info = Fake { get_server_info: Box::new(newer), ..Fake::default() }.start().await?.server_info().await?;
    assert_eq!((info.dtypes, info.norm_kinds), (vec![DType::F32], vec![NormKind::Layer]));

    match Fake::default().start().await?.server_info().await {
        Err(Error::Status(status)) => assert_eq!(status.code(), Code::Unimplemented),
        other => panic!("{other:?}"),
    }
    Ok(())
}
