"""Make clients of obstore: decide which URLs and options obstore supports, and translate the options.

Callers give the options of fsspec (`storage_options` of s3fs, gcsfs and adlfs), so that both transports take the same options. If
an option has no equivalent in obstore, fsspec reads the store. The retries of obstore itself are switched off, since
`episeek.stores.requests.retry` repeats requests.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from typing import Any

from episeek.stores.kinds import ObstoreClass, kind_of, kind_of_scheme
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.requests.retry import RetryPolicy

_S3_NAMES = {
    "key": "access_key_id",
    "secret": "secret_access_key",
    "token": "session_token",
    "anon": "skip_signature",
    "endpoint_url": "endpoint",
}
_AZURE_NAMES = {"account_name": "account_name", "account_key": "account_key", "sas_token": "sas_token"}


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The configuration of a client. Sources with equal configurations and equal retry policies share one client."""

    scheme: str
    container: str
    """Bucket or container; for HTTP, the whole URL."""
    prefix: str
    options: tuple[tuple[str, Any], ...] = field(repr=False)
    """Options under the names of obstore, including credentials."""

    @property
    def obstore_class(self) -> ObstoreClass | None:
        """Name of the client's class in `obstore.store`."""
        return kind_of_scheme(self.scheme).obstore_class


def config_of(url: str, storage_options: Mapping[str, Any]) -> ClientConfig | None:
    """Return the configuration with which obstore reads a URL.

    The result is None if obstore is not installed, or does not support the URL or an option.
    """
    scheme, _, rest = url.partition("://")
    obstore_class = kind_of(url).obstore_class
    if obstore_class is None or find_spec("obstore") is None:
        return None
    if obstore_class == "HTTPStore":
        return (
            None
            if storage_options or "?" in url or "@" in rest.partition("/")[0]
            else ClientConfig(scheme, url, "", ())
        )
    container, _, prefix = rest.strip("/").partition("/")
    translate = {"S3Store": _s3_options, "AzureStore": _azure_options, "GCSStore": _gcs_options}[obstore_class]
    options = translate(storage_options)
    return None if options is None else ClientConfig(scheme, container, prefix, tuple(sorted(options.items())))


_CLIENTS: PerProcess[dict[tuple[ClientConfig, RetryPolicy], Any]] = PerProcess(dict)


def client(config: ClientConfig, policy: RetryPolicy) -> Any:
    """Return the client of this process for a configuration and a policy. Calls with the same arguments return the same client."""
    clients = _CLIENTS.get()
    key = (config, policy)
    made = clients.get(key)
    return clients.setdefault(key, _new_client(config, policy)) if made is None else made


def _new_client(config: ClientConfig, policy: RetryPolicy) -> Any:
    from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

    options: Any = dict(config.options)
    endpoint = (
        str(options.get("endpoint", ""))
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL", "")
    )
    common: dict[str, Any] = {
        "client_options": {
            "allow_http": config.scheme != "https",
            "connect_timeout": timedelta(seconds=policy.connect_seconds),
            "read_timeout": timedelta(seconds=policy.stall_seconds),
            "timeout": timedelta(seconds=policy.max_seconds),
        },
        "retry_config": {"max_retries": 0},
    }
    obstore_class = config.obstore_class
    if obstore_class == "HTTPStore":
        return HTTPStore(config.container, **common)
    common["prefix"] = config.prefix or None
    if obstore_class == "S3Store":
        if endpoint and "endpoint" not in options:
            options["endpoint"] = endpoint
        has_credentials = {"access_key_id", "skip_signature"} & options.keys() or os.environ.get("AWS_ACCESS_KEY_ID")
        session = None if has_credentials or find_spec("botocore") is None else _aws_session()
        provider: Any = None if session is None else partial(_aws_credentials, session)
        region = None if session is None else session.get_config_variable("region")
        if region and "region" not in options:
            options["region"] = region
        return S3Store(config.container, config=options, credential_provider=provider, **common)
    if obstore_class == "GCSStore":
        return GCSStore(config.container, config=options, **common)
    return AzureStore(config.container, config=options, **common)


def _s3_options(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the options of s3fs under the names of obstore, or None if one of them has no equivalent in obstore."""
    options: dict[str, Any] = {}
    for name, value in given.items():
        if name == "client_kwargs" and set(value) <= {"endpoint_url", "region_name"}:
            options.update({"endpoint" if key == "endpoint_url" else "region": text for key, text in value.items()})
        elif name in _S3_NAMES:
            options[_S3_NAMES[name]] = value
        else:
            return None
    return {name: value for name, value in options.items() if value not in (None, False)}


def _azure_options(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the options of adlfs under the names of obstore, or None if one of them has no equivalent in obstore."""
    return {_AZURE_NAMES[name]: value for name, value in given.items()} if given.keys() <= _AZURE_NAMES.keys() else None


def _gcs_options(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the options of gcsfs under the names of obstore, or None if one of them has no equivalent in obstore."""
    token = given.get("token")
    if not given.keys() <= {"token"}:
        return None
    if token is None:
        return {}
    return (
        {"skip_signature": True} if token == "anon" else {"service_account": token} if isinstance(token, str) else None
    )


def _aws_session() -> Any:
    """Return a session with botocore's chain of credentials, or None if the chain finds no credentials.

    The chain (profiles, SSO, instance roles) covers more cases than the credentials of obstore itself.
    """
    import botocore.session

    session = botocore.session.Session()
    return None if session.get_credentials() is None else session


def _aws_credentials(session: Any) -> dict[str, Any]:
    """Return the current credentials of a session. obstore calls this function whenever its credentials expire."""
    credentials = session.get_credentials()
    frozen = credentials.get_frozen_credentials()
    return {
        "access_key_id": frozen.access_key,
        "secret_access_key": frozen.secret_key,
        "token": frozen.token,
        "expires_at": getattr(credentials, "_expiry_time", None),
    }
