"""Anthropic's Messages as a wire form: what `Codec` asks for. Pure.

A request for the counting of tokens is read as any other.
"""

from gateway.domain.translation.messages.answers_in import read_answer, read_fault
from gateway.domain.translation.messages.answers_out import write_answer
from gateway.domain.translation.messages.events_in import reader
from gateway.domain.translation.messages.events_out import writer
from gateway.domain.translation.messages.requests_in import PARAMS, read_request
from gateway.domain.translation.messages.requests_out import write_request

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
