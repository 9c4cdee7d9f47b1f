"""List the dataset repositories of an organisation or a user on the Hub."""

from episeek.errors import ReadError
from episeek_pipelines.publish.hub_client.client import HubClient


def dataset_names(author: str, *, client: HubClient | None = None) -> list[str]:
    """Return the sorted names `ORG/NAME` of all dataset repositories of an author that the token may see.

    Args:
        author: The name of the organisation or user.
        client: The client that makes the request; None for a client with the token of the environment.

    Raises:
        ReadError: The Hub does not answer, the organisation or user does not exist, or it has no datasets.
    """
    # A client needs the name of a repository, but the listing does not use this name.
    hub = client if client is not None else HubClient(f"{author}/datasets")
    where = f"hf://datasets/{author}"
    names = hub.read(
        lambda api: sorted(found.id for found in api.list_datasets(author=author)),
        where=where,
        expected="a listing of the datasets",
    )
    if not names:
        raise ReadError(where, "no datasets", "an organisation or user with datasets, spelled as on the Hub")
    return names
