"""The exceptions that torch raises when a compilation fails."""

import torch._dynamo.exc as _exc

#: A graph break under `fullgraph=True`.
FullGraphError = _exc.Unsupported
#: The recompile limit is reached under `fullgraph=True`.
RecompileLimitError = _exc.FailOnRecompileLimitHit
#: The backend is unknown.
InvalidBackendError = _exc.InvalidBackend
#: The backend failed; holds the backend's own exception.
BackendError = _exc.BackendCompilerFailed
