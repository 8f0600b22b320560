//! Reflection, in both versions that clients use.

use prost::Message as _;
use tonic::codegen::tokio_stream;
use tonic_reflection::pb;

use crate::harness::{connect, start};

const SERVICES: [&str; 4] = [
    "evenkeel.v1.TensorOpsService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// The two versions are one protocol under two names.
macro_rules! reflection_tests {
    ($version:ident) => {
        mod $version {
            use super::*;
            use pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };

            async fn ask(question: MessageRequest) -> MessageResponse {
                let (server, _client) = start().await;
                let mut client = ServerReflectionClient::new(connect(&server).await);
                let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
                let answers = client.server_reflection_info(tokio_stream::once(request)).await;
                let answer = answers.expect("the call is known").into_inner().message().await;
                answer.expect("the stream is open").and_then(|answer| answer.message_response).expect("it is answered")
            }

            #[tokio::test]
            async fn lists_every_service() {
                let MessageResponse::ListServicesResponse(list) =
                    ask(MessageRequest::ListServices(String::new())).await
                else {
                    panic!("not a list")
                };
                let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
                names.sort_unstable();
                assert_eq!(names, SERVICES);
            }

            #[tokio::test]
            async fn describes_every_service() {
                for service in SERVICES {
                    let question = MessageRequest::FileContainingSymbol(service.to_owned());
                    let MessageResponse::FileDescriptorResponse(files) = ask(question).await else {
                        panic!("{service} is not described")
                    };
                    let (package, name) = service.rsplit_once('.').expect("a service has a package");
                    let described = files.file_descriptor_proto.iter().any(|file| {
                        let file = prost_types::FileDescriptorProto::decode(file.as_slice()).expect("a descriptor");
                        file.package() == package && file.service.iter().any(|service| service.name() == name)
                    });
                    assert!(described, "{service}");
                }
            }
        }
    };
}

reflection_tests!(v1);
reflection_tests!(v1alpha);
