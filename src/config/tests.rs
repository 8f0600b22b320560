//! The ranges of settings, and the setting that an error names.

use super::*;

#[test]
fn the_defaults_are_valid() {
    assert_eq!(ServerConfig::default().validate(), Ok(()));
    assert_eq!(ServerConfig::on_free_port().validate(), Ok(()));
}

#[test]
fn values_out_of_range_name_their_key() {
    let default = ServerConfig::default;
    for (config, key) in [
        (ServerConfig { max_message_bytes: 0, ..default() }, "max-message-bytes"),
        (ServerConfig { max_message_bytes: MIN_MAX_MESSAGE_BYTES - 1, ..default() }, "max-message-bytes"),
        (ServerConfig { max_message_bytes: MAX_MAX_MESSAGE_BYTES + 1, ..default() }, "max-message-bytes"),
        (ServerConfig { max_stream_chunk_bytes: 0, ..default() }, "max-stream-chunk-bytes"),
        (
            ServerConfig { max_stream_chunk_bytes: MIN_MAX_STREAM_CHUNK_BYTES - 1, ..default() },
            "max-stream-chunk-bytes",
        ),
        (ServerConfig { max_stream_chunk_bytes: MAX_MAX_MESSAGE_BYTES + 1, ..default() }, "max-stream-chunk-bytes"),
        (ServerConfig { threads: MAX_THREADS + 1, ..default() }, "threads"),
        (ServerConfig { compute_nice: MAX_NICE + 1, ..default() }, "compute-nice"),
        (ServerConfig { drain_timeout: MAX_DURATION + Duration::from_nanos(1), ..default() }, "drain-timeout"),
    ] {
        assert_eq!(config.validate().expect_err(key).key, key);
    }
    for config in [
        ServerConfig { max_message_bytes: MIN_MAX_MESSAGE_BYTES, ..default() },
        ServerConfig { max_message_bytes: MAX_MAX_MESSAGE_BYTES, ..default() },
        ServerConfig { max_stream_chunk_bytes: MIN_MAX_STREAM_CHUNK_BYTES, ..default() },
        ServerConfig { threads: MAX_THREADS, ..default() },
        ServerConfig { compute_nice: MAX_NICE, ..default() },
        ServerConfig { drain_timeout: Duration::ZERO, ..default() },
        ServerConfig { drain_timeout: MAX_DURATION, ..default() },
    ] {
        assert_eq!(config.validate(), Ok(()), "{config:?}");
    }
}

#[test]
fn an_error_names_the_flag_and_the_variable() {
    let error = Error { key: "max-message-bytes", reason: "too small".to_owned() };
    let text = "invalid value for '--max-message-bytes' (EVENKEEL_MAX_MESSAGE_BYTES): too small";
    assert_eq!(error.to_string(), text);
}
