//! The unary methods.

use evenkeel_proto::{self as proto, v1 as pb};
use prost::Message;

/// A request, with the constants of its method.
pub(crate) trait Method: Message + Default + 'static {
    /// The message of the response.
    type Answer: Message + Default + 'static;
    /// The path of the call.
    const PATH: &'static str;
    /// The number of the response's last field, a tensor or a list of tensors.
    const OUTPUT: u32;

    /// Takes out the tensors that end the request, with the numbers of their fields.
    fn take_tensors(&mut self) -> Vec<(u32, pb::Tensor)>;
}

macro_rules! method {
    ($method:ident: $request:ident { $($field:ident = $number:literal),+ } => $answer:ident = $output:literal) => {
        impl Method for pb::$request {
            type Answer = pb::$answer;
            const PATH: &'static str = proto::Method::$method.path();
            const OUTPUT: u32 = $output;

            fn take_tensors(&mut self) -> Vec<(u32, pb::Tensor)> {
                let mut tensors = Vec::new();
                $(tensors.extend(std::mem::take(&mut self.$field).into_iter().map(|tensor| ($number, tensor)));)+
                tensors
            }
        }
    };
}

method!(Normalize: NormalizeRequest { input = 14 } => NormalizeResponse = 14);
method!(NormalizeBackward:
    NormalizeBackwardRequest { input = 14, grad_output = 15 } => NormalizeBackwardResponse = 12);
method!(Dropout: DropoutRequest { input = 15 } => DropoutResponse = 15);
method!(DropoutBackward: DropoutBackwardRequest { grad_output = 15 } => DropoutBackwardResponse = 15);
method!(ClipGradients: ClipGradientsRequest { gradients = 15 } => ClipGradientsResponse = 15);
