"""Calls that ask how many tokens a conversation has: Anthropic and Google count, OpenAI does not. Pure."""

import msgspec

from gateway.domain.translation.codec import Losses
from gateway.domain.translation.contents import counting as at_gemini
from gateway.domain.translation.messages import counting as at_anthropic
from gateway.domain.translation.one_call import Translation
from gateway.domain.translation.paths import of_action


class Count(Translation):
    """A conversation that is counted."""

    def _write(self, losses: Losses) -> bytes:
        asked = self.asked
        if asked.dialect == "gemini":
            told = self.caller.read_request(asked.body, losses, model=asked.model, stream=False)
            self.path = of_action(asked.model_name, "countTokens")
            write = at_gemini.write_count_request
        else:
            told = at_gemini.read_count_request(asked.body, losses, model=asked.model)
            self.path = "/messages/count_tokens"
            write = at_anthropic.write_count_request
        return write(msgspec.structs.replace(told, model=asked.model_name), losses)

    def whole(self, body: bytes) -> bytes:
        """The count in the caller's dialect. Raises `BadAnswer`."""
        if self.asked.dialect == "gemini":
            return at_anthropic.write_count(at_gemini.read_count(body))
        return at_gemini.write_count(at_anthropic.read_count(body))
