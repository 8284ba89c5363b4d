"""JupyterHubs by name: edited as Prefect blocks, resolved here."""

from __future__ import annotations

import httpx
from prefect.context import SyncClientContext
from prefect.exceptions import ObjectNotFound, PrefectException
from pydantic import ValidationError

from blocks.jupyterhub import JupyterHub
from stager.errors import ConfigurationError, PrefectUnavailable

# The one that is meant where none is named.
HUB = "jupyterhub"


def resolve_hub(name: str = HUB) -> JupyterHub:
    """Return the hub of that name, as the operator has it in Prefect's pages.

    Raises
    ------
    ConfigurationError
        There is no such block, or it says what cannot be.
    PrefectUnavailable
        Prefect does not answer.
    """
    what = f"The notebook hub {name!r}"
    try:
        with SyncClientContext.get_or_create() as prefect:
            document = prefect.client.read_block_document_by_name(name, JupyterHub.get_block_type_slug())
    except ObjectNotFound as error:
        raise ConfigurationError(what, "Prefect has no block JupyterHub of that name") from error
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise PrefectUnavailable(str(error) or type(error).__name__) from error
    try:
        return JupyterHub.model_validate(document.data)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigurationError(what, wrong) from None
