"""Reading ``spiece.model`` tokenizers, as LTX-Video's, next to the protobuf that mediapipe 0.10.21 pins (4.25).

The reader in transformers 5 takes the message classes out of sentencepiece, which in 0.2.3 are generated for protobuf 7
and cannot be imported with protobuf 4; what the user then sees is that tiktoken were missing. transformers carries the
same messages in a form that protobuf 4 reads, but takes them only where sentencepiece, which it needs as well, is absent.
"""

from __future__ import annotations

import importlib

from equime import torch_env
from equime.extras import installed

_NAME = "sentencepiece_model_pb2"


def make_readable() -> None:
    """Put transformers' message classes in place where sentencepiece's own do not work; else change nothing."""
    if not installed("sentencepiece"):
        return
    package = importlib.import_module("sentencepiece")
    try:
        importlib.import_module(f"sentencepiece.{_NAME}")
    except Exception:  # ImportError with protobuf 4, protobuf's VersionError with 5 and 6
        setattr(package, _NAME, torch_env.load(f"transformers.utils.{_NAME}_new"))
