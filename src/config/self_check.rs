//! The self-check at the start of a server.

use clap::Args;

/// Whether a server checks itself.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct SelfCheckConfig {
    /// Compute every operation at start, with the instruction set in use, and compare the bits of the results with those that
    /// every machine gives. The server answers calls meanwhile. Its health is NOT_SERVING until all are equal, and stays so
    /// if one differs; `evenkeel doctor` shows all that differ.
    #[arg(id = "self_check", long = "self-check", env = "EVENKEEL_SELF_CHECK")]
    pub enabled: bool,

    /// Makes one bit wrong of each result of the self-check whose name contains this, to see what a faulty machine looks like:
    /// its log, its metric, its alert.
    #[arg(
        id = "self_check_fault",
        long = "self-check-fault",
        value_name = "NAME",
        env = "EVENKEEL_SELF_CHECK_FAULT",
        hide = true
    )]
    pub fault: Option<String>,
}
