//! A real server on a free port of the loopback interface, called with the generated client.

mod authority;
mod harness;
mod peer;

mod admission;
mod bad_arguments;
mod bad_tensors;
mod compression;
mod connections;
mod deadlines;
mod deploy;
mod direct;
mod edge_values;
mod faults;
mod float_data;
mod health;
mod hostile;
mod limits;
mod logs;
mod measure;
mod memory;
mod metrics;
mod no_calls;
mod otlp;
mod overload;
mod process;
mod reflection;
mod same_bits;
mod settings;
mod shutdown;
mod silent;
mod stalled;
mod tls;
mod tokens;
mod unix_socket;
mod web;
