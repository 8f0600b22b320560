/// @file
/// The numbers of the contract's fields, and the paths of its methods. Written by generate.sh from
/// proto/evenkeel/v1/tensor_ops.proto: do not edit.
#pragma once

#include <cstdint>

namespace evenkeel::wire {

/// The number of a field in a message.
using field_number = std::uint32_t;

namespace tensor {
inline constexpr field_number name = 1;
inline constexpr field_number dtype = 2;
inline constexpr field_number shape = 3;
inline constexpr field_number float_data = 14;
inline constexpr field_number data = 15;
}  // namespace tensor

namespace normalize_request {
inline constexpr field_number kind = 1;
inline constexpr field_number axes = 2;
inline constexpr field_number groups = 3;
inline constexpr field_number eps = 4;
inline constexpr field_number channel_axis = 5;
inline constexpr field_number training = 6;
inline constexpr field_number momentum = 7;
inline constexpr field_number return_statistics = 8;
inline constexpr field_number statistics = 9;
inline constexpr field_number weight = 10;
inline constexpr field_number bias = 11;
inline constexpr field_number running_mean = 12;
inline constexpr field_number running_var = 13;
inline constexpr field_number input = 14;
}  // namespace normalize_request

namespace normalize_response {
inline constexpr field_number axes = 1;
inline constexpr field_number mean = 10;
inline constexpr field_number rstd = 11;
inline constexpr field_number running_mean = 12;
inline constexpr field_number running_var = 13;
inline constexpr field_number output = 14;
}  // namespace normalize_response

namespace normalize_backward_request {
inline constexpr field_number kind = 1;
inline constexpr field_number axes = 2;
inline constexpr field_number groups = 3;
inline constexpr field_number eps = 4;
inline constexpr field_number channel_axis = 5;
inline constexpr field_number training = 6;
inline constexpr field_number momentum = 7;
inline constexpr field_number return_statistics = 8;
inline constexpr field_number statistics = 9;
inline constexpr field_number weight = 10;
inline constexpr field_number bias = 11;
inline constexpr field_number running_mean = 12;
inline constexpr field_number running_var = 13;
inline constexpr field_number input = 14;
inline constexpr field_number grad_output = 15;
}  // namespace normalize_backward_request

namespace normalize_backward_response {
inline constexpr field_number grad_weight = 10;
inline constexpr field_number grad_bias = 11;
inline constexpr field_number grad_input = 12;
}  // namespace normalize_backward_response

namespace dropout_request {
inline constexpr field_number p = 1;
inline constexpr field_number seed = 2;
inline constexpr field_number offset = 3;
inline constexpr field_number kind = 4;
inline constexpr field_number scaling = 5;
inline constexpr field_number return_mask = 6;
inline constexpr field_number channel_axis = 7;
inline constexpr field_number input = 15;
}  // namespace dropout_request

namespace dropout_response {
inline constexpr field_number kept = 1;
inline constexpr field_number mask = 14;
inline constexpr field_number output = 15;
}  // namespace dropout_response

namespace dropout_backward_request {
inline constexpr field_number p = 1;
inline constexpr field_number seed = 2;
inline constexpr field_number offset = 3;
inline constexpr field_number kind = 4;
inline constexpr field_number scaling = 5;
inline constexpr field_number return_mask = 6;
inline constexpr field_number channel_axis = 7;
inline constexpr field_number grad_output = 15;
}  // namespace dropout_backward_request

namespace dropout_backward_response {
inline constexpr field_number grad_input = 15;
}  // namespace dropout_backward_response

namespace clip_gradients_request {
inline constexpr field_number mode = 1;
inline constexpr field_number threshold = 2;
inline constexpr field_number norm_type = 3;
inline constexpr field_number error_if_nonfinite = 4;
inline constexpr field_number total_norm = 5;
inline constexpr field_number epsilon = 6;
inline constexpr field_number not_above = 7;
inline constexpr field_number gradients = 15;
}  // namespace clip_gradients_request

namespace clip_gradients_response {
inline constexpr field_number total_norm = 1;
inline constexpr field_number scale = 2;
inline constexpr field_number clipped_elements = 3;
inline constexpr field_number tensor_norms = 4;
inline constexpr field_number gradients = 15;
}  // namespace clip_gradients_response

namespace measure_gradients_request {
inline constexpr field_number norm_type = 1;
inline constexpr field_number partials = 14;
inline constexpr field_number gradients = 15;
}  // namespace measure_gradients_request

namespace measure_gradients_response {
inline constexpr field_number partial = 1;
inline constexpr field_number total_norm = 2;
}  // namespace measure_gradients_response

namespace norm_partial {
inline constexpr field_number norm_type = 1;
inline constexpr field_number elements = 2;
inline constexpr field_number nan_elements = 3;
inline constexpr field_number infinite_elements = 4;
inline constexpr field_number largest = 5;
inline constexpr field_number sum = 15;
}  // namespace norm_partial

namespace measure_statistics_request {
inline constexpr field_number header = 1;
inline constexpr field_number backward_header = 2;
inline constexpr field_number partials = 13;
inline constexpr field_number data = 14;
inline constexpr field_number grad_data = 15;
}  // namespace measure_statistics_request

namespace statistics_partial {
inline constexpr field_number kind = 1;
inline constexpr field_number shape = 2;
inline constexpr field_number sets = 15;
}  // namespace statistics_partial

namespace set_statistics {
inline constexpr field_number elements = 1;
inline constexpr field_number nan_elements = 2;
inline constexpr field_number infinite_elements = 3;
inline constexpr field_number negative_infinite_elements = 4;
inline constexpr field_number nonfinite_gradients = 5;
inline constexpr field_number sum = 6;
inline constexpr field_number sum_of_squares = 7;
inline constexpr field_number sum_of_gradients = 8;
inline constexpr field_number sum_of_products = 9;
}  // namespace set_statistics

namespace exact_sum {
inline constexpr field_number negative = 1;
inline constexpr field_number low_zero_bytes = 2;
inline constexpr field_number magnitude = 3;
}  // namespace exact_sum

namespace dropout_stream_request {
inline constexpr field_number header = 1;
inline constexpr field_number backward_header = 2;
inline constexpr field_number data = 15;
}  // namespace dropout_stream_request

namespace dropout_stream_response {
inline constexpr field_number header = 1;
inline constexpr field_number backward_header = 2;
inline constexpr field_number summary = 3;
inline constexpr field_number mask = 14;
inline constexpr field_number data = 15;
}  // namespace dropout_stream_response

namespace normalize_stream_request {
inline constexpr field_number header = 1;
inline constexpr field_number data = 15;
}  // namespace normalize_stream_request

namespace normalize_stream_response {
inline constexpr field_number header = 1;
inline constexpr field_number summary = 3;
inline constexpr field_number data = 15;
}  // namespace normalize_stream_response

namespace clip_gradients_stream_request {
inline constexpr field_number header = 1;
inline constexpr field_number tensor = 2;
inline constexpr field_number data = 15;
}  // namespace clip_gradients_stream_request

namespace clip_gradients_stream_response {
inline constexpr field_number header = 1;
inline constexpr field_number tensor = 2;
inline constexpr field_number summary = 3;
inline constexpr field_number data = 15;
}  // namespace clip_gradients_stream_response

namespace get_server_info_response {
inline constexpr field_number version = 1;
inline constexpr field_number max_message_bytes = 2;
inline constexpr field_number max_stream_chunk_bytes = 3;
inline constexpr field_number dtypes = 4;
inline constexpr field_number norm_kinds = 5;
inline constexpr field_number compression = 6;
}  // namespace get_server_info_response

namespace method {
inline constexpr const char* normalize = "/evenkeel.v1.TensorOpsService/Normalize";
inline constexpr const char* normalize_backward = "/evenkeel.v1.TensorOpsService/NormalizeBackward";
inline constexpr const char* dropout = "/evenkeel.v1.TensorOpsService/Dropout";
inline constexpr const char* dropout_backward = "/evenkeel.v1.TensorOpsService/DropoutBackward";
inline constexpr const char* clip_gradients = "/evenkeel.v1.TensorOpsService/ClipGradients";
inline constexpr const char* measure_gradients = "/evenkeel.v1.TensorOpsService/MeasureGradients";
inline constexpr const char* measure_statistics = "/evenkeel.v1.TensorOpsService/MeasureStatistics";
inline constexpr const char* measure_gradients_unary = "/evenkeel.v1.TensorOpsService/MeasureGradientsUnary";
inline constexpr const char* measure_statistics_unary = "/evenkeel.v1.TensorOpsService/MeasureStatisticsUnary";
inline constexpr const char* normalize_stream = "/evenkeel.v1.TensorOpsService/NormalizeStream";
inline constexpr const char* dropout_stream = "/evenkeel.v1.TensorOpsService/DropoutStream";
inline constexpr const char* clip_gradients_stream = "/evenkeel.v1.TensorOpsService/ClipGradientsStream";
inline constexpr const char* get_server_info = "/evenkeel.v1.TensorOpsService/GetServerInfo";
}  // namespace method

}  // namespace evenkeel::wire
