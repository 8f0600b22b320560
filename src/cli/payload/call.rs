//! The name of a call on the command line.

use evenkeel_proto::Method;

/// A call that a request can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Call(Method);

/// Those that take a request of evenkeel's, and the health check.
const CALLS: [Method; Method::TENSOR_OPS + 2] = {
    let mut calls = [Method::HealthCheck; Method::TENSOR_OPS + 2];
    let mut index = 0;
    while index <= Method::TENSOR_OPS {
        calls[index] = Method::ALL[index];
        index += 1;
    }
    calls
};

impl Call {
    /// Reads a name: `Normalize`, `evenkeel.v1.TensorOpsService/Normalize`, or with a dot in place of the slash, as ghz takes
    /// it.
    ///
    /// # Errors
    /// There is no such call.
    pub(in crate::cli) fn parse(name: &str) -> Result<Self, String> {
        let name = name.strip_prefix('/').unwrap_or(name);
        let is_named = |method: &&Method| {
            let (service, own) = (method.service(), method.name());
            let full = name.strip_prefix(service).and_then(|rest| rest.strip_prefix(['/', '.'])) == Some(own);
            // The health check is named with its service.
            full || name == own && service == Method::Normalize.service()
        };
        CALLS.iter().find(is_named).copied().map(Self).ok_or_else(|| {
            let ours = CALLS.iter().filter(|method| method.service() == Method::Normalize.service());
            let names: Vec<&str> = ours.map(|method| method.name()).collect();
            format!("there is no such call; there are {} and {}", names.join(", "), "grpc.health.v1.Health/Check")
        })
    }

    /// The method.
    pub(in crate::cli) fn method(self) -> Method {
        self.0
    }

    /// The name with its service, as ghz and grpcurl take it.
    pub(in crate::cli) fn name(self) -> String {
        self.0.path().trim_start_matches('/').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_all_their_names() {
        for (name, method) in [
            ("Normalize", Method::Normalize),
            ("evenkeel.v1.TensorOpsService/GetServerInfo", Method::GetServerInfo),
            ("evenkeel.v1.TensorOpsService.ClipGradientsStream", Method::ClipGradientsStream),
            ("/evenkeel.v1.TensorOpsService/Dropout", Method::Dropout),
            ("grpc.health.v1.Health/Check", Method::HealthCheck),
        ] {
            assert_eq!(Call::parse(name), Ok(Call(method)));
        }
        for name in ["", "normalize", "Check", "evenkeel.v1.TensorOpsService", "evenkeel.v1.TensorOpsServiceDropout"] {
            let error = Call::parse(name).expect_err(name);
            assert!(error.contains("MeasureStatistics") && error.contains("Health/Check"), "{error}");
        }
    }
}
