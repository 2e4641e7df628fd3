"""C code for the entry points that are imported and not written by hand, from the prototypes in CUDA's headers.

A call of a mathematical library is one piece of work on its handle's stream: it is counted by its name and its m, n, k.
Whatever else has a prototype sets its outputs, is counted by name and is listed as unmodelled. The runtime's and the
driver's functions, and those without a prototype, return the library's "not supported".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PREFIXES = ("cuda", "__cuda", "cublas", "cudnn", "cufft", "cusparse", "cusolver", "curand")
_DRIVER = re.compile(r"cu[A-Z]")
_SERVED_BY_THEIR_OWN_LIBRARY = ("cuFile",)  # storage, which needs no GPU to report that it is missing

_HEADERS = (
    "cublas_v2.h",
    "cublasLt.h",
    "cudnn.h",
    "cusolverDn.h",
    "cusparse.h",
    "cufft.h",
    "cufftXt.h",
    "curand.h",
    "cusparseLt.h",
)
_TEXT_HEADERS = (*_HEADERS, "cublas_api.h", "cudnn_graph.h", "cudnn_ops.h", "cudnn_cnn.h", "cudnn_adv.h")
_NOT_SUPPORTED = {"cudnn": 3000, "cublas": 15, "cusparse": 10, "cusolver": 9, "cufft": 16, "curand": 104}
_CUDA_NOT_SUPPORTED = 801
_SHAPE = ("m", "n", "k", "batchCount", "batchSize", "nnz")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", flags=re.DOTALL)
_PROTOTYPE = re.compile(
    r"\b((?:const\s+)?\w+(?:\s*\*)?)\s*(?:\b\w+API\s+)?\b((?:cublas|cudnn|cufft|cusparse|cusolver|curand)\w+)\s*\(([^;{}()]*)\)\s*;"
)
_HOUSEKEEPING = re.compile(r"Create|Destroy|Set|Get|bufferSize|BufferSize|_preprocess|Init$|Check|Find")
# their outputs are all that they have to do: no workspace, and descriptors that nothing reads
_KNOWN = re.compile(r"Destroy|[bB]ufferSize|WorkspaceSize|SetPointerMode|Set4d|SetNd|SetStream|Set\w*Descriptor")
_HANDLE_STREAM = "((struct handle *){handle})->stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parameter:
    declaration: str
    type: str
    name: str
    is_array: bool = False

    @property
    def is_integer(self) -> bool:
        return re.match(r"(int|size_t|u?int\d+_t|long)\b", self.type) is not None

    @property
    def is_matrix(self) -> bool:
        return re.match(r"(float|double|cu\w*Complex)\b", self.type) is not None

    @property
    def is_output(self) -> bool:
        return self.type.count("*") == 1 and "const" not in self.type and not self.type.startswith("void")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prototype:
    """A function of a header: what it returns, its name and its parameters as written."""

    returns: str
    name: str
    parameters: tuple[_Parameter, ...]


def is_cuda_name(name: str) -> bool:
    """Whether an imported symbol belongs to one of the libraries that the null GPU stands in for."""
    if name.startswith(_SERVED_BY_THEIR_OWN_LIBRARY):
        return False
    return name.startswith(PREFIXES) or _DRIVER.match(name) is not None


def read_prototypes(folders: Iterable[Path]) -> dict[str, Prototype]:
    """Read the mathematical libraries' prototypes from the headers in some folders."""
    found: dict[str, Prototype] = {}
    folders = tuple(folders)
    for path in (path for header in _TEXT_HEADERS for path in _existing(folders, header)):
        text = path.read_text(encoding="utf-8", errors="replace")
        found |= {prototype.name: prototype for prototype in parse_prototypes(text)}
    return found


def parse_prototypes(text: str) -> list[Prototype]:
    """Parse the prototypes of a header's text."""
    bare = _COMMENT.sub(" ", text)
    return [
        Prototype(returns=" ".join(returns.split()), name=name, parameters=_parameters(parameters))
        for returns, name, parameters in _PROTOTYPE.findall(bare)
        if returns.split()[0] not in {"return", "typedef", "else"}
    ]


def _parameters(text: str) -> tuple[_Parameter, ...]:
    if text.strip() in {"", "void"}:
        return ()
    return tuple(_parameter(part, index) for index, part in enumerate(text.split(",")))


def _parameter(text: str, index: int) -> _Parameter:
    text = " ".join(text.replace("*", " * ").split())
    array = re.search(r"(\w+)\s*\[\s*\w*\s*\]$", text)
    if array:
        text = f"{text[: array.start()]} * {array.group(1)}"
    found = re.fullmatch(r"(.*?[\s*])(\w+)", text)
    if found is None:  # a parameter without a name
        return _Parameter(declaration=f"{text} p{index}", type=text, name=f"p{index}")
    kind, name = found.group(1).strip(), found.group(2)
    return _Parameter(declaration=text, type=kind, name=name, is_array=array is not None)


_DRIVER_PROTOTYPE = re.compile(r"\bCUresult\s+CUDAAPI\s+(cu[A-Z]\w+)\s*\(")
_VERSIONS = ("", "_v2", "_v3")


