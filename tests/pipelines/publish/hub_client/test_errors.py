"""The errors for refusals of the offline Hub; the token is in no error, no log and no pickle."""

import io
import json
import logging
import pickle
import traceback
from pathlib import Path

import pytest

from episeek.errors import AccessError, EpiseekError, MissingFileError
from episeek_pipelines.publish.errors import RefusedError, masked
from episeek_pipelines.publish.hub_client import errors
from episeek_pipelines.publish.hub_client.client import HubClient
from tests.servers.faults import Fault
from tests.servers.hub import TOKEN
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.repository_changes import NAME, QUICK, asked, commit, repository_of

pytestmark = CLIENT_WARNINGS


@pytest.mark.parametrize(
    ("status", "message", "error", "shown"),
    [
        (401, "Invalid username or password.", AccessError, "HF_TOKEN"),
        (403, "Forbidden", AccessError, "HF_TOKEN"),
        (403, "Private repository storage limit reached", RefusedError, "quota"),
        (402, "Payment required", RefusedError, "quota"),
        (404, "Repository not found", MissingFileError, "a commit on top of"),
        (409, "busy", RefusedError, "409"),
        (413, "Payload too large", RefusedError, "a smaller request"),
        (400, "a bad commit", RefusedError, "a bad commit"),
        (507, "Insufficient storage", RefusedError, "quota"),
    ],
)
def test_refusals_have_names(hub, repository, status, message, error, shown):
    hub.inject(Fault("status", method="POST", path="/commit/", status=status, headers={"X-Error-Message": message}))
    with pytest.raises(error, match=shown) as caught:
        commit(repository, hub)
    assert type(caught.value) is error
    assert f"HTTP {status}: {message}" in str(caught.value)
    assert str(caught.value).startswith(f"hf://datasets/{NAME}@main: ")
    assert len(asked(hub, "POST", "/commit/")) == 1
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy)) == (error, str(caught.value))


SECRET = "hf_secretsecretsecret"


@pytest.mark.parametrize("is_of_environment", [True, False])
@pytest.mark.parametrize("status", [400, 401, 404, 412, 503])
@pytest.mark.parametrize("path", ["/commit/", "/preupload/", "/refs", "/paths-info/"])
def test_the_token_is_nowhere(hub, monkeypatch, caplog, status, path, is_of_environment):
    caplog.set_level(logging.DEBUG)
    hub.state.users[SECRET] = hub.state.users[TOKEN]
    if is_of_environment:
        monkeypatch.setenv("HF_TOKEN", SECRET)
    repository = repository_of(hub, token=None if is_of_environment else SECRET)
    echo = {"X-Error-Message": f"token {SECRET} is no good"}
    body = f'{{"error": "{SECRET}"}}'.encode()
    hub.inject(Fault("status", method=".*", path=path, status=status, headers=echo, body=body, times=99))
    call = repository.refs if path == "/refs" else lambda: commit(repository, hub)
    with pytest.raises(EpiseekError) as caught:
        call()
    error = caught.value
    shown = io.StringIO()
    traceback.print_exception(error, file=shown)
    assert ("***" in str(error)) is (status != 412 or path != "/commit/")
    assert Path(__file__).name in shown.getvalue()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("episeek")]
    texts = [str(error), repr(error), shown.getvalue(), repr(repository), *ours]
    assert not [text for text in texts if SECRET in text]
    assert not [data for data in (pickle.dumps(error), pickle.dumps(repository)) if SECRET.encode() in data]
    assert all(SECRET not in str(link) for link in chain(error) if isinstance(link, EpiseekError))


def chain(error):
    while error is not None:
        yield error
        error = error.__cause__


def test_a_copy_in_another_process_takes_its_token(hub, repository, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    copy = pickle.loads(pickle.dumps(repository))
    assert copy == HubClient(NAME, retry=QUICK, endpoint=hub.url)
    assert commit(copy, hub).is_new


def test_without_a_token_there_is_no_right(hub):
    with pytest.raises(AccessError, match="HF_TOKEN"):
        commit(repository_of(hub, token=None), hub)


def test_errors_of_the_client_without_a_status():
    for error, expected in (
        (ImportError("no hub"), "BackendUnavailableError"),
        (ValueError("x"), "RefusedError"),
        (ConnectionError("x"), "Transient"),
        (TimeoutError(), "Transient"),
        (FileNotFoundError(2, "no such file", "/x"), "MissingFileError"),
        (RuntimeError("x"), "Transient"),
    ):
        assert type(errors.translated(error, where="w", expected="e")).__name__ == expected
        assert not errors.is_settled(error)


@pytest.mark.parametrize(
    "secret",
    [
        "hf_a\x0bSECRET",
        "hf_a\x7fSECRET",
        "hf_a SECRET",
        "hf_a\u2026SECRET",
        "hf_a\\SECRET",
        "'hf_SECRET'",
        "hf_'\"SECRET",
    ],
    ids=ascii,
)
def test_a_secret_is_masked_however_it_is_written(secret):
    for written in (
        secret,
        repr(secret),
        ascii(secret),
        repr(secret.encode()),
        repr(f"Bearer {secret}"),
        repr(f"Bearer {secret}'\"".encode()),
        json.dumps({"token": secret}),
    ):
        shown = masked(f"ValueError: {written} is no header", (secret,))
        assert "SECRET" not in shown, written
        assert shown.startswith("ValueError: ")
        assert "***" in shown
    assert masked("Bearer hf_x, and more", ()) == "Bearer *** and more"


def test_a_token_that_is_no_header_is_not_shown(hub):
    with pytest.raises(EpiseekError) as caught:
        repository_of(hub, token="hf_a\x0bSECRET").refs()
    assert "SECRET" not in str(caught.value)
