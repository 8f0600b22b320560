"""Client of evenkeel: normalization, dropout and gradient clipping over gRPC.

`Client` has the calls; `AsyncClient` has the same for asyncio. Arrays of NumPy and tensors of torch go in and come out. The
results of calls are in `results`, and their errors in `errors`. `keep_mask` and `convert` compute without a server, and so
do `NormPartial` and `StatisticsPartial`, which merge what several machines have measured. `testing` starts a server for
tests.
"""

from ._async.client import AsyncClient
from ._conversion import convert
from ._masks import keep_mask
from ._norm_partial import NormPartial
from ._options import DropoutKind, Kind, Scaling
from ._statistics_partial import GradientSums, SetStatistics, StatisticsPartial
from ._sync.client import Client
from ._version import __version__
from .errors import (
    Cancelled,
    DeadlineExceeded,
    EvenkeelError,
    FieldViolation,
    Internal,
    InvalidArgument,
    MessageTooLarge,
    NeedsTwoPasses,
    NonfiniteNorm,
    Overloaded,
    ProtocolError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    VersionWarning,
)
from .results import Clipped, Dropped, Normalized, NormalizeGradients, ServerInfo

__all__ = [
    "AsyncClient",
    "Cancelled",
    "Client",
    "Clipped",
    "DeadlineExceeded",
    "DropoutKind",
    "Dropped",
    "EvenkeelError",
    "FieldViolation",
    "GradientSums",
    "Internal",
    "InvalidArgument",
    "Kind",
    "MessageTooLarge",
    "NeedsTwoPasses",
    "NonfiniteNorm",
    "NormPartial",
    "NormalizeGradients",
    "Normalized",
    "Overloaded",
    "ProtocolError",
    "Scaling",
    "ServerInfo",
    "SetStatistics",
    "StatisticsPartial",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "VersionWarning",
    "__version__",
    "convert",
    "keep_mask",
]
