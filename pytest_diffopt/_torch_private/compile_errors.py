"""The exceptions that torch raises when a compilation fails."""

import torch._dynamo.exc as _exc
import torch.fx.experimental.symbolic_shapes as _symbolic_shapes

#: What Dynamo raises under `fullgraph=True` where it would otherwise break the graph: code that it does not support,
#: code that it asks the user to change (a branch on data), and operators on functions that it cannot capture.
USER_ERRORS = (
    _exc.Unsupported,
    _exc.UserError,
    _exc.UncapturedHigherOrderOpError,
    _symbolic_shapes.GuardOnDataDependentSymNode,
)
#: An operator failed on tensors without values; it may fail in eager code too.
OperatorError = _exc.TorchRuntimeError
#: The recompile limit is reached under `fullgraph=True`.
RecompileLimitError = _exc.FailOnRecompileLimitHit
#: The backend is unknown.
InvalidBackendError = _exc.InvalidBackend
#: The backend failed; holds the backend's own exception.
BackendError = _exc.BackendCompilerFailed
