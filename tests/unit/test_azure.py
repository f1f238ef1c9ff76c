"""Azure OpenAI's paths."""

import pytest

from gateway.domain.azure import azure_path


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (
            "/chat/completions",
            "/openai/deployments/my%20one/chat/completions?api-version=2024-10-21",
        ),
        ("/embeddings", "/openai/deployments/my%20one/embeddings?api-version=2024-10-21"),
        ("/responses", "/openai/responses?api-version=2024-10-21"),
        ("/files?limit=2", "/openai/files?api-version=2024-10-21&limit=2"),
    ],
)
def test_calls_of_models_name_their_deployment_and_all_name_the_version(path, found):
    assert azure_path(path, "my one", "2024-10-21") == found


def test_what_names_no_model_has_no_deployment():
    assert azure_path("/audio/x", "", "2024-10-21") == "/openai/audio/x?api-version=2024-10-21"
