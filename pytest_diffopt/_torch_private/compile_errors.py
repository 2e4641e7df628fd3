"""What torch raises where a compilation fails."""

import torch._dynamo.exc as _exc

#: What a graph break raises under `fullgraph=True`.
FullGraphError = _exc.Unsupported
#: What `fullgraph=True` raises when a function was compiled too often.
RecompileLimitError = _exc.FailOnRecompileLimitHit
#: What torch raises for a backend that it does not know.
InvalidBackendError = _exc.InvalidBackend
#: What torch raises when the backend fails; it holds the backend's own error.
BackendError = _exc.BackendCompilerFailed
