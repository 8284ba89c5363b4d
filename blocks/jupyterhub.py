"""A JupyterHub as an operator sees and edits it in Prefect's pages."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from blocks.emptied_fields import EmptiedFieldsHaveDefaults
from stager.peers.jupyter import HubConnection


class JupyterHub(Block, EmptiedFieldsHaveDefaults, HubConnection):
    """A JupyterHub into whose notebook servers data are brought."""

    _block_type_name = "JupyterHub"
    _block_type_slug = "jupyterhub"
    _description = "A JupyterHub, and how data are brought into its users' notebook servers."
    _documentation_url = "https://jupyterhub.readthedocs.io/en/stable/reference/services.html"  # type: ignore[assignment] # a string to Prefect too
    _code_example = """
```python
from blocks.jupyterhub import JupyterHub

hub = JupyterHub.load("BLOCK_NAME")
```"""

    seeded_from: SecretStr = Field(
        SecretStr(""),  # there is a token in it
        title="Settings",
        description="The site's settings when this block was last written by them. Leave it as it is.",
    )
