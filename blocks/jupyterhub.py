"""A JupyterHub as an operator sees and edits it in Prefect's pages."""

from __future__ import annotations

from prefect.blocks.core import Block

from blocks.emptied_fields import EmptiedFieldsHaveDefaults
from blocks.seeding import Seeded
from stager.peers.jupyter import HubConnection


class JupyterHub(Block, Seeded, EmptiedFieldsHaveDefaults, HubConnection):
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
