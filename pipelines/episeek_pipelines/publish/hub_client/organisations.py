"""The dataset repositories of an organisation or a user on the Hub."""

from episeek.errors import ReadError
from episeek_pipelines.publish.hub_client.client import HubClient


def dataset_names(author: str, *, client: HubClient | None = None) -> list[str]:
    """Return the sorted names `ORG/NAME` of the dataset repositories that the token may see.

    Args:
        author: The organisation or user.
        client: Asks the Hub; None for one with the token of the environment.

    Raises:
        ReadError: The Hub does not answer, or there is no such organisation, or it has no datasets.
    """
    # any name of the author makes a client: the listing asks for no repository
    hub = client if client is not None else HubClient(f"{author}/datasets")
    where = f"hf://datasets/{author}"
    names = hub.read(
        lambda api: sorted(found.id for found in api.list_datasets(author=author)),
        where=where,
        expected="a listing of its datasets",
    )
    if not names:
        raise ReadError(where, "no datasets", "an organisation or a user with datasets, as the Hub writes its name")
    return names
