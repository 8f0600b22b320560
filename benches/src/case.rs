//! The cases: the size of the tensor, the number of connections and of calls at a time.

use std::fmt;

use clap::ValueEnum;

/// The bytes of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    #[value(name = "4k")]
    K4,
    #[value(name = "256k")]
    K256,
    #[value(name = "4m")]
    M4,
    #[value(name = "64m")]
    M64,
}

impl Size {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::K4 => 4 << 10,
            Self::K256 => 256 << 10,
            Self::M4 => 4 << 20,
            Self::M64 => 64 << 20,
        }
    }

    /// The size as a part of a goal's id.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::K4 => "4k",
            Self::K256 => "256k",
            Self::M4 => "4m",
            Self::M64 => "64m",
        }
    }

    /// A server has one task for each connection: small calls are spread over several, large ones fill one.
    fn connections(self) -> usize {
        match self {
            Self::K4 | Self::K256 => 4,
            Self::M4 | Self::M64 => 1,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::K4 => "4 KiB",
            Self::K256 => "256 KiB",
            Self::M4 => "4 MiB",
            Self::M64 => "64 MiB",
        })
    }
}

/// A load: a closed loop of `concurrency` calls at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) size: Size,
    pub(crate) connections: usize,
    pub(crate) concurrency: usize,
}

impl Case {
    /// Eight calls at a time.
    pub(crate) fn busy(size: Size) -> Self {
        Self { size, connections: size.connections(), concurrency: 8 }
    }

    /// One call at a time.
    pub(crate) fn single(size: Size) -> Self {
        Self { size, connections: 1, concurrency: 1 }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, connections, concurrency } = self;
        let s = if *connections == 1 { "" } else { "s" };
        write!(f, "{size}, {connections} connection{s}, c={concurrency}")
    }
}