def driver_functions(folders: Iterable[Path], *, defined: frozenset[str]) -> frozenset[str]:
    """Return the driver's functions of `cuda.h` that no version of is defined.

    They are looked up by name while a process runs, and torch takes a function that is not found for a broken driver.
    """
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in _existing(folders, "cuda.h")]
    names = {name for text in texts for name in _DRIVER_PROTOTYPE.findall(text)}
    return frozenset(name for name in names if not any(name + version in defined for version in _VERSIONS))


def _existing(folders: Iterable[Path], name: str) -> list[Path]:
    return [folder / name for folder in folders if (folder / name).is_file()]


def write_stubs(names: Iterable[str], prototypes: dict[str, Prototype], folders: Iterable[Path]) -> str:
    """Write the C source that defines all the names."""
    folders = tuple(folders)
    headers = [name for name in _HEADERS if _existing(folders, name)]
    lines = [
        '#include "null_gpu.h"',
        "#include <stdalign.h>",
        *(f"#include <{name}>" for name in headers),
        "#include <stdio.h>",
        "",
    ]
    for name in sorted(names):
        prototype = prototypes.get(name)
        lines.append(_refuse(name) if prototype is None else _define(prototype))
    return "\n".join(lines) + "\n"


def _refuse(name: str) -> str:
    library = next((prefix for prefix in _NOT_SUPPORTED if name.startswith(prefix)), "")
    status = _NOT_SUPPORTED.get(library, _CUDA_NOT_SUPPORTED)
    remember = f"fail((cudaError_t){status})" if name.startswith("cuda") else f"{status}"
    # no prototype: declared under another name in C, so that no header contradicts it
    alias = f"null_gpu_{name}"
    return (
        f'int {alias}(void) __asm__("{name}") EXPORT;\n'
        f'int {alias}(void) {{ unmodelled("{name}"); return (int){remember}; }}'
    )


def _define(prototype: Prototype) -> str:
    declarations = ", ".join(parameter.declaration for parameter in prototype.parameters) or "void"
    body = _work(prototype) if _is_work(prototype) else _housekeeping(prototype)
    return f"EXPORT {prototype.returns} {prototype.name}({declarations}) {{\n{body}}}"


def _is_work(prototype: Prototype) -> bool:
    first = prototype.parameters[0].type if prototype.parameters else ""
    return first.endswith("Handle_t") and _HOUSEKEEPING.search(prototype.name) is None


def _work(prototype: Prototype) -> str:
    sizes = [p.name for p in prototype.parameters if p.name in _SHAPE and "*" not in p.type]
    template = " ".join(f"{name}=%ld" for name in sizes)
    values = "".join(f", (long){name}" for name in sizes)
    handle = _HANDLE_STREAM.format(handle=prototype.parameters[0].name)
    # `info` and the like lie in device memory, which is the host's: zero is success
    zeroed = "".join(_zero(p) for p in prototype.parameters if p.is_output and (p.is_integer or p.name == "result"))
    return (
        f'{zeroed}  char shape[128];\n  snprintf(shape, sizeof shape, "{template}"{values});\n'
        f'  return ({prototype.returns})(library_call("{prototype.name}", shape, {handle}) ? '
        f"{_status(prototype.name)} : 0);\n"
    )


def _status(name: str) -> int:
    return next(status for prefix, status in _NOT_SUPPORTED.items() if name.startswith(prefix))


def _housekeeping(prototype: Prototype) -> str:
    if prototype.name.endswith(("SetStream", "SetStream_v2")):
        handle, stream = (parameter.name for parameter in prototype.parameters)
        return f"  {_HANDLE_STREAM.format(handle=handle)} = {stream};\n  return ({prototype.returns})0;\n"
    if "*" in prototype.returns:
        return f'  unmodelled("{prototype.name}");\n  return "not modelled by the null GPU";\n'
    creates = "reate" in prototype.name
    lines = [_new(p) if creates and not p.is_integer else _zero(p) for p in _outputs(prototype)]
    if "Destroy" in prototype.name and len(prototype.parameters) == 1:
        lines.append(f"  free((void *){prototype.parameters[0].name});\n")
    if not creates and _KNOWN.search(prototype.name) is None and not _is_setter(prototype):
        lines.append(f'  unmodelled("{prototype.name}");\n')
    # how long an array is, is not known here
    status = _status(prototype.name) if any(p.is_array for p in _outputs(prototype)) else 0
    return "".join(lines) + f"  return ({prototype.returns}){status};\n"


def _is_setter(prototype: Prototype) -> bool:
    return "Set" in prototype.name and not _outputs(prototype)


def _outputs(prototype: Prototype) -> list[_Parameter]:
    # a buffer's size is asked for with the matrices, which are not const everywhere
    return [parameter for parameter in prototype.parameters if parameter.is_output and not parameter.is_matrix]


def _new(parameter: _Parameter) -> str:
    return (
        f"  if (sizeof(*{parameter.name}) == sizeof(void *)) *(void **){parameter.name} = new_handle();\n"
        f"  else memset((void *){parameter.name}, 0, sizeof *{parameter.name});\n"
    )


def _zero(parameter: _Parameter) -> str:
    return f"  if ({parameter.name}) memset((void *){parameter.name}, 0, sizeof *{parameter.name});\n"
