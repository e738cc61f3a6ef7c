"""DeepFace's networks on onnxruntime: what the graphs of age, gender and race have in common is run once.

The graphs are cut with the package ``onnx``; without it each of the three runs in full, as DeepFace does. Two tensors
are the same where all that they are computed from is: operators, attributes, and weights bit for bit. Names do not
matter. Every tensor therefore gets a digest of its whole history, and the graphs are cut at the last tensor whose
digest all of them have.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime.attribute_extraction.deepface_models import (
    FILES,
    VGG,
    Probabilities,
    client,
    contained,
    damaged,
    module,
    pixels,
)
from equime.errors import MissingError, WorkError
from equime.extras import install_hint, installed


class OnnxNetworks:
    """The four networks on onnxruntime, on the providers that DeepFace would take."""

    def __init__(self, folder: Path) -> None:
        files = {name: folder / f"{FILES[name]}.onnx" for name in FILES}
        emotion = session(files["emotion"])
        self._emotion = client(module("models.demography.onnx.Emotion"), "EmotionClient", emotion)
        cut = split([files[name] for name in VGG]) if installed("onnx") else None
        self.shared = cut is not None
        self._trunk = session(cut.trunk, files[VGG[0]]) if cut else None
        heads: Sequence[Path | bytes] = cut.heads if cut else [files[name] for name in VGG]
        self._heads = {name: session(head, files[name]) for name, head in zip(VGG, heads, strict=True)}

    def probabilities(self, crops: NDArray[np.uint8]) -> Probabilities:
        """As `Networks.probabilities`."""
        bgr = pixels(crops)
        x = bgr if self._trunk is None else run(self._trunk, bgr)
        found = {name: run(head, x) for name, head in self._heads.items()}
        found["emotion"] = np.atleast_2d(self._emotion.predict(bgr))
        return {name: np.asarray(p, np.float64) for name, p in found.items()}


def session(model: Path | bytes, file: Path | None = None) -> Any:
    """A graph ready to run; with the threads that ``OMP_NUM_THREADS`` allows, which workers set to 1.

    Args:
        model: a file, or a graph made of one.
        file: that file, for messages.

    Raises:
        WorkError: no graph of ONNX.
        MissingError: onnxruntime is not installed.
    """
    if not installed("onnxruntime"):
        raise MissingError(f"onnxruntime is not installed; run `{install_hint(['onnxruntime'])}`")
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # as DeepFace: errors only
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
    with contained():
        providers = module("commons.onnx_utils").resolve_providers(runtime.get_available_providers())
    source = str(model) if isinstance(model, Path) else model
    try:
        return runtime.InferenceSession(source, sess_options=options, providers=providers)
    except Exception as error:
        name = file or (model if isinstance(model, Path) else Path("?"))
        raise WorkError(damaged(name, "graph of ONNX", error, "onnx")) from error


def run(made: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The one output of a graph for its one input."""
    return np.asarray(made.run(None, {made.get_inputs()[0].name: x})[0], np.float32)


@dataclass(frozen=True)
class Split:
    """Graphs that begin alike, cut in two: serialised.

    Attributes:
        trunk: from the picture to the last tensor that all have.
        heads: from there to the output, one per graph.
    """

    trunk: bytes
    heads: list[bytes]


def split(files: Sequence[Path]) -> Split | None:
    """Cut graphs where they part; None where they have nothing in common.

    Raises:
        WorkError: a file is no graph of ONNX.
    """
    onnx: Any = importlib.import_module("onnx")
    models = []
    for file in files:
        try:
            models.append(onnx.load(str(file)))
        except Exception as error:
            raise WorkError(damaged(file, "graph of ONNX", error, "onnx")) from error
    names = [histories(model.graph) for model in models]
    common = set.intersection(*(set(known) for known in names))
    for digest in reversed([d for d in names[0] if d in common]):
        cuts = [known[digest] for known in names]
        heads = [_head(model, cut) for model, cut in zip(models, cuts, strict=True)]
        whole = [head for head in heads if head is not None]
        if len(whole) == len(heads):
            nodes = _ancestors(models[0].graph, cuts[0], set())
            # Turning the picture's axes alone is no work worth handing on.
            if not _weights(models[0].graph, nodes):
                return None
            return Split(_model(models[0], nodes, models[0].graph.input[0].name, cuts[0]), whole)
    return None


def histories(graph: Any) -> dict[bytes, str]:
    """Digest of the history of each tensor that depends on the picture, to its name; in the order of the graph."""
    to_array = importlib.import_module("onnx.numpy_helper").to_array
    known = {}
    for weight in graph.initializer:
        array: NDArray[Any] = np.ascontiguousarray(to_array(weight))
        text = f"{array.dtype}{array.shape}".encode()
        known[weight.name] = hashlib.sha256(text + hashlib.sha256(array.data).digest()).digest()
    picture = graph.input[0].name
    known[picture], depends = b"picture", {picture}
    found: dict[bytes, str] = {}
    for node in graph.node:
        attributes = sorted(a.SerializeToString(deterministic=True) for a in node.attribute)
        inputs = [known.get(name, name.encode()) for name in node.input]
        history = repr((node.domain, node.op_type, attributes, inputs)).encode()
        for i, name in enumerate(node.output):
            known[name] = hashlib.sha256(history + str(i).encode()).digest()
            if depends.intersection(node.input):
                depends.add(name)
                found[known[name]] = name
    return found


def _ancestors(graph: Any, tensor: str, stop: set[str]) -> list[Any]:
    """Nodes that a tensor is computed by, in their order, not beyond the tensors of ``stop``."""
    needed, nodes = {tensor}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output) - stop:
            nodes.append(node)
            needed.update(node.input)
    return nodes[::-1]


def _head(model: Any, cut: str) -> bytes | None:
    """The graph from a tensor to the output; None where the output needs more of the picture than that tensor."""
    graph = model.graph
    nodes = _ancestors(graph, graph.output[0].name, {cut})
    made = {name for node in nodes for name in node.output} | {cut, *(w.name for w in graph.initializer)}
    if any(name not in made for node in nodes for name in node.input if name):
        return None
    return _model(model, nodes, cut, graph.output[0].name)


def _weights(graph: Any, nodes: list[Any]) -> list[Any]:
    """Initialisers that the nodes take."""
    used = {name for node in nodes for name in node.input}
    return [weight for weight in graph.initializer if weight.name in used]


def _model(model: Any, nodes: list[Any], given: str, wanted: str) -> bytes:
    """The nodes as a graph of their own."""
    helper: Any = importlib.import_module("onnx.helper")
    real = importlib.import_module("onnx").TensorProto.FLOAT
    weights = _weights(model.graph, nodes)
    ends = [[helper.make_tensor_value_info(name, real, None)] for name in (given, wanted)]
    graph = helper.make_graph(nodes, "part", *ends, weights)
    made = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    data: bytes = made.SerializeToString()
    return data
