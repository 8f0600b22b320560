//! A real server on a free port of the loopback interface, called with the generated client.

mod harness;

mod bad_arguments;
mod bad_tensors;
mod deadlines;
mod direct;
mod edge_values;
mod faults;
mod float_data;
mod health;
mod limits;
mod measure;
mod metrics;
mod process;
mod reflection;
mod same_bits;
mod settings;
mod shutdown;
mod unix_socket;
