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

#[cfg(test)]
mod tests {
    use prost::encoding::{WireType, decode_key};

    use super::*;

    /// The number of the only field that a message has.
    fn number(message: &impl Message) -> u32 {
        let (number, wire_type) = decode_key(&mut &message.encode_to_vec()[..]).expect("it has a field");
        assert_eq!(wire_type, WireType::LengthDelimited);
        number
    }

    /// The request has one field, a tensor, and the response has the output alone.
    fn check<M: Method>(request: M, response: &M::Answer) {
        let mut emptied = request;
        let expected = number(&emptied);
        let numbers: Vec<u32> = emptied.take_tensors().into_iter().map(|(number, _)| number).collect();
        assert_eq!((numbers, emptied.encoded_len()), (vec![expected], 0), "{}", M::PATH);
        assert_eq!(M::OUTPUT, number(response), "{}", M::PATH);
    }

    #[test]
    fn numbers_are_those_of_the_contract() {
        let tensor = || Some(pb::Tensor { name: "x".to_owned(), ..Default::default() });
        let list = || tensor().into_iter().collect();
        let normalized = pb::NormalizeResponse { output: tensor(), ..Default::default() };
        check(pb::NormalizeRequest { input: tensor(), ..Default::default() }, &normalized);
        let gradient = pb::NormalizeBackwardResponse { grad_input: tensor(), ..Default::default() };
        check(pb::NormalizeBackwardRequest { input: tensor(), ..Default::default() }, &gradient);
        check(pb::NormalizeBackwardRequest { grad_output: tensor(), ..Default::default() }, &gradient);
        let dropped = pb::DropoutResponse { output: tensor(), ..Default::default() };
        check(pb::DropoutRequest { input: tensor(), ..Default::default() }, &dropped);
        let gradient = pb::DropoutBackwardResponse { grad_input: tensor() };
        check(pb::DropoutBackwardRequest { grad_output: tensor(), ..Default::default() }, &gradient);
        let clipped = pb::ClipGradientsResponse { gradients: list(), ..Default::default() };
        check(pb::ClipGradientsRequest { gradients: list(), ..Default::default() }, &clipped);
    }
}
