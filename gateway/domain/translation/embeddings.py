"""Calls that embed texts: OpenAI's and Google's ways. Pure."""

from gateway.domain.translation.codec import Losses
from gateway.domain.translation.contents import embeddings as between
from gateway.domain.translation.one_call import Translation
from gateway.domain.translation.paths import of_action


class Embedding(Translation):
    """Texts that become vectors."""

    _in_base64 = False

    def _write(self, losses: Losses) -> bytes:
        asked = self.asked
        if asked.dialect == "gemini":
            self.path = of_action(asked.model_name, "batchEmbedContents")
            told = between.asked_of_gemini(asked.body, losses, model=asked.model_name)
            self._in_base64 = told.in_base64
            return told.body
        self.path = "/embeddings"
        return between.asked_of_openai(
            asked.body, losses, model=asked.model_name, is_batch=self._is_batch
        )

    @property
    def _is_batch(self) -> bool:
        return self.asked.route.upstream_path.endswith("batchEmbedContents")

    def whole(self, body: bytes) -> bytes:
        """The vectors in the caller's dialect. Raises `BadAnswer`."""
        if self.asked.dialect == "gemini":
            return between.answered_by_gemini(
                body, model=self.asked.model, in_base64=self._in_base64
            )
        return between.answered_by_openai(body, is_batch=self._is_batch)
