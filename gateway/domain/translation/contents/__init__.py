"""Gemini's `generateContent` and `streamGenerateContent` as a wire form: what `Codec` asks for. Pure.

https://ai.google.dev/api/generate-content
"""

from gateway.domain.translation.contents.answers_in import read_answer
from gateway.domain.translation.contents.answers_out import write_answer
from gateway.domain.translation.contents.events_in import reader
from gateway.domain.translation.contents.events_out import writer
from gateway.domain.translation.contents.faults import read_fault
from gateway.domain.translation.contents.requests_in import PARAMS, read_request
from gateway.domain.translation.contents.requests_out import write_request

__all__ = [
    "PARAMS",
    "read_answer",
    "read_fault",
    "read_request",
    "reader",
    "write_answer",
    "write_request",
    "writer",
]
