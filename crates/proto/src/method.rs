//! The table of all remote calls that a server of evenkeel takes.

/// The label of a service or a method that is not in the table.
const OTHER: &str = "_OTHER";

macro_rules! methods {
    ($($method:ident = $service:literal $name:literal, $kind:literal;)*) => {
        /// A remote call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Method {
            $(#[doc = concat!("`/", $service, "/", $name, "`")] $method,)*
            /// Every other path.
            Other,
        }

        /// In the order of the methods.
        const TABLE: &[Row] = &[
            $(Row {
                path: concat!("/", $service, "/", $name),
                service_path: concat!("/", $service, "/"),
                service: $service,
                name: $name,
                kind: $kind,
            },)*
            Row { path: "", service_path: "", service: OTHER, name: OTHER, kind: OTHER },
        ];

        impl Method {
            /// How many there are, with [`Other`](Self::Other).
            pub const COUNT: usize = TABLE.len();
            /// All of them, in the order of their indices.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$method,)* Self::Other];
        }
    };
}

methods! {
    Normalize = "evenkeel.v1.TensorOpsService" "Normalize", "unary";
    NormalizeBackward = "evenkeel.v1.TensorOpsService" "NormalizeBackward", "unary";
    Dropout = "evenkeel.v1.TensorOpsService" "Dropout", "unary";
    DropoutBackward = "evenkeel.v1.TensorOpsService" "DropoutBackward", "unary";
    ClipGradients = "evenkeel.v1.TensorOpsService" "ClipGradients", "unary";
    MeasureGradients = "evenkeel.v1.TensorOpsService" "MeasureGradients", "client_stream";
    MeasureStatistics = "evenkeel.v1.TensorOpsService" "MeasureStatistics", "client_stream";
    MeasureGradientsUnary = "evenkeel.v1.TensorOpsService" "MeasureGradientsUnary", "unary";
    MeasureStatisticsUnary = "evenkeel.v1.TensorOpsService" "MeasureStatisticsUnary", "unary";
    NormalizeStream = "evenkeel.v1.TensorOpsService" "NormalizeStream", "bidi_stream";
    DropoutStream = "evenkeel.v1.TensorOpsService" "DropoutStream", "bidi_stream";
    ClipGradientsStream = "evenkeel.v1.TensorOpsService" "ClipGradientsStream", "bidi_stream";
    GetServerInfo = "evenkeel.v1.TensorOpsService" "GetServerInfo", "unary";
    HealthCheck = "grpc.health.v1.Health" "Check", "unary";
    HealthWatch = "grpc.health.v1.Health" "Watch", "server_stream";
    ReflectionV1 = "grpc.reflection.v1.ServerReflection" "ServerReflectionInfo", "bidi_stream";
    ReflectionV1Alpha = "grpc.reflection.v1alpha.ServerReflection" "ServerReflectionInfo", "bidi_stream";
}

/// The names of a method, as paths and labels need them.
struct Row {
    path: &'static str,
    service_path: &'static str,
    service: &'static str,
    name: &'static str,
    kind: &'static str,
}

impl Method {
    /// The number of methods that compute. They are the first ones, so that their indices are those of an array of this length.
    pub const TENSOR_OPS: usize = 12;

    /// The call that the path of a request asks for.
    pub fn of_path(path: &str) -> Self {
        let known = Self::ALL.into_iter().zip(TABLE).find(|(_, row)| row.path == path && !path.is_empty());
        known.map_or(Self::Other, |(method, _)| method)
    }

    /// The path of its requests; empty for [`Other`](Self::Other).
    pub const fn path(self) -> &'static str {
        TABLE[self.index()].path
    }

    /// The beginning of the paths of all methods of its service, up to the last `/`; empty for [`Other`](Self::Other).
    pub const fn service_path(self) -> &'static str {
        TABLE[self.index()].service_path
    }

    /// Its place in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name of its service, with the package: the label `grpc_service` of metrics.
    pub const fn service(self) -> &'static str {
        TABLE[self.index()].service
    }

    /// Its name within the service: the label `grpc_method` of metrics.
    pub const fn name(self) -> &'static str {
        TABLE[self.index()].name
    }

    /// Which of its sides are streams: the label `grpc_type` of metrics.
    pub const fn kind(self) -> &'static str {
        TABLE[self.index()].kind
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::FILE_DESCRIPTOR_SET;

    #[test]
    fn paths_are_methods_and_nothing_else_is() {
        for method in Method::ALL.into_iter().filter(|&method| method != Method::Other) {
            let path = format!("/{}/{}", method.service(), method.name());
            assert_eq!(Method::of_path(&path), method);
            assert_eq!((method.path(), [method.service_path(), method.name()].concat()), (&*path, path.clone()));
            for other in [&path[1..], &path[..path.len() - 1], &format!("{path}/"), &path.to_uppercase()] {
                assert_eq!(Method::of_path(other), Method::Other, "{other}");
            }
        }
        assert_eq!(Method::of_path(""), Method::Other);
        assert_eq!(Method::of_path("/_OTHER/_OTHER"), Method::Other);
    }

    /// The contract has no method that the table does not know, and each is of the type that the table says.
    #[test]
    fn the_contract_is_in_the_table() {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("it is a descriptor");
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let kind = match (method.client_streaming(), method.server_streaming()) {
                        (false, false) => "unary",
                        (true, false) => "client_stream",
                        (false, true) => "server_stream",
                        (true, true) => "bidi_stream",
                    };
                    let known = Method::of_path(&path);
                    assert_ne!(known, Method::Other, "{path}");
                    assert_eq!(known.kind(), kind, "{path}");
                }
            }
        }
    }
}
